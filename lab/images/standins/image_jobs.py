"""ComfyUI's queue: one prompt at a time, what a client hears of it, and its history.

The messages and their order are from Comfy-Org/ComfyUI's `execution.py` (04e2a914: PromptExecutor, PromptQueue),
`main.py` (prompt_worker and the hook for progress), `comfy_execution/progress.py` and `server.py` (002c3fb9: status).
No result is kept for the next prompt, so each node is executed.
"""

from __future__ import annotations

import heapq
import json
import threading
import time
import uuid
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from lab.images.standins.image_files import picture, save_place
from lab.images.standins.image_nodes import NODES, Folders
from lab.images.standins.websocket import Socket

MAXIMUM_HISTORY: Final = 10000


class InterruptedPromptError(Exception):
    """Somebody interrupted the prompt under way."""


@dataclass(order=True)
class Item:
    """One prompt; the lowest number is made first."""

    number: float
    prompt_id: str
    prompt: dict[str, Any] = field(compare=False)
    extra: dict[str, Any] = field(compare=False)
    outputs: list[str] = field(compare=False)

    def listed(self) -> list[Any]:
        """As queue and history show it."""
        return [self.number, self.prompt_id, self.prompt, self.extra, self.outputs]


class Jobs:
    """The queue with its worker and the clients that listen."""

    def __init__(self, folders: Folders, seconds: float) -> None:
        self.history: dict[str, Any] = {}
        self._folders, self._seconds = folders, seconds
        self._queue: list[Item] = []
        self._running: Item | None = None
        self._sockets: dict[str, Socket] = {}
        self._filled = threading.Condition(threading.RLock())
        self._interrupt = threading.Event()
        self._client: str | None = None
        self._node: str | None = None
        threading.Thread(target=self._work, daemon=True).start()

    def put(self, item: Item) -> None:
        """Queue a prompt."""
        with self._filled:
            heapq.heappush(self._queue, item)
            self._status()
            self._filled.notify()

    def waiting(self) -> dict[str, Any]:
        """The answer of `GET /queue`."""
        with self._filled:
            running = [self._running.listed()] if self._running else []
            return {"queue_running": running, "queue_pending": [item.listed() for item in self._queue]}

    def left(self) -> dict[str, Any]:
        """The answer of `GET /prompt`."""
        with self._filled:
            return {"exec_info": {"queue_remaining": len(self._queue) + bool(self._running)}}

    def clear(self) -> None:
        """Drop what has not begun."""
        with self._filled:
            self._queue.clear()
            self._status()

    def drop(self, prompt_id: str) -> None:
        """Drop one prompt, if it has not begun."""
        with self._filled:
            kept = [item for item in self._queue if item.prompt_id != prompt_id]
            changed, self._queue = len(kept) < len(self._queue), kept
            heapq.heapify(self._queue)
            if changed:
                self._status()

    def interrupt(self, prompt_id: str | None) -> None:
        """Interrupt the prompt under way; with an id, only if it is that one."""
        with self._filled:
            if self._running is not None and prompt_id in (None, "", self._running.prompt_id):
                self._interrupt.set()

    def listen(self, socket: Socket, client: str) -> None:
        """Tell a client of its prompts until it goes away; of two connections of one name the newer one is told."""
        name = client or uuid.uuid4().hex
        self._sockets[name] = socket
        self._send(name, "status", {"status": self.left(), "sid": name})
        if self._client == name and self._node is not None:
            self._send(name, "executing", {"node": self._node})
        first = True
        try:
            for text in socket.texts():
                try:
                    asked = json.loads(text)
                except ValueError:
                    continue
                if first and isinstance(asked, dict) and asked.get("type") == "feature_flags":
                    self._send(name, "feature_flags", FEATURES)
                first = False
        finally:
            if self._sockets.get(name) is socket:
                del self._sockets[name]

    def _send(self, client: str | None, event: str, data: Mapping[str, Any]) -> None:
        """To one client, or to all."""
        text = json.dumps({"type": event, "data": data})
        if client is None:
            for socket in list(self._sockets.values()):
                socket.send(text)
        elif client in self._sockets:
            self._sockets[client].send(text)

    def _status(self) -> None:
        self._send(None, "status", {"status": self.left()})

    def _work(self) -> None:
        while True:
            with self._filled:
                while not self._queue:
                    self._filled.wait()
                item = self._running = heapq.heappop(self._queue)
                self._interrupt.clear()
                self._status()
            self._client = item.extra.get("client_id")
            run = Run(item, self._folders, self._seconds, self._interrupt)
            for event, data, broadcast in run.messages():
                if event == "executing":
                    self._node = data["node"]
                if self._client is not None or broadcast:
                    self._send(self._client, event, data)
            self._node = None
            with self._filled:
                if len(self.history) > MAXIMUM_HISTORY:
                    self.history.pop(next(iter(self.history)))
                self.history[item.prompt_id] = run.entry()
                self._running = None
                self._status()
            if self._client is not None:
                self._send(self._client, "executing", {"node": None, "prompt_id": item.prompt_id})


FEATURES: Final = {"supports_preview_metadata": True, "max_upload_size": 100 << 20}


class Run:
    """One prompt under way."""

    def __init__(self, item: Item, folders: Folders, seconds: float, interrupt: threading.Event) -> None:
        self._item, self._folders, self._seconds, self._interrupt = item, folders, seconds, interrupt
        self._kept: list[Any] = []
        self._made: dict[str, Any] = {}
        self._executed: list[str] = []
        self._fine = True

    def entry(self) -> dict[str, Any]:
        """Its entry in the history."""
        meta = {
            name: {"node_id": name, "display_node": name, "parent_node": None, "real_node_id": name}
            for name in self._made
        }
        status = {
            "status_str": "success" if self._fine else "error",
            "completed": self._fine,
            "messages": self._kept,
        }
        return {"prompt": self._item.listed(), "outputs": self._made, "status": status, "meta": meta}

    def messages(self) -> Iterator[tuple[str, dict[str, Any], bool]]:
        """Make it, and say so: event, data, and whether all clients hear it where no one is named."""
        about = {"prompt_id": self._item.prompt_id}
        yield self._keep("execution_start", about)
        yield self._keep("execution_cached", {"nodes": [], **about})
        node = ""
        try:
            for node in self._order():
                yield from self._node(node, about)
                self._executed.append(node)
        except InterruptedPromptError:
            self._fine = False
            yield self._keep("execution_interrupted", {**about, **self._where(node)}, broadcast=True)
        except Exception as error:  # noqa: BLE001 - as there: a node's failure ends its prompt alone
            self._fine = False
            told: dict[str, Any] = {"exception_message": f"{error}\n", "exception_type": type(error).__qualname__}
            told |= {"traceback": [], "current_inputs": {}, "current_outputs": []}
            yield self._keep("execution_error", {**about, **self._where(node), **told})
        else:
            yield self._keep("execution_success", about)

    def _keep(self, event: str, data: dict[str, Any], *, broadcast: bool = False) -> tuple[str, dict[str, Any], bool]:
        data = {**data, "timestamp": int(time.time() * 1000)}
        self._kept.append([event, data])
        return event, data, broadcast

    def _where(self, node: str) -> dict[str, Any]:
        kind = self._item.prompt[node]["class_type"] if node else ""
        return {"node_id": node, "node_type": kind, "executed": list(self._executed)}

    def _order(self) -> list[str]:
        """Nodes that an output needs, each after those that it needs."""
        found: dict[str, None] = {}

        def visit(name: str) -> None:
            node = self._item.prompt[name]
            for key in NODES[node["class_type"]].inputs:
                value = node["inputs"].get(key)
                if isinstance(value, list) and value[0] not in found:
                    visit(value[0])
            found[name] = None

        for output in self._item.outputs:
            visit(output)
        return list(found)

    def _node(self, name: str, about: Mapping[str, str]) -> Iterator[tuple[str, dict[str, Any], bool]]:
        node = self._item.prompt[name]
        yield "progress_state", self._progress(name, 0, 1, "running", about), False
        yield "executing", {"node": name, "display_node": name, **about}, False
        steps = int(node["inputs"]["steps"]) if node["class_type"] == "KSampler" else 0
        for step in range(1, steps + 1):
            if self._interrupt.wait(self._seconds / steps):
                raise InterruptedPromptError
            yield "progress_state", self._progress(name, step, steps, "running", about), False
            yield "progress", {"value": step, "max": steps, **about, "node": name}, False
        if self._interrupt.is_set():
            raise InterruptedPromptError
        if NODES[node["class_type"]].output:
            output = {"images": self._pictures(node)}
            self._made[name] = output
            yield "executed", {"node": name, "display_node": name, "output": output, **about}, False
        yield "progress_state", self._progress(name, 1, 1, "finished", about), False

    def _progress(self, name: str, value: int, most: int, state: str, about: Mapping[str, str]) -> dict[str, Any]:
        one = {"value": value, "max": most, "state": state, "node_id": name, **about, "display_node_id": name}
        return {**about, "nodes": {name: {**one, "parent_node_id": None, "real_node_id": name}}}

    def _pictures(self, node: Mapping[str, Any]) -> list[dict[str, str]]:
        kind = "output" if node["class_type"] == "SaveImage" else "temp"
        prefix = node["inputs"].get("filename_prefix", f"ComfyUI_temp_{uuid.uuid4().hex[:5]}")
        place, stem, number, subfolder = save_place(str(prefix), self._folders.base / kind)
        count = next(
            (
                int(n["inputs"]["batch_size"])
                for n in self._item.prompt.values()
                if n["class_type"] == "EmptyLatentImage"
            ),
            1,
        )
        made = []
        for batch in range(count):
            name = f"{stem}_{number + batch:05}_.png"
            seed = zlib.crc32(json.dumps([self._item.prompt, batch], sort_keys=True).encode())
            (place / name).write_bytes(picture(seed))
            made.append({"filename": name, "subfolder": subfolder, "type": kind})
        return made


def folders_of(base: Path) -> Folders:
    """The folders below `--base-directory`, made where they are missing."""
    for folder in ("input", "output", "temp", "user", "models/checkpoints", "models/loras"):
        (base / folder).mkdir(parents=True, exist_ok=True)
    return Folders(base)

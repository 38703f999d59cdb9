"""ComfyUI: prompts, their history and pictures of one colour. No authentication, as in the real one.

Routes, status codes and words are from Comfy-Org/ComfyUI's `server.py` (commit 002c3fb9) and `execution.py`, arguments
from `comfy/cli_args.py` (03294572); the image has an older release. There is no manager, as without custom nodes.
"""

from __future__ import annotations

import argparse
import itertools
import struct
import sys
import threading
import time
import uuid
import zlib
from pathlib import Path
from typing import Any

from lab.images.standins.common import Answer, Refused, Request, Service, wait

SIDE = 64
OUTPUTS = {"SaveImage", "PreviewImage"}
NODES = {
    *OUTPUTS,
    "CheckpointLoaderSimple",
    "CLIPTextEncode",
    "EmptyLatentImage",
    "KSampler",
    "LoadImage",
    "LoraLoader",
    "VAEDecode",
    "VAEEncode",
}
"""Some of the program's own; there are no others, since custom nodes are off."""
FOLDERS = ("input", "output", "temp", "user")


def picture(seed: int) -> bytes:
    """A PNG of one colour."""
    colour = bytes((seed * 37 % 256, seed * 91 % 256, seed * 151 % 256))
    rows = (b"\0" + colour * SIDE) * SIDE

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def refused(kind: str, message: str, details: str) -> Refused:
    """A prompt that is not queued."""
    error = {"type": kind, "message": message, "details": details, "extra_info": {}}
    return Refused(400, "", {"error": error, "node_errors": {}})


def check(graph: Any) -> None:
    """Each node has a class, and one of them makes something."""
    nodes = graph if isinstance(graph, dict) else {}
    for name, node in nodes.items():
        if not isinstance(node, dict) or "class_type" not in node:
            details = f"Node ID '#{name}'"
            words = "Cannot execute because a node is missing the class_type property."
            raise refused("missing_node_type", words, details)
        if node["class_type"] not in NODES:
            words = f"Node '{node['class_type']}' not found. The custom node may not be installed."
            raise refused("missing_node_type", words, f"Node ID '#{name}'")
    if not any(node["class_type"] in OUTPUTS for node in nodes.values()):
        raise refused("prompt_no_outputs", "Prompt has no outputs", "")


def view(request: Request) -> Answer:
    """A picture by its name."""
    name = request.query.get("filename", "")
    if name.startswith("/") or ".." in name:
        raise Refused(400, "", b"")
    if not name:
        raise Refused(404, "", b"")
    return Answer(picture(zlib.crc32(name.encode()) % 1000), type="image/png")


def make(seconds: float = 0.2) -> Service:
    """The server; a prompt takes that long."""
    service = Service("comfyui")
    history: dict[str, Any] = {}
    waiting: dict[str, float] = {}
    number = itertools.count(1)
    lock = threading.Lock()

    def settle() -> None:
        with lock:
            for prompt in [p for p, since in waiting.items() if time.monotonic() - since > seconds]:
                del waiting[prompt]
                image = {"filename": f"lab_{prompt}.png", "subfolder": "", "type": "output"}
                status = {"status_str": "success", "completed": True}
                history[prompt] = {"outputs": {"9": {"images": [image]}}, "status": status}

    service.route("GET", "/system_stats")(
        lambda _: {"system": {"os": "posix", "comfyui_version": "stand-in"}, "devices": []}
    )
    service.route("GET", "/object_info")(lambda _: {})

    @service.route("POST", "/prompt")
    def _(request: Request) -> Any:
        graph = request.json().get("prompt")
        if graph is None:
            raise refused("no_prompt", "No prompt provided", "No prompt provided")
        check(graph)
        prompt = str(uuid.uuid4())
        with lock:
            waiting[prompt] = time.monotonic()
        return {"prompt_id": prompt, "number": next(number), "node_errors": {}}

    @service.route("GET", "/queue")
    def _(_request: Request) -> Any:
        settle()
        return {"queue_running": [[0, p] for p in waiting], "queue_pending": []}

    @service.route("GET", "/history/{prompt}")
    def _(request: Request) -> Any:
        settle()
        prompt = request.groups["prompt"]
        return {prompt: history[prompt]} if prompt in history else {}

    @service.route("POST", "/queue")
    def _(request: Request) -> Answer:
        with lock:
            for name in request.json().get("delete") or ():
                waiting.pop(name, None)
        return Answer(b"")

    service.route("GET", "/view")(view)
    return service


def main() -> None:
    """`main.py`."""
    parser = argparse.ArgumentParser(prog="main.py")
    parser.add_argument("--listen", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8188)
    parser.add_argument("--base-directory", type=Path, default=Path("/default-comfyui-bundle/ComfyUI"))
    parser.add_argument("--database-url")
    for flag in ("disable-all-custom-nodes", "disable-api-nodes", "disable-dynamic-vram", "log-stdout", "cpu"):
        parser.add_argument(f"--{flag}", action="store_true")
    args = parser.parse_args()
    if not args.disable_all_custom_nodes:
        sys.exit("the stand-in has no custom nodes, and the image's own would be the manager")
    for folder in FOLDERS:
        (args.base_directory / folder).mkdir(parents=True, exist_ok=True)
    make().start(args.port, args.listen)
    wait()


if __name__ == "__main__":
    main()

"""ComfyUI: prompts, their history, pictures of one colour, and what a WebSocket tells of them. No authentication.

Routes and status codes are from Comfy-Org/ComfyUI's `server.py` (commit 002c3fb9), arguments from `comfy/cli_args.py`
(03294572); the image has an older release. There is no manager, as without custom nodes. What is refused is in
tests/contracts/upstream/comfyui.yaml too, and a test holds this module against it. An exception of a handler is
aiohttp's 500, as there.
"""

from __future__ import annotations

import argparse
import ipaddress
import itertools
import json
import re
import sys
import tempfile
import urllib.parse
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from lab.images.standins import image_files, websocket
from lab.images.standins.common import Answer, Refused, Request, Service, wait
from lab.images.standins.image_jobs import FEATURES, Item, Jobs, folders_of
from lab.images.standins.image_nodes import NODES, Folders, InvalidPromptError, fault, info, outputs

MAX_UPLOAD_MB: Final = 100.0
"""`--max-upload-size`: of any request's body."""
MODELS: Final = ("checkpoints", "loras")
CHECKPOINT: Final = "sd_xl_base_1.0.safetensors"
"""The lab has no models: an empty file by the name that the program's settings have by default."""


def is_loopback(host: str) -> bool:
    """Whether a request's host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def same_origin(request: Request) -> None:
    """`create_origin_only_middleware`: a web page elsewhere may not ask a server on loopback."""
    host, origin = request.header("host").lower(), request.header("origin").lower()
    if not host or not origin:
        return
    here, there = urllib.parse.urlsplit(f"//{host}"), urllib.parse.urlsplit(origin)
    named = here.netloc if there.port is not None else here.hostname
    came = there.netloc if here.port is not None else there.hostname
    if is_loopback(here.hostname or "") and named and came and named != came:
        raise Refused(403, "", b"")


def body(request: Request) -> Any:
    """A JSON body; what is none is an exception of the handler, and so is anything but an object."""
    try:
        found = json.loads(request.body)
    except ValueError:
        raise image_files.broken() from None
    if not isinstance(found, dict):
        raise image_files.broken()
    return found


def invalid(error: dict[str, Any]) -> Refused:
    """A prompt that is not queued."""
    return Refused(400, "", {"error": error, "node_errors": {}})


class ComfyUI:
    """The server: its handlers, and the routes to them."""

    def __init__(self, folders: Folders, seconds: float, limit: int) -> None:
        self.service = Service("comfyui")
        self.service.guard = self._guard
        self._folders, self._limit = folders, limit
        self._jobs = Jobs(folders, seconds)
        self._number = itertools.count()
        self._routes()

    def _routes(self) -> None:
        base, jobs, folders = self._folders.base, self._jobs, self._folders
        system = {"os": "posix", "comfyui_version": "stand-in"}
        for methods, path, handler in (
            ("GET", "/system_stats", lambda _: {"system": system, "devices": []}),
            ("GET", "/features", lambda _: FEATURES),
            ("GET", "/object_info", lambda _: {name: info(name, folders) for name in NODES}),
            ("GET", "/object_info/{n}", lambda r: {n: info(n, folders) for n in [r.groups["n"]] if n in NODES}),
            ("GET", "/embeddings", lambda _: []),
            ("GET", "/models", lambda _: list(MODELS)),
            ("GET", "/models/{folder}", self._models),
            ("GET", "/prompt", lambda _: jobs.left()),
            ("POST", "/prompt", self._queue),
            ("GET", "/queue", lambda _: jobs.waiting()),
            ("POST", "/queue", cleared(jobs.drop, jobs.clear)),
            ("GET", "/history", self._history),
            (
                "GET",
                "/history/{prompt}",
                lambda r: {n: jobs.history[n] for n in [r.groups["prompt"]] if n in jobs.history},
            ),
            ("POST", "/history", cleared(lambda name: jobs.history.pop(name, None), jobs.history.clear)),
            ("POST", "/interrupt", self._interrupt),
            ("POST", "/free", lambda r: Answer(b"") if body(r) is not None else None),
            ("GET", "/view", lambda r: image_files.view(base, r)),
            ("POST", "/upload/image", lambda r: image_files.upload(base, r)),
            ("POST", "/upload/mask", lambda r: image_files.upload(base, r, mask=True)),
            ("GET", "/ws", lambda r: websocket.upgrade(r, lambda s: jobs.listen(s, r.query.get("clientId", "")))),
        ):
            for prefix in ("", "/api"):
                self.service.route(methods, prefix + path)(handler)

    def _guard(self, request: Request) -> None:
        same_origin(request)
        if len(request.body) > self._limit:
            error = Refused(413, "", f"Maximum request body size {self._limit} exceeded.")
            error.answer.type = "text/plain; charset=utf-8"
            raise error

    def _models(self, request: Request) -> Any:
        if request.groups["folder"] not in MODELS:
            raise image_files.refused(404)
        return self._folders.choices(request.groups["folder"])

    def _history(self, request: Request) -> Any:
        entries = list(self._jobs.history.items())
        most = int(request.query.get("max_items", len(entries)))
        return dict(entries[-most:] if most else [])

    def _interrupt(self, request: Request) -> Answer:
        self._jobs.interrupt(body(request).get("prompt_id") if request.body else None)
        return Answer(b"")

    def _queue(self, request: Request) -> Any:
        asked = body(request)
        place = float(asked["number"] if "number" in asked else next(self._number))
        if "number" not in asked and asked.get("front"):
            place = -place
        if "prompt" not in asked:
            raise invalid(fault("no_prompt", "No prompt provided", "No prompt provided"))
        prompt_id = prompt_id_of(asked)
        try:
            good, errors = outputs(asked["prompt"], self._folders, asked.get("partial_execution_targets"))
        except InvalidPromptError as error:
            raise Refused(400, "", error.body) from None
        except (AttributeError, TypeError, KeyError):
            raise image_files.broken() from None
        extra = dict(asked.get("extra_data") or {})
        if "client_id" in asked:
            extra["client_id"] = asked["client_id"]
        self._jobs.put(Item(place, prompt_id, asked["prompt"], extra, good))
        return {"prompt_id": prompt_id, "number": place, "node_errors": errors}


def prompt_id_of(asked: Mapping[str, Any]) -> str:
    """The id that a client gives its prompt, or a new one."""
    given = asked.get("prompt_id")
    if given is None:
        return str(uuid.uuid4())
    if isinstance(given, str) and re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", given):
        return given
    details = (
        "prompt_id must be a UUID string in canonical lowercase hyphenated form; omit it to let the server generate one"
    )
    raise invalid(fault("invalid_prompt_id", "prompt_id must be a valid UUID", details))


def cleared(drop: Callable[[str], Any], everything: Callable[[], Any]) -> Callable[[Request], Answer]:
    """A handler that drops entries of the queue or of the history."""

    def handler(request: Request) -> Answer:
        asked = body(request)
        if asked.get("clear"):
            everything()
        for prompt_id in asked.get("delete") or ():
            drop(prompt_id)
        return Answer(b"")

    return handler


def make(seconds: float = 0.2, base: Path | None = None, max_upload_mb: float = MAX_UPLOAD_MB) -> Service:
    """The server; the sampler of a prompt takes that long."""
    limit = round(max_upload_mb * 1024 * 1024)
    return ComfyUI(folders_of(base or Path(tempfile.mkdtemp())), seconds, limit).service


def main() -> None:
    """`main.py`."""
    parser = argparse.ArgumentParser(prog="main.py")
    parser.add_argument("--listen", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8188)
    parser.add_argument("--base-directory", type=Path, default=Path("/default-comfyui-bundle/ComfyUI"))
    parser.add_argument("--max-upload-size", type=float, default=MAX_UPLOAD_MB)
    parser.add_argument("--database-url")
    for flag in ("disable-all-custom-nodes", "disable-api-nodes", "disable-dynamic-vram", "log-stdout", "cpu"):
        parser.add_argument(f"--{flag}", action="store_true")
    args = parser.parse_args()
    if not args.disable_all_custom_nodes:
        sys.exit("the stand-in has no custom nodes, and the image's own would be the manager")
    base = folders_of(args.base_directory).base
    (base / "models/checkpoints" / CHECKPOINT).touch()
    make(base=base, max_upload_mb=args.max_upload_size).start(args.port, args.listen)
    wait()


if __name__ == "__main__":
    main()

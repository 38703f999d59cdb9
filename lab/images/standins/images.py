"""ComfyUI: prompts, their history and pictures of one colour. No authentication, as in the real one."""

from __future__ import annotations

import argparse
import itertools
import os
import shlex
import struct
import threading
import time
import uuid
import zlib
from typing import Any

from lab.images.standins.common import Answer, Refused, Request, Service, wait

SIDE = 64


def picture(seed: int) -> bytes:
    """A PNG of one colour."""
    colour = bytes((seed * 37 % 256, seed * 91 % 256, seed * 151 % 256))
    rows = (b"\0" + colour * SIDE) * SIDE

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


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
        if not request.json().get("prompt"):
            raise Refused(400, "", {"error": {"type": "no_prompt", "message": "No prompt provided"}, "node_errors": {}})
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

    @service.route("GET", "/view")
    def _(request: Request) -> Answer:
        return Answer(picture(zlib.crc32(request.query.get("filename", "").encode()) % 1000), type="image/png")

    return service


def main() -> None:
    """The image's entry point, which takes its arguments from the environment."""
    parser = argparse.ArgumentParser(prog="comfyui")
    parser.add_argument("--listen", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8188)
    args = parser.parse_args(shlex.split(os.environ.get("CLI_ARGS", "")))
    make().start(args.port, args.listen)
    wait()


if __name__ == "__main__":
    main()

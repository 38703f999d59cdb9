"""A stand-in of ComfyUI, which needs a GPU: its API for prompts, with its checks of a graph and its words for faults.

The pictures are of one colour, made from the prompt that it was given.
"""

import struct
import uuid
import zlib
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

CHECKPOINTS = ("sd_xl_base_1.0.safetensors",)
REQUIRED = {
    "CheckpointLoaderSimple": {"ckpt_name"},
    "CLIPTextEncode": {"text", "clip"},
    "EmptyLatentImage": {"width", "height", "batch_size"},
    "KSampler": {
        *("seed", "steps", "cfg", "sampler_name", "scheduler", "denoise"),
        *("model", "positive", "negative", "latent_image"),
    },
    "SaveImage": {"images", "filename_prefix"},
    "VAEDecode": {"samples", "vae"},
}
"""Inputs of the nodes that it knows."""


def picture(text: str) -> bytes:
    """A PNG of one colour, which follows from `text`."""
    colour = zlib.crc32(text.encode()).to_bytes(4, "big")[:3]

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress((b"\0" + colour * 8) * 8)) + chunk(b"IEND", b"")


@dataclass
class ComfyUI:
    """Its state: what was queued, what came of it, and how it fails."""

    prompts: list[str] = field(default_factory=list)
    """The positive texts, in order."""
    graphs: list[dict[str, Any]] = field(default_factory=list)
    """Those that were taken, in order."""
    previews: list[str] = field(default_factory=list)
    """What pictures were converted to."""
    dropped: list[str] = field(default_factory=list)
    history: dict[str, Any] = field(default_factory=dict)
    pictures: dict[str, bytes] = field(default_factory=dict)
    polls: int = 2
    """How often a history is asked for in vain; each prompt's own count is in `waiting`."""
    waiting: dict[str, int] = field(default_factory=dict)
    fails: bool = False

    def routes(self) -> list[Route]:
        return [
            Route("/prompt", self._prompt, methods=["POST"]),
            Route("/history/{name}", self._history),
            Route("/view", self._view),
            Route("/queue", self._queue, methods=["POST"]),
        ]

    async def _prompt(self, request: Request) -> Response:
        graph = (await request.json()).get("prompt")
        if not graph:
            return JSONResponse({"error": _error("no_prompt", "No prompt provided"), "node_errors": {}}, 400)
        if not any(node["class_type"] == "SaveImage" for node in graph.values()):
            return JSONResponse({"error": _error("prompt_no_outputs", "Prompt has no outputs"), "node_errors": {}}, 400)
        faults = {name: found for name, node in graph.items() if (found := _faults(node, graph))}
        if faults:
            error = _error("prompt_outputs_failed_validation", "Prompt outputs failed validation")
            return JSONResponse({"error": error, "node_errors": faults}, 400)
        name = str(uuid.uuid4())
        sampler = next(node for node in graph.values() if node["class_type"] == "KSampler")
        self.prompts.append(graph[sampler["inputs"]["positive"][0]]["inputs"]["text"])
        self.graphs.append(graph)
        self.waiting[name] = self.polls
        self._finish(name, next(key for key, node in graph.items() if node["class_type"] == "SaveImage"))
        return JSONResponse({"prompt_id": name, "number": len(self.prompts), "node_errors": {}})

    def _finish(self, name: str, output: str) -> None:
        if self.fails:
            told = {"node_type": "KSampler", "exception_message": "Allocation on device failed"}
            status = {"status_str": "error", "completed": False, "messages": [["execution_error", told]]}
            self.history[name] = {"outputs": {}, "status": status}
            return
        file = f"agents_{len(self.prompts):05}_.png"
        self.pictures[file] = picture(self.prompts[-1])
        images = {"images": [{"filename": file, "subfolder": "", "type": "output"}]}
        status = {"status_str": "success", "completed": True, "messages": []}
        self.history[name] = {"outputs": {output: images}, "status": status}

    async def _history(self, request: Request) -> Response:
        name = request.path_params["name"]
        self.waiting[name] = self.waiting.get(name, 0) - 1
        done = name in self.history and self.waiting[name] < 0
        return JSONResponse({name: self.history[name]} if done else {})

    async def _view(self, request: Request) -> Response:
        found = self.pictures.get(request.query_params.get("filename", ""))
        if found is None or request.query_params.get("type") != "output":
            return Response(status_code=404)
        if preview := request.query_params.get("preview"):
            # `view_image` in ComfyUI's server.py: a format, `webp` unless it is `jpeg`, and behind `;` a quality.
            self.previews.append(preview)
            kind = "jpeg" if preview.split(";")[0] == "jpeg" else "webp"
            return Response(f"{kind} of ".encode() + found, media_type=f"image/{kind}")
        return Response(found, media_type="image/png")

    async def _queue(self, request: Request) -> Response:
        self.dropped += (await request.json()).get("delete", [])
        return Response()


def _error(kind: str, message: str, details: str = "") -> dict[str, Any]:
    return {"type": kind, "message": message, "details": details, "extra_info": {}}


def _faults(node: dict[str, Any], graph: dict[str, Any]) -> dict[str, Any] | None:
    """What is wrong with a node, as ComfyUI says it."""
    kind, inputs = node["class_type"], node["inputs"]
    errors = [
        _error("required_input_missing", "Required input is missing", name) for name in REQUIRED[kind] - {*inputs}
    ]
    for name, value in inputs.items():
        if isinstance(value, list) and value[0] not in graph:
            errors.append(_error("bad_linked_input", "Bad linked input", name))
    if kind == "CheckpointLoaderSimple" and inputs.get("ckpt_name") not in CHECKPOINTS:
        details = f"ckpt_name: {inputs.get('ckpt_name')!r} not in {list(CHECKPOINTS)}"
        errors.append(_error("value_not_in_list", "Value not in list", details))
    if kind == "EmptyLatentImage":
        # `nodes.py` of ComfyUI: INT with min 16 and max 16384 (MAX_RESOLUTION); a step is not checked.
        sides = {side: inputs.get(side, 0) for side in ("width", "height")}
        errors += [
            _error("value_smaller_than_min", "Value smaller than min of 16", n) for n, v in sides.items() if v < 16
        ]
        errors += [
            _error("value_bigger_than_max", "Value bigger than max of 16384", n) for n, v in sides.items() if v > 16384
        ]
    return {"errors": errors, "dependent_outputs": ["9"], "class_type": kind} if errors else None

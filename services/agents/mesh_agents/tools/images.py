"""Image generation by ComfyUI: queue a workflow, wait until its history has the outcome, fetch what was made."""

import asyncio
import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypedDict

import httpx

from mesh_agents.config import Settings
from mesh_agents.errors import ApiError, unavailable

MAX_BYTES: Final = 16 << 20
"""Of one image."""
_KINDS: Final = ("image/png", "image/jpeg", "image/webp")
_POLL_SECONDS: Final = 0.5
_SAVE: Final = "9"
"""Node of the workflow whose images are the outcome."""
_WHAT: Final = "the image generator"


class Image(TypedDict):
    """Where ComfyUI keeps an image; the parameters of its `/view`."""

    filename: str
    subfolder: str
    type: str


@dataclass(frozen=True)
class Wanted:
    """A picture that is to be made; sizes in pixels."""

    prompt: str
    width: int = 1024
    height: int = 1024
    steps: int = 20


class ImageClient:
    """ComfyUI. It has no key of its own: the mesh decides who may call it."""

    def __init__(self, settings: Settings, http: httpx.AsyncClient) -> None:
        """Use `http`, which its owner closes."""
        self._http = http
        self._url = settings.comfyui_url
        self._checkpoint = settings.image_checkpoint
        self._seconds = settings.image_seconds

    async def make(self, prompt: str) -> str:
        """Make a picture; where it is kept, as the JSON that `made` reads.

        Raises:
            ApiError: ComfyUI is away, refuses the workflow, fails or takes too long.

        """
        if not prompt.strip():
            raise ApiError(400, "the picture needs a description", code="no_prompt")
        found = await self.pictures(Wanted(prompt[:4000]))
        return json.dumps({"images": found, "note": "the user gets them with the answer"})

    async def pictures(self, wanted: Wanted, count: int = 1) -> list[Image]:
        """Make pictures, each of another seed; where they are kept, in order.

        Raises:
            ApiError: as `make`; 503 with the code `checkpoint_missing`: ComfyUI lacks the file that is configured.

        """
        names: list[str] = []
        try:
            # One job each: a batch would have to fit the GPU's memory as a whole.
            for _ in range(count):
                names.append(await self._queue(wanted))  # noqa: PERF401 - the first are wanted if a later one fails
            end = time.monotonic() + self._seconds
            return [image for name in names for image in await self._outcome(name, end)]
        except BaseException:
            # Nobody waits for them any more: what has not begun need not begin.
            await self._drop(names)
            raise

    async def view(self, image: Image, preview: str | None = None) -> tuple[bytes, str]:
        """The bytes and media type of an image that was made; `preview`, like `webp;90`, has it converted.

        Raises:
            ApiError: 404 ComfyUI has it no longer, 502 it is no image, 503 ComfyUI is away.

        """
        params = {**image, "preview": preview} if preview else {**image}
        answer = await self._call("GET", "/view", params=params)
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise ApiError(404, "the image is no longer there", code="image_not_found")
        media = answer.headers.get("content-type", "").partition(";")[0]
        if answer.is_error or media not in _KINDS or len(answer.content) > MAX_BYTES:
            raise ApiError(502, f"{_WHAT} answered with no image", code="tool_failed", kind="server_error")
        return answer.content, media

    async def _queue(self, wanted: Wanted) -> str:
        body = {"prompt": workflow(wanted, self._checkpoint), "client_id": secrets.token_hex(8)}
        answer = await self._call("POST", "/prompt", json=body)
        if answer.status_code == httpx.codes.BAD_REQUEST:
            raise _refusal(answer, self._checkpoint)
        return str(_object(answer).get("prompt_id"))

    async def _outcome(self, name: str, end: float) -> list[Image]:
        while time.monotonic() < end:
            entry = _object(await self._call("GET", f"/history/{name}")).get(name)
            if entry is not None:
                return _images(entry)
            await asyncio.sleep(_POLL_SECONDS)
        raise ApiError(504, f"{_WHAT} did not finish in {self._seconds:g} s", code="tool_timeout", kind="server_error")

    async def _drop(self, names: Sequence[str]) -> None:
        try:
            if names:
                await self._call("POST", "/queue", json={"delete": list(names)})
        except ApiError:
            return

    async def _call(self, method: str, path: str, **more: Any) -> httpx.Response:
        try:
            answer = await self._http.request(
                method, f"{self._url}{path}", timeout=httpx.Timeout(60, connect=5), **more
            )
        except httpx.TransportError as error:
            raise unavailable(_WHAT) from error
        if answer.status_code in (429, 502, 503, 504):
            raise unavailable(_WHAT)
        return answer


def workflow(wanted: Wanted, checkpoint: str) -> dict[str, Any]:
    """ComfyUI's basic graph from text to image, in the form that its API takes."""
    return {
        "3": _node(
            "KSampler",
            seed=secrets.randbelow(2**53),
            steps=wanted.steps,
            cfg=7.0,
            sampler_name="euler",
            scheduler="normal",
            denoise=1.0,
            model=["4", 0],
            positive=["6", 0],
            negative=["7", 0],
            latent_image=["5", 0],
        ),
        "4": _node("CheckpointLoaderSimple", ckpt_name=checkpoint),
        "5": _node("EmptyLatentImage", width=wanted.width, height=wanted.height, batch_size=1),
        "6": _node("CLIPTextEncode", text=wanted.prompt, clip=["4", 1]),
        "7": _node("CLIPTextEncode", text="", clip=["4", 1]),
        "8": _node("VAEDecode", samples=["3", 0], vae=["4", 2]),
        _SAVE: _node("SaveImage", filename_prefix="agents", images=["8", 0]),
    }


def made(output: str) -> list[Image]:
    """The images that a tool's output names; none, when the tool failed or was interrupted."""
    try:
        found = json.loads(output)["images"]
        return [Image(filename=i["filename"], subfolder=i["subfolder"], type=i["type"]) for i in found]
    except (ValueError, LookupError, TypeError, RecursionError):
        return []


def _node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


def _images(entry: dict[str, Any]) -> list[Image]:
    """Of a finished prompt's history."""
    status = entry.get("status") or {}
    found = ((entry.get("outputs") or {}).get(_SAVE) or {}).get("images") or []
    if status.get("status_str") == "error" or not found:
        raise ApiError(502, f"{_WHAT} failed: {_failure(status)}", code="tool_failed", kind="server_error")
    return [
        Image(filename=each["filename"], subfolder=each.get("subfolder", ""), type=each.get("type", "output"))
        for each in found
    ]


def _failure(status: dict[str, Any]) -> str:
    """What ComfyUI says of an error: a message of the kind `execution_error` or `execution_interrupted`."""
    for kind, told in status.get("messages") or ():
        if kind in ("execution_error", "execution_interrupted"):
            return str(told.get("exception_message") or kind)[:300]
    return "it made no image"


def _refusal(answer: httpx.Response, checkpoint: str) -> ApiError:
    """Why a workflow was not taken: the first node's fault says more than the whole's."""
    body = _object(answer)
    for node in (body.get("node_errors") or {}).values():
        for fault in node.get("errors") or ():
            told = f"{fault.get('message')}: {fault.get('details')}"[:300]
            if fault.get("type") == "value_not_in_list" and str(fault.get("details")).startswith("ckpt_name"):
                return _missing(checkpoint, told)
            return ApiError(502, f"{_WHAT} refused: {told}", code="tool_failed", kind="server_error")
    told = str((body.get("error") or {}).get("message", "no reason given"))[:300]
    return ApiError(502, f"{_WHAT} refused: {told}", code="tool_failed", kind="server_error")


def _missing(checkpoint: str, told: str) -> ApiError:
    return ApiError(
        503,
        f"{_WHAT} has no checkpoint {checkpoint!r}: put that file into comfyui-data/models/checkpoints below the GPU"
        f" node's data root, or name one that is there in the setting models.imageCheckpoint. ComfyUI said: {told}",
        code="checkpoint_missing",
        kind="server_error",
    )


def _object(answer: httpx.Response) -> dict[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        body = None
    if not isinstance(body, dict) or (answer.is_error and answer.status_code != httpx.codes.BAD_REQUEST):
        raise ApiError(502, f"{_WHAT} answered with status {answer.status_code}", code="tool_failed")
    return body

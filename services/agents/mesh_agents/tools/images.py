"""Image generation by ComfyUI: queue a workflow, wait until its history has the outcome, fetch what was made."""

import asyncio
import json
import secrets
import time
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
        body = {"prompt": workflow(prompt[:4000], self._checkpoint), "client_id": secrets.token_hex(8)}
        answer = await self._call("POST", "/prompt", json=body)
        if answer.status_code == httpx.codes.BAD_REQUEST:
            raise ApiError(502, f"{_WHAT} refused: {_refusal(answer)}", code="tool_failed")
        name = str(_object(answer).get("prompt_id"))
        try:
            found = await self._outcome(name)
        except BaseException:
            # Nobody waits for it any more: what has not begun need not begin.
            await self._drop(name)
            raise
        return json.dumps({"images": found, "note": "the user gets them with the answer"})

    async def view(self, image: Image) -> tuple[bytes, str]:
        """The bytes and media type of an image that was made.

        Raises:
            ApiError: 404 ComfyUI has it no longer, 502 it is no image, 503 ComfyUI is away.

        """
        answer = await self._call("GET", "/view", params=dict(image))
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise ApiError(404, "the image is no longer there", code="image_not_found")
        media = answer.headers.get("content-type", "").partition(";")[0]
        if answer.is_error or media not in _KINDS or len(answer.content) > MAX_BYTES:
            raise ApiError(502, f"{_WHAT} answered with no image", code="tool_failed", kind="server_error")
        return answer.content, media

    async def _outcome(self, name: str) -> list[Image]:
        end = time.monotonic() + self._seconds
        while time.monotonic() < end:
            entry = _object(await self._call("GET", f"/history/{name}")).get(name)
            if entry is not None:
                return _images(entry)
            await asyncio.sleep(_POLL_SECONDS)
        raise ApiError(504, f"{_WHAT} did not finish in {self._seconds:g} s", code="tool_timeout", kind="server_error")

    async def _drop(self, name: str) -> None:
        try:
            await self._call("POST", "/queue", json={"delete": [name]})
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


def workflow(prompt: str, checkpoint: str) -> dict[str, Any]:
    """ComfyUI's basic graph from text to image, in the form that its API takes."""
    return {
        "3": _node(
            "KSampler",
            seed=secrets.randbelow(2**53),
            steps=20,
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
        "5": _node("EmptyLatentImage", width=1024, height=1024, batch_size=1),
        "6": _node("CLIPTextEncode", text=prompt, clip=["4", 1]),
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


def _refusal(answer: httpx.Response) -> str:
    """Why a workflow was not taken: the first node's fault says more than the whole's."""
    body = _object(answer)
    for node in (body.get("node_errors") or {}).values():
        for fault in node.get("errors") or ():
            return f"{fault.get('message')}: {fault.get('details')}"[:300]
    return str((body.get("error") or {}).get("message", "no reason given"))[:300]


def _object(answer: httpx.Response) -> dict[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        body = None
    if not isinstance(body, dict) or (answer.is_error and answer.status_code != httpx.codes.BAD_REQUEST):
        raise ApiError(502, f"{_WHAT} answered with status {answer.status_code}", code="tool_failed")
    return body

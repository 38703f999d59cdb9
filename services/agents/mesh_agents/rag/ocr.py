"""Calls of docling-serve, which reads PDFs and images.

By its asynchronous API: the synchronous one gives up after two minutes while the conversion goes on, so that asking
again would convert the document a second time beside the first.
"""

import asyncio
import time
from typing import Any, Final

import httpx

from mesh_agents.config import Settings
from mesh_agents.errors import ApiError, unavailable
from mesh_agents.rag.parse import Kind

_WHAT: Final = "the document reader"
_FIRST_SECONDS: Final = 0.25
"""Before the state of a conversion is asked for; each time later by half, up to"""
_MOST_SECONDS: Final = 5.0
_GOES_ON: Final = ("pending", "started")


class OcrClient:
    """The document vision service."""

    def __init__(self, settings: Settings, http: httpx.AsyncClient) -> None:
        """Use `http`, which its owner closes."""
        self._http = http
        self._url = f"{settings.ocr_url}/v1"
        self._key = settings.secret("ocr-key").get_secret_value()
        self._seconds = settings.ocr_seconds

    async def markdown(self, content: bytes, kind: Kind) -> str:
        """The document as Markdown; takes seconds to minutes, and is converted once however long it takes.

        Raises:
            ApiError: 422 it cannot be read, 502 the service answers nonsense, 503 it is away or restarted meanwhile,
                504 it takes longer than `ocr_seconds`.

        """
        begun = await self._call(
            "POST",
            "/convert/file/async",
            # Not the caller's name for it: the service goes by the ending.
            files={"files": (f"document.{kind.value.rpartition('/')[2]}", content, kind.value)},
            data={"to_formats": "md", "image_export_mode": "placeholder"},
        )
        if begun.status_code != httpx.codes.OK:
            raise _unreadable()
        task = _object(begun).get("task_id")
        if not isinstance(task, str):
            raise _malformed()
        if await self._ended(task) != "success":
            raise _unreadable()
        body = _object(await self._task(f"/result/{task}"))
        text = None
        if body.get("status") in ("success", "partial_success"):
            document = body.get("document")
            if not isinstance(document, dict):
                raise _malformed()
            text = document.get("md_content")
        if not isinstance(text, str) or not text.strip():
            raise _unreadable()
        return text

    async def _ended(self, task: str) -> str:
        """Wait for the end of a conversion; what became of it."""
        end = time.monotonic() + self._seconds
        pause = _FIRST_SECONDS
        while time.monotonic() < end:
            # Not by `wait=`, which the service's own engine does not heed.
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _MOST_SECONDS)
            state = _object(await self._task(f"/status/poll/{task}")).get("task_status")
            if not isinstance(state, str):
                raise _malformed()
            if state not in _GOES_ON:
                return state
        raise ApiError(504, f"{_WHAT} did not finish in {self._seconds:g} s", code="ocr_timeout", kind="server_error")

    async def _task(self, path: str, **more: Any) -> httpx.Response:
        answer = await self._call("GET", path, **more)
        if answer.status_code == httpx.codes.NOT_FOUND:
            # It keeps conversions in memory: this one ended with the process that had it.
            raise unavailable(_WHAT)
        if answer.status_code != httpx.codes.OK:
            raise _malformed()
        return answer

    async def _call(self, method: str, path: str, **more: Any) -> httpx.Response:
        try:
            answer = await self._http.request(
                method,
                f"{self._url}{path}",
                headers={"x-api-key": self._key},
                timeout=httpx.Timeout(60, connect=5),
                **more,
            )
        except httpx.TransportError as error:
            raise unavailable(_WHAT) from error
        if answer.status_code in (429, 502, 503, 504):
            raise unavailable(_WHAT)
        return answer


def _object(answer: httpx.Response) -> dict[str, Any]:
    try:
        body = answer.json()
    except ValueError as error:
        raise _malformed() from error
    if not isinstance(body, dict):
        raise _malformed()
    return body


def _malformed() -> ApiError:
    return ApiError(502, f"{_WHAT}'s answer is malformed", code="ocr_malformed", kind="server_error")


def _unreadable() -> ApiError:
    return ApiError(422, "no text could be read from the document", code="document_unreadable", param="file")

"""Calls of the tools, through the mesh's local addresses."""

import json
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final

import httpx

from mesh_agents import metrics
from mesh_agents.config import Settings
from mesh_agents.errors import ApiError, unavailable
from mesh_agents.rag.answer import Searcher
from mesh_agents.rag.reader import DocumentReader
from mesh_agents.storable import storable
from mesh_agents.tools import spec
from mesh_agents.tools.attachments import Attachment
from mesh_agents.tools.images import ImageClient

MAX_OUTPUT: Final = 12_000
"""Characters of a tool's answer that a model sees; the rest is cut and said to be."""


class Toolbox:
    """All tools."""

    def __init__(self, settings: Settings, http: httpx.AsyncClient, searcher: Searcher, reader: DocumentReader) -> None:
        """Use `http`, which its owner closes."""
        self.images: Final = ImageClient(settings, http)
        self._http = http
        self._searcher = searcher
        self._reader = reader
        self._interpreter = f"{settings.interpreter_url}/v1/execute"
        self._interpreter_key = settings.secret("interpreter-key").get_secret_value()
        self._whisper = f"{settings.whisper_url}/v1/audio/transcriptions"
        self._whisper_key = settings.secret("whisper-key").get_secret_value()
        self._whisper_model = settings.whisper_model

    async def call(self, name: str, arguments: str, tenant: str, files: Sequence[Attachment]) -> str:
        """The answer of a tool as text; also what went wrong, which the model may react to."""
        try:
            act = self._prepared(name, json.loads(arguments or "{}"), tenant, files)
        except (ValueError, TypeError, KeyError, RecursionError):
            metrics.TOOL_CALLS.labels(name, "bad_arguments").inc()
            return "error: the arguments do not fit the tool's schema"
        try:
            output = storable(await act())
        except ApiError as error:
            metrics.TOOL_CALLS.labels(name, "failed").inc()
            return f"error: {error}"
        metrics.TOOL_CALLS.labels(name, "ok").inc()
        if len(output) > MAX_OUTPUT:
            return f"{output[:MAX_OUTPUT]}\n(cut: {len(output) - MAX_OUTPUT} more characters)"
        return output

    def _prepared(
        self, name: str, given: dict[str, Any], tenant: str, files: Sequence[Attachment]
    ) -> Callable[[], Awaitable[str]]:
        """What is to be done; nothing has been, while the arguments may still be wrong."""
        if name == spec.SEARCH:
            return partial(self._search, tenant, storable(str(given["query"]))[:8000])
        if name == spec.RUN_CODE:
            return partial(self._run_code, storable(str(given["code"])))
        if name == spec.GENERATE_IMAGE:
            return partial(self.images.make, storable(str(given["prompt"])))
        if name == spec.READ_IMAGE:
            return partial(self._read, files, given["attachment"])
        if name == spec.TRANSCRIBE:
            return partial(self._transcribe, files, given["attachment"])
        raise ValueError(name)

    async def _search(self, tenant: str, query: str) -> str:
        passages = await self._searcher.search(tenant, query)
        if not passages:
            return "nothing relevant was found"
        return "\n\n".join(f"[{number}] ({p.source})\n{p.text}" for number, p in enumerate(passages, 1))

    async def _run_code(self, code: str) -> str:
        body = await self._post(
            self._interpreter, self._interpreter_key, "the code interpreter", json={"language": "python", "code": code}
        )
        return json.dumps({key: body[key] for key in ("stdout", "stderr", "result", "error") if body.get(key)})

    async def _read(self, files: Sequence[Attachment], number: Any) -> str:
        file = _pick(files, number)
        return (await self._reader.text(file.content, file.name))[1]

    async def _transcribe(self, files: Sequence[Attachment], number: Any) -> str:
        return await self.transcript(_pick(files, number))

    async def transcript(self, file: Attachment) -> str:
        """What is said in a recording.

        Raises:
            ApiError: 400 it is no recording that can be decoded, 502 or 503 the speech service fails.

        """
        body = await self._post(
            self._whisper,
            self._whisper_key,
            "the speech service",
            unreadable=f"{file.name} is no recording that can be decoded; WAV and MP3 can",
            files={"file": (file.name, file.content, file.media_type)},
            data={"model": self._whisper_model, "response_format": "json"},
        )
        if not isinstance(body.get("text"), str):
            raise _malformed("the speech service")
        return str(body["text"])

    async def _post(self, url: str, key: str, what: str, *, unreadable: str = "", **body: Any) -> dict[str, Any]:
        """What a service answers. `unreadable`: what is told when it refuses the file itself, as speaches does."""
        try:
            response = await self._http.post(
                url, headers={"authorization": f"Bearer {key}"}, timeout=httpx.Timeout(180, connect=5), **body
            )
        except httpx.TransportError as error:
            raise unavailable(what) from error
        if response.status_code in (429, 502, 503, 504):
            raise unavailable(what)
        if unreadable and response.status_code in (400, 415, 422):
            raise ApiError(400, unreadable, code="invalid_attachment", param="messages")
        if response.is_error:
            raise ApiError(502, f"{what} answered with status {response.status_code}", code="tool_failed")
        try:
            answer = response.json()
        except ValueError as error:
            raise _malformed(what) from error
        if not isinstance(answer, dict):
            raise _malformed(what)
        return answer


def _malformed(what: str) -> ApiError:
    return ApiError(502, f"{what}'s answer is malformed", code="tool_failed", kind="server_error")


def _pick(files: Sequence[Attachment], number: Any) -> Attachment:
    if not isinstance(number, int) or not 1 <= number <= len(files):
        raise ApiError(400, f"there is no attachment {number}; there are {len(files)}", code="no_such_attachment")
    return files[number - 1]

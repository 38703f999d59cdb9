"""Calls of the tools, through the mesh's local addresses."""

import json
from collections.abc import Sequence
from typing import Any, Final

import httpx

from mesh_agents import metrics
from mesh_agents.config import Settings
from mesh_agents.errors import ApiError, unavailable
from mesh_agents.rag.answer import Searcher
from mesh_agents.rag.ocr import OcrClient
from mesh_agents.tools import spec
from mesh_agents.tools.attachments import Attachment
from mesh_agents.tools.images import ImageClient

MAX_OUTPUT: Final = 12_000
"""Characters of a tool's answer that a model sees; the rest is cut and said to be."""


class Toolbox:
    """All tools."""

    def __init__(self, settings: Settings, http: httpx.AsyncClient, searcher: Searcher, ocr: OcrClient) -> None:
        """Use `http`, which its owner closes."""
        self.images: Final = ImageClient(settings, http)
        self._http = http
        self._searcher = searcher
        self._ocr = ocr
        self._interpreter = f"{settings.interpreter_url}/v1/execute"
        self._interpreter_key = settings.secret("interpreter-key").get_secret_value()
        self._whisper = f"{settings.whisper_url}/v1/audio/transcriptions"
        self._whisper_key = settings.secret("whisper-key").get_secret_value()
        self._whisper_model = settings.whisper_model

    async def call(self, name: str, arguments: str, tenant: str, files: Sequence[Attachment]) -> str:
        """The answer of a tool as text; also what went wrong, which the model may react to."""
        try:
            output = await self._dispatch(name, json.loads(arguments or "{}"), tenant, files)
        except (ValueError, TypeError, KeyError):
            metrics.TOOL_CALLS.labels(name, "bad_arguments").inc()
            return "error: the arguments do not fit the tool's schema"
        except ApiError as error:
            metrics.TOOL_CALLS.labels(name, "failed").inc()
            return f"error: {error}"
        metrics.TOOL_CALLS.labels(name, "ok").inc()
        if len(output) > MAX_OUTPUT:
            return f"{output[:MAX_OUTPUT]}\n(cut: {len(output) - MAX_OUTPUT} more characters)"
        return output

    async def _dispatch(self, name: str, given: dict[str, Any], tenant: str, files: Sequence[Attachment]) -> str:
        if name == spec.SEARCH:
            return await self._search(tenant, str(given["query"]))
        if name == spec.RUN_CODE:
            return await self._run_code(str(given["code"]))
        if name == spec.GENERATE_IMAGE:
            return await self.images.make(str(given["prompt"]))
        file = _pick(files, given["attachment"])
        if name == spec.READ_IMAGE:
            return await self._ocr.markdown(file.content, file.name, file.media_type)
        if name == spec.TRANSCRIBE:
            return await self._transcribe(file)
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

    async def _transcribe(self, file: Attachment) -> str:
        body = await self._post(
            self._whisper,
            self._whisper_key,
            "the speech service",
            files={"file": (file.name, file.content, file.media_type)},
            data={"model": self._whisper_model, "response_format": "json"},
        )
        return str(body["text"])

    async def _post(self, url: str, key: str, what: str, **body: Any) -> dict[str, Any]:
        try:
            response = await self._http.post(
                url, headers={"authorization": f"Bearer {key}"}, timeout=httpx.Timeout(180, connect=5), **body
            )
        except httpx.TransportError as error:
            raise unavailable(what) from error
        if response.status_code in (429, 502, 503, 504):
            raise unavailable(what)
        if response.is_error:
            raise ApiError(502, f"{what} answered with status {response.status_code}", code="tool_failed")
        answer: dict[str, Any] = response.json()
        return answer


def _pick(files: Sequence[Attachment], number: Any) -> Attachment:
    if not isinstance(number, int) or not 1 <= number <= len(files):
        raise ApiError(400, f"there is no attachment {number}; there are {len(files)}", code="no_such_attachment")
    return files[number - 1]

"""Calls of the model proxy, in OpenAI's chat protocol.

The proxy does fallbacks, retries and budgets. Here lives what it cannot do for us: an answer that was cut in the middle
ends in one clear error, never in silence or with the beginning of another model's answer behind it.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from mesh_agents import metrics
from mesh_agents.config import Settings
from mesh_agents.errors import ApiError, unavailable
from mesh_agents.llm.prices import Prices
from mesh_agents.logs import request_id

PATH: Final = "/v1/chat/completions"
_OK: Final = 200
_AWAY: Final = (aiohttp.ClientError, TimeoutError, OSError)


@asynccontextmanager
async def model_session() -> AsyncIterator[aiohttp.ClientSession]:
    """Connections to the model proxy.

    By aiohttp, where other calls are made by httpx: a token that passes costs a fraction of the processor's time, and
    there are thousands of them a second. No cookies: callers share the connections.
    """
    connector = aiohttp.TCPConnector(limit=1000)
    async with aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), skip_auto_headers=("User-Agent",)
    ) as session:
        yield session


@dataclass(frozen=True, kw_only=True)
class Completion:
    """A whole answer."""

    body: dict[str, Any]
    """As the proxy sent it."""
    model: str
    tokens_in: int
    tokens_out: int
    usd: float
    """By our price list."""

    @property
    def message(self) -> dict[str, Any]:
        """The assistant's message."""
        message: dict[str, Any] = self.body["choices"][0]["message"]
        return message

    @property
    def text(self) -> str:
        """Its text."""
        return self.message.get("content") or ""


class ModelClient:
    """The model proxy."""

    def __init__(self, settings: Settings, session: aiohttp.ClientSession) -> None:
        """Use `session`, which its owner closes."""
        self._session = session
        self._url = f"{settings.litellm_url}{PATH}"
        self._key = settings.secret("litellm-key").get_secret_value()
        self._first = settings.first_token_seconds
        self._idle = settings.idle_stream_seconds
        self._prices = Prices.parse(settings.prices)

    async def _post(self, payload: Mapping[str, Any], user: str) -> aiohttp.ClientResponse:
        """The answer's beginning; who asks closes it.

        Raises:
            ApiError: 503, the proxy cannot be reached.

        """
        try:
            return await self._session.post(
                self._url,
                # `user` keeps callers' cached answers and spend apart in the proxy.
                json={**payload, "user": user},
                headers={"authorization": f"Bearer {self._key}", "x-request-id": request_id.get()},
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=max(self._first, self._idle)),
                allow_redirects=False,
            )
        except _AWAY as error:
            raise _unreachable(str(payload["model"]), error) from error

    async def complete(self, payload: Mapping[str, Any], user: str) -> Completion:
        """A whole answer of `payload["model"]`.

        Raises:
            ApiError: the proxy refused, failed or cannot be reached.

        """
        model = str(payload["model"])
        async with await self._post({**payload, "stream": False}, user) as response:
            content = await _read(response, model)
        _raise_for(response.status, content, model)
        try:
            body = json.loads(content)
            body["choices"][0]["message"]["role"]
        except (ValueError, LookupError, TypeError) as error:
            metrics.MODEL_CALLS.labels(model, "malformed").inc()
            raise _upstream("the model proxy's answer is malformed", "upstream_malformed") from error
        metrics.MODEL_CALLS.labels(model, "ok").inc()
        usage = body.get("usage") or {}
        usd = self.count(model, usage)
        tokens_in, tokens_out = _tokens(usage)
        return Completion(body=body, model=model, tokens_in=tokens_in, tokens_out=tokens_out, usd=usd)

    def count(self, model: str, usage: Mapping[str, Any]) -> float:
        """Note what a call used; its cost in US dollars."""
        tokens_in, tokens_out = _tokens(usage)
        usd = self._prices.cost(model, tokens_in, tokens_out)
        metrics.TOKENS.labels(model, "in").inc(tokens_in)
        metrics.TOKENS.labels(model, "out").inc(tokens_out)
        metrics.COST_USD.labels(model).inc(usd)
        return usd

    async def stream(self, payload: Mapping[str, Any], user: str) -> AsyncIterator[dict[str, Any]]:
        """The chunks of an answer, after the first has come.

        Await it: an error before the first chunk is raised here, so that the caller can still answer with a status.
        Iterating raises `ApiError` when the answer is cut.
        """
        model = str(payload["model"])
        start = time.perf_counter()
        response = await self._post({**payload, "stream": True}, user)
        try:
            if response.status != _OK:
                _raise_for(response.status, await _read(response, model), model)
            chunks = self._chunks(response, model)
            first = await anext(chunks)
        except BaseException:
            response.close()
            raise
        metrics.FIRST_TOKEN_SECONDS.labels(model).observe(time.perf_counter() - start)
        return _with_first(first, chunks)

    async def _chunks(self, response: aiohttp.ClientResponse, model: str) -> AsyncIterator[dict[str, Any]]:
        """Parsed events until `[DONE]`; an end without it is a cut."""
        finished = False
        try:
            async for line in self._lines(response):
                if not line.startswith(b"data:"):
                    continue
                data = line.removeprefix(b"data:").strip()
                if data == b"[DONE]":
                    break
                chunk = json.loads(data)
                if "error" in chunk:
                    raise _upstream(f"the model failed while it answered: {_message(chunk)}", "upstream_failed")
                finished = finished or any(choice.get("finish_reason") for choice in chunk.get("choices", ()))
                yield chunk
            if not finished:
                raise _upstream("the model's answer was cut off before its end", "upstream_cut")
            metrics.MODEL_CALLS.labels(model, "ok").inc()
        except ApiError:
            metrics.MODEL_CALLS.labels(model, "cut").inc()
            raise
        except (*_AWAY, ValueError) as error:
            metrics.MODEL_CALLS.labels(model, "cut").inc()
            raise _upstream("the model's answer was cut off before its end", "upstream_cut") from error
        finally:
            response.close()

    async def _lines(self, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        """Whole lines, as they come; a line of any length, which the library's own reader refuses."""
        rest = b""
        wait = self._first
        while True:
            async with asyncio.timeout(wait):
                data = await response.content.readany()
            if not data:
                return
            wait = self._idle
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                yield line


async def _with_first(first: dict[str, Any], rest: AsyncIterator[dict[str, Any]]) -> AsyncIterator[dict[str, Any]]:
    yield first
    async for chunk in rest:
        yield chunk


def _tokens(usage: Mapping[str, Any]) -> tuple[int, int]:
    return int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0)


def _upstream(message: str, code: str) -> ApiError:
    return ApiError(502, message, code=code, kind="server_error")


async def _read(response: aiohttp.ClientResponse, model: str) -> bytes:
    try:
        return await response.read()
    except _AWAY as error:
        raise _unreachable(model, error) from error


def _unreachable(model: str, error: Exception) -> ApiError:
    metrics.MODEL_CALLS.labels(model, "unreachable").inc()
    return unavailable(f"the model proxy ({type(error).__name__})")


def _raise_for(status: int, content: bytes, model: str) -> None:
    """Turn the proxy's refusals into ours.

    What the caller can mend keeps its status; a refused key is our own fault and must not read like the caller's.
    """
    if status == _OK:
        return
    metrics.MODEL_CALLS.labels(model, str(status)).inc()
    try:
        told = _message(json.loads(content))
    except ValueError:
        told = f"status {status}"
    if status in (400, 404, 413, 422):
        raise ApiError(status, told, code="model_refused")
    if status == 429:
        raise ApiError(429, told, code="rate_limited", kind="rate_limit_error", retry_after=10)
    if status in (502, 503, 504):
        raise unavailable(f"the model {model!r}")
    raise _upstream(f"the model proxy answered with status {status}", "upstream_failed")


def _message(body: Any) -> str:
    error = body.get("error", body) if isinstance(body, dict) else body
    text = error.get("message") if isinstance(error, dict) else error
    return str(text)[:500]

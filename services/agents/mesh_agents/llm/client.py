"""Calls of the model proxy, in OpenAI's chat protocol.

The proxy does fallbacks, retries and budgets. Here lives what it cannot do for us: an answer that breaks before a word
of it was passed on is asked for again, and one that breaks later ends in one clear error, never in silence or with the
beginning of another model's answer behind it.
"""

import asyncio
import json
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import aiohttp

from mesh_agents import metrics
from mesh_agents.config import Settings
from mesh_agents.errors import ApiError, unavailable
from mesh_agents.llm.events import BrokenError, Event, Reader, cut, message
from mesh_agents.llm.prices import Prices
from mesh_agents.llm.usage import Usage, counted, together, tokens
from mesh_agents.logs import request_id

PATH: Final = "/v1/chat/completions"
AGAIN: Final = 2
"""How often an answer that broke is asked for again. After two failures the proxy lets a model rest, and the third call
goes to another one."""
_LOG: Final = logging.getLogger(__name__)
_OK: Final = 200
_AWAY: Final = (aiohttp.ClientError, TimeoutError, OSError)

T = TypeVar("T")


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
    """As the proxy sent it; its usage with what was spent on answers that broke before it."""
    model: str
    usd: float
    """By our price list."""

    @property
    def usage(self) -> dict[str, Any]:
        """What it used, under OpenAI's names."""
        usage: dict[str, Any] = self.body["usage"]
        return usage

    @property
    def message(self) -> dict[str, Any]:
        """The assistant's message."""
        message: dict[str, Any] = self.body["choices"][0]["message"]
        return message

    @property
    def text(self) -> str:
        """Its text."""
        content = self.message.get("content")
        return content if isinstance(content, str) else ""


class Streamed:
    """An answer that comes in portions: those events that each read from the network brings."""

    def __init__(self, portions: AsyncGenerator[list[Event], None], reader: Reader, payload: Mapping[str, Any]) -> None:
        """`reader` reads what `portions` yields."""
        self._portions = portions
        self._reader = reader
        self._payload = payload
        self.broken: list[Usage] = []
        """What answers used that broke before this one."""

    def __aiter__(self) -> AsyncIterator[list[Event]]:
        """The portions; raises `ApiError` when the answer breaks."""
        return self._portions

    async def aclose(self) -> None:
        """End the call."""
        await self._portions.aclose()

    @property
    def usage(self) -> dict[str, Any]:
        """What it used until now, and what was spent on answers that broke before it."""
        own = counted(self._reader.usage, self._payload, self._reader.characters)
        return together([*self.broken, own])


class ModelClient:
    """The model proxy."""

    def __init__(self, settings: Settings, session: aiohttp.ClientSession) -> None:
        """Use `session`, which its owner closes."""
        self._session = session
        self._url = f"{settings.litellm_url}{PATH}"
        self._key = settings.secret("litellm-key").get_secret_value()
        self._first = settings.first_token_seconds
        self._idle = settings.idle_stream_seconds
        self._whole_answer = _silence(settings.whole_answer_seconds)
        self._stream = _silence(max(self._first, self._idle))
        self._prices = Prices.parse(settings.prices)

    async def complete(self, payload: Mapping[str, Any], user: str) -> Completion:
        """A whole answer of `payload["model"]`.

        Raises:
            ApiError: the proxy refused, failed or cannot be reached.

        """
        model = str(payload["model"])
        body, broken = await self._persistently(model, lambda: self._whole(payload, user))
        usage = together([*broken, body["usage"]])
        return Completion(body={**body, "usage": usage}, model=model, usd=self.usd(model, usage))

    async def stream(self, payload: Mapping[str, Any], user: str) -> Streamed:
        """The events of an answer, in the portions in which they come, after the first that says something.

        Await it: until then an error is raised here, so that the caller can still answer with a status. Iterating
        raises `ApiError` when the answer breaks.
        """
        # Usage is asked for in any case, for the metrics.
        asked = {**payload, "stream": True, "stream_options": {"include_usage": True}}
        answer, broken = await self._persistently(str(payload["model"]), lambda: self._begun(asked, user))
        answer.broken = broken
        return answer

    def usd(self, model: str, usage: Usage) -> float:
        """What a call costs by our price list."""
        return self._prices.cost(model, *tokens(usage))

    async def _persistently(self, model: str, ask: Callable[[], Awaitable[T]]) -> tuple[T, list[Usage]]:
        """What `ask` answers, and what answers used that broke before it.

        It is asked again for as long as a caller would wait for the first word.
        """
        used: list[Usage] = []
        start = time.perf_counter()
        while True:
            try:
                return await ask(), used
            except BrokenError as error:
                used.append(error.used)
                if len(used) > AGAIN or time.perf_counter() - start > self._first:
                    raise
                metrics.ASKED_AGAIN.labels(model).inc()
                _LOG.warning("asked again: %s", error, extra={"model": model, "code": error.body.code})

    async def _whole(self, payload: Mapping[str, Any], user: str) -> dict[str, Any]:
        model = str(payload["model"])
        async with await self._post({**payload, "stream": False}, user) as response:
            content = await self._read(response, payload)
        _raise_for(response.status, content, model)
        try:
            body: dict[str, Any] = json.loads(content)
            said = body["choices"][0]["message"]
            said["role"]
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            broken = BrokenError("the model proxy's answer is malformed", "upstream_malformed")
            raise self._broken(broken, payload, "malformed") from error
        metrics.MODEL_CALLS.labels(model, "ok").inc()
        body["usage"] = counted(body.get("usage"), payload, len(str(said.get("content") or "")))
        self._count(model, body["usage"])
        return body

    async def _begun(self, payload: Mapping[str, Any], user: str) -> Streamed:
        """An answer that has said something, none of which was passed on yet."""
        model = str(payload["model"])
        start = time.perf_counter()
        response = await self._post(payload, user)
        reader = Reader()
        portions = self._portions(response, reader, payload)
        try:
            if response.status != _OK:
                _raise_for(response.status, await self._read(response, payload), model)
            held: list[Event] = []
            while reader.failure or not (reader.characters or reader.ended):
                held += await anext(portions, ())
        except BaseException:
            await portions.aclose()
            response.close()
            raise
        metrics.FIRST_TOKEN_SECONDS.labels(model).observe(time.perf_counter() - start)
        return Streamed(_with_first(held, portions), reader, payload)

    async def _portions(
        self, response: aiohttp.ClientResponse, reader: Reader, payload: Mapping[str, Any]
    ) -> AsyncGenerator[list[Event], None]:
        """What each read from the network brings, until the answer ends."""
        model = str(payload["model"])
        wait = self._first
        try:
            while not reader.ended:
                async with asyncio.timeout(wait):
                    data = await response.content.readany()
                wait = self._idle
                if events := reader.feed(data):
                    yield events
        except TimeoutError as error:
            self._spend(payload, "silent", reader)
            raise _upstream(f"the model said nothing for {wait:g} seconds", "upstream_silent") from error
        except _AWAY as error:
            raise self._broken(cut(), payload, "cut", reader) from error
        except BaseException:  # the caller left
            self._spend(payload, "left", reader)
            raise
        finally:
            response.close()
        if reader.failure:
            raise self._broken(reader.failure, payload, "cut", reader)
        metrics.MODEL_CALLS.labels(model, "ok").inc()
        self._count(model, counted(reader.usage, payload, reader.characters))

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
                # A whole answer comes at its end only.
                timeout=self._stream if payload["stream"] else self._whole_answer,
                allow_redirects=False,
            )
        except _AWAY as error:
            raise self._no_answer(payload, error) from error

    async def _read(self, response: aiohttp.ClientResponse, payload: Mapping[str, Any]) -> bytes:
        try:
            return await response.read()
        except _AWAY as error:
            raise self._no_answer(payload, error) from error

    def _no_answer(self, payload: Mapping[str, Any], error: Exception) -> ApiError:
        """Who was there and hung up may be asked again at once; who is not there, or says nothing, not."""
        if not isinstance(error, (TimeoutError, aiohttp.ClientConnectorError)):
            return self._broken(cut(), payload, "cut")
        metrics.MODEL_CALLS.labels(str(payload["model"]), "unreachable").inc()
        return unavailable(f"the model proxy ({type(error).__name__})")

    def _broken(
        self, error: BrokenError, payload: Mapping[str, Any], outcome: str, reader: Reader | None = None
    ) -> BrokenError:
        error.used = self._spend(payload, outcome, reader)
        return error

    def _spend(self, payload: Mapping[str, Any], outcome: str, reader: Reader | None = None) -> Usage:
        """Note a call whose answer did not come to its end. It costs all the same, and mostly nobody says what."""
        model = str(payload["model"])
        metrics.MODEL_CALLS.labels(model, outcome).inc()
        used = counted(reader and reader.usage, payload, reader.characters if reader else 0)
        self._count(model, used)
        return used

    def _count(self, model: str, usage: Usage) -> None:
        tokens_in, tokens_out = tokens(usage)
        metrics.TOKENS.labels(model, "in").inc(tokens_in)
        metrics.TOKENS.labels(model, "out").inc(tokens_out)
        metrics.COST_USD.labels(model).inc(self._prices.cost(model, tokens_in, tokens_out))


def _silence(seconds: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=seconds)


async def _with_first(first: list[Event], rest: AsyncGenerator[list[Event], None]) -> AsyncGenerator[list[Event], None]:
    try:
        yield first
        async for portion in rest:
            yield portion
    finally:
        await rest.aclose()


def _upstream(message: str, code: str) -> ApiError:
    return ApiError(502, message, code=code, kind="server_error")


def _raise_for(status: int, content: bytes, model: str) -> None:
    """Turn the proxy's refusals into ours.

    What the caller can fix keeps its status; a refused key is our own fault and must not read like the caller's.
    """
    if status == _OK:
        return
    metrics.MODEL_CALLS.labels(model, str(status)).inc()
    try:
        told = message(json.loads(content))
    except (ValueError, RecursionError):
        told = f"status {status}"
    if status in (400, 404, 413, 422):
        raise ApiError(status, told, code="model_refused")
    if status == 429:
        raise ApiError(429, told, code="rate_limited", kind="rate_limit_error", retry_after=10)
    if status in (502, 503, 504):
        raise unavailable(f"the model {model!r}")
    raise _upstream(f"the model proxy answered with status {status}", "upstream_failed")

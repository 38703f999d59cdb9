"""A hook of the model proxy: responses of OpenAI's Responses API are stored, so that clients may refer to them.

LiteLLM loses the conversation behind `previous_response_id` without a word, unless it may keep all prompts in its
database, and no provider here stores responses. Here each response is kept in Redis with what was asked, for the one
that asked: a later request may name it, or an item of it, and it can be read and deleted. `store: false` keeps nothing.
Loaded by `litellm_settings.callbacks` from beside the configuration, before `bad_input`, whose body reader then stands
around this one.
"""

import contextlib
import hashlib
import json
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from http import HTTPStatus
from typing import Any, Final

import litellm
import orjson
from litellm._logging import verbose_proxy_logger
from litellm.integrations.custom_logger import CustomLogger
from litellm.proxy._types import ProxyException
from litellm.proxy.proxy_server import app

PATH: Final = "/v1/responses"
SECONDS: Final = 7 * 24 * 3600
"""How long a response is kept."""
MAX_BYTES: Final = 2 * 1024 * 1024
"""Of one request and its response. What is larger, pictures as a rule, is not kept."""
MAX_TURNS: Final = 200
"""Of a conversation."""
_PREFIX: Final = "litellm:responses:"
"""Redis lets the proxy's user have keys of this beginning."""
_URI: Final = re.compile(rb'(?:^|[;,])URI="?([^;,"]+)')
_LONG_ID: Final = re.compile(rb'"resp_[A-Za-z0-9_=-]{60,}"')
_COMPLETED: Final = (b"event: response.completed", b"event: response.incomplete", b'data: {"type":"response.')
_NOT_HERE: Final[Mapping[str, str]] = {
    "background": "responses are given at once, not in the background",
    "conversation": "conversations are not kept on the server: use previous_response_id, or send all of it in 'input'",
    "prompt": "there are no stored prompts: send the text in 'instructions' and 'input'",
}
_OWN_TOOLS: Final = ("function", "custom")
_CLOUD_TOOLS: Final = ("web_search", "web_search_preview")
"""Claude has one, which LiteLLM asks instead."""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def refuse(message: str, param: str | None, status: int = 400) -> ProxyException:
    """The error of a request that its caller can fix."""
    return ProxyException(message=message, type="invalid_request_error", param=param, code=status)


def owner(headers: Mapping[bytes, bytes]) -> str:
    """Whose response: the key's, and of those who share it the mesh's caller's and the gateway's consumer's."""
    caller = _URI.search(headers.get(b"x-forwarded-client-cert", b""))
    parts = (
        headers.get(b"authorization", b"") or headers.get(b"x-api-key", b""),
        caller[1] if caller else b"",
        headers.get(b"x-consumer-username", b""),
    )
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


class Store:
    """One owner's responses, in Redis."""

    def __init__(self, whose: str) -> None:
        """Of `whose`."""
        self._whose = whose

    def _key(self, kind: str, name: str) -> str:
        return f"{_PREFIX}{self._whose}:{kind}:{hashlib.sha256(name.encode()).hexdigest()}"

    async def get(self, kind: str, name: str) -> Any:
        """A response or an item; None: it is not there."""
        found = await _redis().get(self._key(kind, name))
        return None if found is None else orjson.loads(found)

    async def put(self, turn: dict[str, Any]) -> None:
        """Keep a response, and its items by their own names."""
        response = turn["response"]
        raw = orjson.dumps(turn)
        if len(raw) > MAX_BYTES:
            return
        pipe = _redis().pipeline(transaction=False)
        pipe.set(self._key("response", response["id"]), raw, ex=SECONDS)
        for item in response.get("output") or ():
            if isinstance(item, dict) and isinstance(item.get("id"), str):
                pipe.set(self._key("item", item["id"]), orjson.dumps(item), ex=SECONDS)
        await pipe.execute()

    async def delete(self, turn: dict[str, Any]) -> None:
        """Forget a response and its items."""
        response = turn["response"]
        names = [self._key("response", response["id"])]
        names += [self._key("item", str(item.get("id"))) for item in response.get("output") or ()]
        await _redis().delete(*names)

    async def conversation(self, name: str) -> list[Any]:
        """All that was said up to a response and in it, oldest first.

        Raises:
            ProxyException: it is not there, or something before it is not.

        """
        turns: list[dict[str, Any]] = []
        wanted: str | None = name
        while wanted is not None:
            turn = await self.get("response", wanted)
            if turn is None or len(turns) == MAX_TURNS:
                words = (
                    f"the previous response '{name[:80]}' is not here (kept are responses of the last "
                    f"{SECONDS // 86400} days, unless sent with store=false): send the whole conversation in 'input'"
                )
                raise refuse(words, "previous_response_id")
            turns.append(turn)
            wanted = turn["response"].get("previous_response_id")
        said: list[Any] = []
        for turn in reversed(turns):
            said += turn["input"]
            # What a model thought is its own, and of no use to another.
            said += [item for item in turn["response"].get("output") or () if item.get("type") != "reasoning"]
        return said

    async def resolved(self, items: list[Any]) -> list[Any]:
        """The items of an input, those that are named only with their content.

        Raises:
            ProxyException: one is not there.

        """
        whole: list[Any] = []
        for place, item in enumerate(items):
            if isinstance(item, dict) and item.get("type") == "item_reference":
                found = await self.get("item", str(item.get("id")))
                if found is None:
                    words = f"'input[{place}]' names an item that is not here: send it whole, with store=false"
                    raise refuse(words, f"input[{place}].id")
                if found.get("type") != "reasoning":
                    whole.append(found)
            else:
                whole.append(item)
        return whole


def _redis() -> Any:
    cache = litellm.cache
    if cache is None:
        raise ConnectionError("there is no cache")
    return cache.cache.init_async_client()  # type: ignore[attr-defined]


def items_of(given: Any) -> Any:
    """The input of a request as a list of items, if that is what it can be."""
    if isinstance(given, str):
        return [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": given}]}]
    return given


class Responses:
    """ASGI around LiteLLM's routes of responses."""

    def __init__(self, inner: Any) -> None:
        """Around `inner`."""
        self._inner = inner

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer what is about stored responses; hand on what asks for one."""
        path = scope.get("path", "").rstrip("/")
        if scope["type"] != "http" or not (path == PATH or path.startswith(f"{PATH}/")):
            await self._inner(scope, receive, send)
            return
        store = Store(owner(dict(scope["headers"])))
        try:
            if path == PATH and scope["method"] == "POST":
                await self._create(store, scope, receive, send)
            elif scope["method"] in ("GET", "DELETE") and path != PATH:
                if await self._known(scope, send):
                    await _reply(send, 200, await _stored(store, scope["method"], path, scope["query_string"]))
            else:
                await self._inner(scope, receive, send)
        except ProxyException as error:
            await _reply(send, int(error.code or 400), {"error": error.to_dict()})

    async def _create(self, store: Store, scope: Message, receive: Receive, send: Send) -> None:
        _, parsed = scope.get("parsed_body") or ((), None)
        if parsed is None:
            await self._inner(scope, receive, send)
            return
        previous = parsed.pop("previous_response_id", None)
        if previous is not None and (not isinstance(previous, str) or not previous):
            raise refuse("'previous_response_id' must be the id of a response", "previous_response_id")
        keep = parsed.pop("store", None)
        if not isinstance(keep, bool | None):
            raise refuse("'store' must be true or false", "store")
        # LiteLLM wants the names of what is there besides.
        scope["parsed_body"] = (tuple(parsed), parsed)
        asked = items_of(parsed.get("input"))
        if isinstance(asked, list):
            with _readable():
                asked = await store.resolved(asked)
                before = await store.conversation(previous) if previous is not None else []
            if isinstance(parsed["input"], list) or before:
                parsed["input"] = [*before, *asked]
            send = Keeping(send, None if keep is False else store, asked, previous)
        await self._inner(scope, receive, send)

    async def _known(self, scope: Message, send: Send) -> bool:
        """Whether LiteLLM takes the caller's key; if not, its error has been sent."""
        head: list[Message] = []
        body: list[Message] = []

        async def taken(message: Message) -> None:
            (head if message["type"] == "http.response.start" else body).append(message)

        async def nothing() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        asked = {**scope, "method": "GET", "path": "/v1/models", "raw_path": b"/v1/models", "query_string": b""}
        await self._inner(asked, nothing, taken)
        if head and head[0]["status"] < HTTPStatus.BAD_REQUEST:
            return True
        for message in (*head, *body):
            await send(message)
        return False


@contextlib.contextmanager
def _readable() -> Any:
    try:
        yield
    except ProxyException:
        raise
    except Exception as error:
        verbose_proxy_logger.error("stored responses cannot be read: %s", error)
        raise refuse("stored responses cannot be read at the moment: try again later", None, 503) from error


async def _stored(store: Store, method: str, path: str, query: bytes) -> dict[str, Any]:
    """The answer about one stored response.

    Raises:
        ProxyException: there is none of this name.

    """
    name, _, rest = path.removeprefix(f"{PATH}/").partition("/")
    if rest not in ("", "input_items"):
        raise refuse("there is no such route", None, 404)
    if b"stream=true" in query.lower():
        raise refuse("a stored response is given whole: 'stream' must be false", "stream")
    with _readable():
        turn = await store.get("response", name)
        if turn is None:
            words = f"Response with id '{name[:80]}' not found."
            raise refuse(words, "response_id", 404)
        if method == "DELETE":
            await store.delete(turn)
            return {"id": turn["response"]["id"], "object": "response", "deleted": True}
    if rest:
        items = [{"id": f"msg_{uuid.uuid4().hex}", **item} for item in turn["input"] if isinstance(item, dict)]
        edge = {"first_id": items[0]["id"], "last_id": items[-1]["id"]} if items else {}
        return {"object": "list", "data": items, "has_more": False, **edge}
    response: dict[str, Any] = turn["response"]
    return response


class Keeping:
    """What is sent to the client, with a short id, and of which the whole response is kept before its end is sent.

    LiteLLM's ids are 500 random characters: too long for a path, and now and then an attack to the edge's rules.
    """

    def __init__(self, send: Send, store: Store | None, asked: list[Any], previous: str | None) -> None:
        """To `send`; `store`: None: nothing is kept. `asked`: the input, `previous`: the response that it follows."""
        self._send = send
        self._store = store
        self._asked = asked
        self._previous = previous
        self._start: Message = {}
        self._events = False
        self._body = b""
        self._names: tuple[bytes, bytes] | None = None

    async def __call__(self, message: Message) -> None:
        """Take the next part of an answer."""
        if message["type"] == "http.response.start":
            self._start = message
            kind = next((value for name, value in message["headers"] if name == b"content-type"), b"")
            self._events = kind.startswith(b"text/event-stream")
            if self._events or message["status"] != HTTPStatus.OK:
                await self._send(message)
        elif self._start["status"] != HTTPStatus.OK:
            await self._send(message)
        elif self._events:
            part = self._named(message.get("body", b""))
            if part.startswith(_COMPLETED):
                await self._keep(part.partition(b"data: ")[2])
            await self._send({**message, "body": part})
        else:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._whole()

    async def _whole(self) -> None:
        body = self._named(self._body)
        await self._keep(body)
        headers = [header for header in self._start["headers"] if header[0] != b"content-length"]
        headers.append((b"content-length", str(len(body)).encode()))
        await self._send({**self._start, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})

    def _named(self, part: bytes) -> bytes:
        if self._names is None and (found := _LONG_ID.search(part)) is not None:
            short = b'"resp_' + hashlib.sha256(found[0]).hexdigest()[:48].encode() + b'"'
            self._names = (found[0], short)
        return part if self._names is None else part.replace(*self._names)

    async def _keep(self, raw: bytes) -> None:
        if self._store is None:
            return
        try:
            told = orjson.loads(raw)
            if self._events:
                if told.get("type") not in ("response.completed", "response.incomplete"):
                    return
                told = told["response"]
            response = {**told, "previous_response_id": self._previous, "store": True}
            await self._store.put({"input": self._asked, "response": response})
        except Exception as error:  # noqa: BLE001 - the answer is worth more than its copy
            verbose_proxy_logger.error("a response was not kept: %s", error)


async def _reply(send: Send, status: int, answer: dict[str, Any]) -> None:
    body = json.dumps(answer).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class OnlyOurs(CustomLogger):
    """Refuses by name what OpenAI does on its own servers and nobody here does."""

    async def async_pre_call_hook(
        self,
        user_api_key_dict: Any,  # noqa: ARG002 - the signature is LiteLLM's
        cache: Any,  # noqa: ARG002
        data: dict[str, Any],
        call_type: str,
    ) -> dict[str, Any]:
        """The call's arguments.

        Raises:
            ProxyException: one of them is for OpenAI's servers.

        """
        if call_type in ("responses", "aresponses"):
            check(data)
        return data


def check(data: Mapping[str, Any]) -> None:
    """Check a request for a response.

    Raises:
        ProxyException: it wants what there is not.

    """
    for name, words in _NOT_HERE.items():
        if data.get(name):
            raise refuse(f"'{name}' is not supported: {words}", name)
    claude = str(data.get("model")).startswith("claude")
    allowed = (*_OWN_TOOLS, *_CLOUD_TOOLS) if claude else _OWN_TOOLS
    for place, tool in enumerate(data.get("tools") or ()):
        kind = tool.get("type") if isinstance(tool, dict) else None
        if kind not in allowed:
            words = f"'tools[{place}].type' must be {' or '.join(allowed)}: OpenAI runs its other tools itself"
            raise refuse(words, f"tools[{place}].type")


hook = OnlyOurs()
app.middleware_stack = Responses(app.middleware_stack)

"""A hook of the model proxy: errors have the shape of the caller's protocol, and say nothing of the platform's inside.

LiteLLM's own words name its exceptions, the providers' hosts, the configured fallbacks and hashes of keys, and a
provider that refuses the platform's key looks like one that refuses the caller's. Loaded by
`litellm_settings.callbacks` from beside the configuration, after `bad_input`, so that it stands around it.
"""

import json
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from http import HTTPStatus
from typing import Any, Final

import orjson
from litellm.integrations.custom_logger import CustomLogger
from litellm.proxy.proxy_server import app

_MODELS: Final = "/v1/"
_ANTHROPIC: Final = "/v1/messages"
_EVENTS: Final = b"text/event-stream"

_INSIDE: Final = re.compile(
    r"\.?\s*(?:Received Model Group|Available Model Group|No fallback model group|Error doing the fallback"
    r"|LiteLLM Retried|Deployment Info|Received API Key|Key Hash|Unable to find token|Traceback|Fallbacks=)"
)
"""Where LiteLLM begins to tell of itself."""
_PREFIX: Final = re.compile(r"(?:litellm\.)?(?:[A-Z]\w*(?:Error|Exception)|Timeout)(?: ?-|:)\s+|\w+Exception - ")
"""Names of exceptions, one after the other."""
_AWAY: Final = re.compile(r"connect|Server disconnected|Name or service not known|getaddrinfo", re.IGNORECASE)
_ADDRESS: Final = re.compile(r"https?://[^\s'\"<>)]+|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b")
_REFUSED_US: Final = re.compile(
    r"litellm\.(?:AuthenticationError|PermissionDeniedError|NotFoundError|BadGatewayError)|^AuthenticationError:"
)
"""A provider's word on the platform's key or on the configured model: nothing that the caller could change."""
_TOO_LONG: Final = "ContextWindowExceededError"
_LATE: Final = re.compile(r"^litellm\.Timeout")
_KEPT: Final = frozenset({"invalid_request_error", "budget_exceeded", "rate_limit_error", "insufficient_quota"})
_ANTHROPIC_TYPES: Final[Mapping[int, str]] = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_WORDS: Final[Mapping[int, str]] = {
    401: "the API key is missing or not valid",
    404: "there is no such route",
    405: "this route has no such method",
    504: "the model did not answer in time",
    429: "too many requests: try again later",
    502: "the model's provider refused the platform's request; the operator must check the configured keys and models",
    503: "the model is not available: try again later",
}

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def plain(message: str, status: int) -> str:
    """What an error says, without names of exceptions, addresses and LiteLLM's configuration."""
    words = message.strip()
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.GATEWAY_TIMEOUT):
        return _WORDS[status]
    words = words[: found.start()] if (found := _INSIDE.search(words)) is not None else words
    while (found := _PREFIX.match(words)) is not None:
        words = words[found.end() :]
    words = said(words).strip()
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR and _AWAY.search(words):
        return "the model's server cannot be reached"
    words = _ADDRESS.sub("(an address)", words)
    return words or _WORDS.get(status, HTTPStatus(status).phrase if status in list(HTTPStatus) else "an error")


def said(words: str) -> str:
    """The message in a provider's error, if that is what it is."""
    start = words.find("{")
    if start < 0 or "}" not in words:
        return words
    for text in (words[start:], words[start : words.rfind("}") + 1]):
        try:
            given = json.loads(text)
        except ValueError:
            continue
        for _ in range(3):
            if isinstance(given, dict):
                given = given.get("error") or given.get("message") or given.get("detail")
        if isinstance(given, str):
            return words[:start] + given
    return words


def status_of(status: int, message: str) -> int:
    """The status of an error: what a provider does to the platform's request is no fault of the caller's."""
    if _LATE.search(message):
        return int(HTTPStatus.GATEWAY_TIMEOUT)
    return int(HTTPStatus.BAD_GATEWAY) if _REFUSED_US.search(message) else status


def shaped(status: int, error: Mapping[str, Any], *, anthropic: bool) -> dict[str, Any]:
    """The body of an error, in one of the two protocols."""
    if status == HTTPStatus.BAD_GATEWAY and _REFUSED_US.search(str(error.get("message"))):
        words = _WORDS[status]
    else:
        words = plain(str(error.get("message") or ""), status)
    if anthropic:
        other = "invalid_request_error" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "api_error"
        return {"type": "error", "error": {"type": _ANTHROPIC_TYPES.get(status, other), "message": words}}
    kind = error.get("type")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        kind = "api_error"
    elif kind not in _KEPT:
        kind = "rate_limit_error" if status == HTTPStatus.TOO_MANY_REQUESTS else "invalid_request_error"
    param = error.get("param")
    code = {401: "invalid_api_key", 404: "model_not_found" if param == "model" else "not_found"}
    if _TOO_LONG in str(error.get("message")):
        # Clients shorten the conversation and ask again.
        code[status] = "context_length_exceeded"
    return {
        "error": {
            "message": words,
            "type": kind,
            "param": param if isinstance(param, str) and param != "None" else None,
            "code": code.get(status, str(status)),
        }
    }


def error_in(body: bytes, status: int) -> Mapping[str, Any]:
    """The error in a body, whoever's shape it has."""
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError:
        told = body.decode(errors="replace")
    for _ in range(3):
        if not isinstance(told, dict):
            break
        inner = told.get("error", told.get("detail"))
        if inner is None:
            return told
        told = inner
    if isinstance(told, list):
        # FastAPI's, of a path or a query.
        told = "; ".join(str(part.get("msg", part)) if isinstance(part, dict) else str(part) for part in told)
    words = told if isinstance(told, str) else json.dumps(told)
    return {"message": "" if words == HTTPStatus(status).phrase else words}


class Errors:
    """What is sent to the client: an error as its protocol has it, and all else as it comes."""

    def __init__(self, send: Send, *, anthropic: bool) -> None:
        """To `send`."""
        self._send = send
        self._anthropic = anthropic
        self._start: Message = {}
        self._status = 0
        self._events = False
        self._body = b""

    async def __call__(self, message: Message) -> None:
        """Take the next part of an answer."""
        if message["type"] == "http.response.start":
            self._start, self._status = message, message["status"]
            kind = next((value for name, value in message["headers"] if name == b"content-type"), b"")
            self._events = kind.startswith(_EVENTS)
        if self._status < HTTPStatus.BAD_REQUEST:
            if self._events and message["type"] == "http.response.body":
                message = {**message, "body": event(message.get("body", b""), anthropic=self._anthropic)}
            await self._send(message)
        elif message["type"] == "http.response.body":
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._whole()

    async def _whole(self) -> None:
        error = error_in(self._body, self._status)
        status = status_of(self._status, str(error.get("message")))
        body = orjson.dumps(shaped(status, error, anthropic=self._anthropic))
        replaced = (b"content-length", b"content-type")
        headers = [header for header in self._start["headers"] if header[0] not in replaced]
        headers += [(b"content-length", str(len(body)).encode()), (b"content-type", b"application/json")]
        await self._send({**self._start, "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})


_OPENAI_EVENT: Final = b'data: {"error":'
_ANTHROPIC_EVENT: Final = b"event: error\n"
_FAILED_RESPONSE: Final = re.compile(rb'"type": ?"response\.failed"')
"""In the event that ends a broken stream of the Responses API. Quotes in what the model said are escaped."""


def event(part: bytes, *, anthropic: bool) -> bytes:
    """Part of a stream; an error in it says as little of the inside as any other. Each event comes as one part."""
    if _FAILED_RESPONSE.search(part) is not None:
        return failed(part)
    if not part.startswith((_OPENAI_EVENT, _ANTHROPIC_EVENT)):
        return part
    head, found, data = part.partition(b"data: ")
    try:
        told = orjson.loads(data)
    except orjson.JSONDecodeError:
        return part
    error = told.get("error") if isinstance(told, dict) else None
    if not isinstance(error, dict):
        return part
    given = str(error.get("code"))
    status = status_of(int(given) if given.isdigit() else 500, str(error.get("message")))
    if anthropic:
        status = max(status, int(HTTPStatus.INTERNAL_SERVER_ERROR))
    return head + found + orjson.dumps(shaped(status, error, anthropic=anthropic)) + b"\n\n"


def failed(part: bytes) -> bytes:
    """The last event of a response that broke off, whose error is a part of the response."""
    head, found, data = part.partition(b"data: ")
    try:
        told = orjson.loads(data)
        error = told["response"]["error"]
        status = status_of(500, str(error["message"]))
        error["message"] = shaped(status, error, anthropic=False)["error"]["message"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return part
    return head + found + orjson.dumps(told) + b"\n\n"


class Shapes:
    """ASGI around LiteLLM's routes of models."""

    def __init__(self, inner: Any) -> None:
        """Around `inner`."""
        self._inner = inner

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Hand the request on; what comes back passes `Errors`."""
        if scope["type"] == "http" and scope["path"].startswith(_MODELS):
            send = Errors(send, anthropic=scope["path"].startswith(_ANTHROPIC))
        await self._inner(scope, receive, send)


hook = CustomLogger()
app.middleware_stack = Shapes(app.middleware_stack)

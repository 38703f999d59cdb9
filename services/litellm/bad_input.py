"""A hook of the model proxy: what no model could answer is refused here, with a 4xx in OpenAI's error shape.

LiteLLM passes wrong types on. A provider's refusal of them is a failure like any other to it: it is tried again, and
then sent to the next model of the chain. What is no JSON object ends in a 500, and a huge body in the provider's hands.
Loaded by `litellm_settings.callbacks` from beside the configuration.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final

from litellm.integrations.custom_logger import CustomLogger
from litellm.proxy._types import ProxyException
from litellm.proxy.proxy_server import app

MAX_BYTES: Final = 32 * 1024 * 1024
"""Of a request's body: what Anthropic takes."""
EMBEDDING_MODEL: Final = "local_bge"
"""The only one that makes vectors: two models' cannot be compared."""
_ROLES: Final = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
_NUMBER: Final = (int, float)
_TYPES: Final[Mapping[str, tuple[tuple[type, ...], str]]] = {
    **dict.fromkeys(("temperature", "top_p", "frequency_penalty", "presence_penalty"), (_NUMBER, "a number")),
    **dict.fromkeys(("max_tokens", "max_completion_tokens", "n", "seed"), ((int,), "a whole number")),
    "stream": ((bool,), "true or false"),
    "user": ((str,), "a string"),
    "tools": ((list,), "a list of objects"),
    "stop": ((str, list), "a string or a list of strings"),
    "stream_options": ((dict,), "an object"),
}
_CHAT: Final = ("completion", "acompletion", "anthropic_messages", "aanthropic_messages")
_EMBEDDING: Final = ("embedding", "aembedding", "embeddings")
_FALLBACKS: Final = ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks", "default_fallbacks")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def refuse(message: str, param: str) -> ProxyException:
    """The error of a request that its caller can mend."""
    return ProxyException(message=message, type="invalid_request_error", param=param, code=400)


def check_messages(messages: object) -> None:
    """A conversation: objects with a known role, and text or parts.

    Raises:
        ProxyException: it is none.

    """
    if not isinstance(messages, list) or not messages:
        raise refuse("'messages' must be a list of at least one message", "messages")
    for place, message in enumerate(messages):
        param = f"messages[{place}]"
        if not isinstance(message, dict):
            raise refuse(f"'{param}' must be an object", param)
        if message.get("role") not in _ROLES:
            raise refuse(f"'{param}.role' must be one of {', '.join(sorted(_ROLES))}", f"{param}.role")
        content = message.get("content")
        parts = isinstance(content, list) and all(isinstance(part, dict) for part in content)
        if not (content is None or isinstance(content, str) or parts):
            raise refuse(f"'{param}.content' must be a string or a list of parts", f"{param}.content")


class BadInput(CustomLogger):
    """Checks shapes and types before a model is chosen."""

    async def async_pre_call_hook(
        self,
        user_api_key_dict: Any,  # noqa: ARG002 - the signature is LiteLLM's
        cache: Any,  # noqa: ARG002
        data: dict[str, Any],
        call_type: str,
    ) -> dict[str, Any]:
        """The call's arguments, if a model could take them.

        Raises:
            ProxyException: it could not.

        """
        for name, (types, words) in _TYPES.items():
            value = data.get(name)
            # In Python true is a number too.
            if value is not None and (not isinstance(value, types) or (isinstance(value, bool) and bool not in types)):
                raise refuse(f"'{name}' must be {words}", name)
        if not all(isinstance(tool, dict) for tool in data.get("tools") or ()):
            raise refuse("'tools' must be a list of objects", "tools")
        if call_type in _CHAT:
            check_messages(data.get("messages"))
        if call_type in _EMBEDDING:
            if data.get("model") != EMBEDDING_MODEL:
                raise refuse(f"'model' must be {EMBEDDING_MODEL}, the one model of embeddings", "model")
            if not isinstance(data.get("input"), str | list) or not data["input"]:
                raise refuse("'input' must be a string or a list", "input")
            for name in _FALLBACKS:
                data.pop(name, None)
        return data


class Bodies:
    """ASGI around LiteLLM: refuses a body that is too large, and JSON that is no object."""

    def __init__(self, inner: Any) -> None:
        """Around `inner`."""
        self._inner = inner

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Look at the body's first part and its length; pass everything on as it is."""
        if scope["type"] != "http" or scope["method"] not in ("POST", "PUT", "PATCH"):
            await self._inner(scope, receive, send)
            return
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"")
        if length.isdigit() and int(length) > MAX_BYTES:
            await _answer(send, 413, _TOO_LARGE)
            return
        first = await receive()
        if not headers.get(b"content-type", b"").startswith((b"multipart/", b"application/x-www-form-urlencoded")):
            start = first.get("body", b"").lstrip()[:1]
            if start not in (b"", b"{"):
                await _answer(send, 400, "the request's body must be a JSON object")
                return
        seen = len(first.get("body", b""))
        given = False

        async def counted() -> Message:
            nonlocal seen, given
            if not given:
                given = True
                return first
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > MAX_BYTES:
                # Without a length there is no telling before: for the app the client went away.
                return {"type": "http.disconnect"}
            return message

        await self._inner(scope, counted, send)


_TOO_LARGE: Final = f"the request's body is larger than {MAX_BYTES // 1024 // 1024} MiB"


async def _answer(send: Send, status: int, message: str) -> None:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": str(status)}
    body = json.dumps({"error": error}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": body})


hook = BadInput()
# Callbacks are loaded while the app starts, when it takes no more middleware.
app.middleware_stack = Bodies(app.middleware_stack)

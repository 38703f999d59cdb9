"""A hook of the model proxy: what no model could answer is refused here, with a 4xx in the caller's protocol.

LiteLLM passes wrong types on. A provider's refusal of them is a failure like any other to it: it is tried again, and
then sent to the next model of the chain. So is an error of its own while it reads them, after which the model rests for
everybody. Arguments of its own it takes from anyone. Loaded by `litellm_settings.callbacks` from beside the
configuration.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any, Final

import orjson
from litellm.exceptions import APIConnectionError, BadRequestError, InternalServerError
from litellm.integrations.custom_logger import CustomLogger
from litellm.litellm_core_utils.litellm_logging import Logging
from litellm.proxy._types import ProxyException
from litellm.proxy.proxy_server import app
from litellm.router import Router
from litellm.types.utils import all_litellm_params

MAX_BYTES: Final = 32 * 1024 * 1024
"""Of a request's body: what Anthropic takes."""
EMBEDDING_MODEL: Final = "local_bge"
"""The only one that makes vectors: two models' cannot be compared."""
EMBEDDING_SIZE: Final[int] = json.loads(Path(__file__).with_name("models.json").read_text("utf-8"))["embedding_size"]
"""Numbers of its vectors."""
MAX_TEXTS: Final = 2048
"""The most texts in one embedding request, as in OpenAI's API; the embedding server has the same limit."""
_ROLES: Final = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
_NUMBER: Final = (int, float)
_TYPES: Final[Mapping[str, tuple[tuple[type, ...], str]]] = {
    **dict.fromkeys(
        ("temperature", "top_p", "frequency_penalty", "presence_penalty", "timeout"), (_NUMBER, "a number")
    ),
    **dict.fromkeys(
        ("max_tokens", "max_completion_tokens", "max_output_tokens", "n", "seed", "top_k", "dimensions"),
        ((int,), "a whole number"),
    ),
    "stream": ((bool,), "true or false"),
    "user": ((str,), "a string"),
    "tools": ((list,), "a list of objects"),
    "stop": ((str, list), "a string or a list of strings"),
    **dict.fromkeys(("stream_options", "web_search_options", "thinking", "response_format"), ((dict,), "an object")),
}
_PROXY: Final = frozenset(
    {
        "litellm_call_id",
        "litellm_logging_obj",
        "litellm_metadata",
        "litellm_session_id",
        "litellm_trace_id",
        "provider_specific_header",
        "proxy_server_request",
        "secret_fields",
    }
)
"""What the proxy itself adds to a call: before any hook is asked, and trusting what is there."""
_SETTINGS: Final = (frozenset(all_litellm_params) - _PROXY - {"metadata", "cache", "tags"}) | {
    "content_policy_fallbacks",
    "context_window_fallbacks",
    "default_fallbacks",
    "extra_headers",
    "mock_tool_calls",
}
"""LiteLLM's own arguments: a key, a header, a price, a chain, a number of tries. They are the settings' business, and
no part of the cache's key: one client's would change the answer that others get."""
_DROPPED: Final = (_PROXY | _SETTINGS) - {"api_base", "base_url"}
"""LiteLLM's own check refuses a request with one of the last two."""
_MODELS: Final = "/v1/"
"""The routes of the models; those of keys have other arguments of the same names."""
_COUNT: Final = "/v1/messages/count_tokens"
"""Asks no hook at all."""
_CHAT: Final = ("completion", "acompletion", "anthropic_messages", "aanthropic_messages")
_EMBEDDING: Final = ("embedding", "aembedding", "embeddings")
_SHAPE: Final = (TypeError, ValueError, LookupError, AttributeError, AssertionError, RecursionError)
"""What Python says of a value that is not what was expected of it."""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def refuse(message: str, param: str | None) -> ProxyException:
    """The error of a request that its caller can fix."""
    return ProxyException(message=message, type="invalid_request_error", param=param, code=400)


def check_types(data: Mapping[str, Any]) -> None:
    """The arguments that protocols have in common.

    Raises:
        ProxyException: one is of another type.

    """
    for name, (types, words) in _TYPES.items():
        value = data.get(name)
        # In Python true is a number too.
        if value is not None and (not isinstance(value, types) or (isinstance(value, bool) and bool not in types)):
            raise refuse(f"'{name}' must be {words}", name)
    if not all(isinstance(tool, dict) for tool in data.get("tools") or ()):
        raise refuse("'tools' must be a list of objects", "tools")


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
        role = message.get("role")
        if not isinstance(role, str) or role not in _ROLES:
            raise refuse(f"'{param}.role' must be one of {', '.join(sorted(_ROLES))}", f"{param}.role")
        content = message.get("content")
        parts = isinstance(content, list) and all(isinstance(part, dict) for part in content)
        if not (content is None or isinstance(content, str) or parts):
            raise refuse(f"'{param}.content' must be a string or a list of parts", f"{param}.content")


def check_count(data: Mapping[str, Any]) -> None:
    """Check what is to be counted.

    Raises:
        ProxyException: it is no request of Anthropic's.

    """
    if not isinstance(data.get("model"), str):
        raise refuse("'model' must be a string", "model")
    check_messages(data.get("messages"))
    system = data.get("system")
    parts = isinstance(system, list) and all(isinstance(part, dict) for part in system)
    if not (system is None or isinstance(system, str) or parts):
        raise refuse("'system' must be a string or a list of parts", "system")


def check_texts(given: object) -> None:
    """Check the input of an embedding request: one text, or as many as OpenAI's API accepts.

    Raises:
        ProxyException: not text, or too many. Numbers would be token ids of another model, with meaningless vectors.

    """
    texts = given if isinstance(given, list) else [given]
    if any(isinstance(text, int | float | list) and not isinstance(text, bool) for text in texts):
        words = (
            "'input' must be text: ids of tokens belong to another model's vocabulary (LangChain: "
            "OpenAIEmbeddings(check_embedding_ctx_length=False))"
        )
        raise refuse(words, "input")
    for place, text in enumerate(texts):
        if not isinstance(text, str) or not text:
            where = f"input[{place}]" if isinstance(given, list) else "input"
            raise refuse(f"'{where}' must be a text that is not empty", where)
    if not 0 < len(texts) <= MAX_TEXTS:
        raise refuse(f"'input' must be one text, or 1 to {MAX_TEXTS} texts", "input")


def check_vectors(data: MutableMapping[str, Any]) -> None:
    """Check how the client wants its vectors. LiteLLM leaves out what the model does not know, without a word.

    Raises:
        ProxyException: shorter ones, or in an encoding that there is not.

    """
    size = data.pop("dimensions", None)
    if size not in (None, EMBEDDING_SIZE):
        words = f"'dimensions' must be left out or {EMBEDDING_SIZE}: the vectors of {EMBEDDING_MODEL} have one size"
        raise refuse(words, "dimensions")
    if data.get("encoding_format", "float") not in ("float", "base64", None):
        raise refuse("'encoding_format' must be float or base64", "encoding_format")


class BadInput(CustomLogger):
    """Checks shapes and types before a model is chosen."""

    async def async_pre_call_hook(
        self,
        user_api_key_dict: Any,  # noqa: ARG002 - the signature is LiteLLM's
        cache: Any,  # noqa: ARG002
        data: dict[str, Any],
        call_type: str,
    ) -> dict[str, Any]:
        """The call's arguments, if a model could take them, without those that are no client's to give.

        Raises:
            ProxyException: no model could.

        """
        for name in _SETTINGS & data.keys():
            del data[name]
        if data.get("tools") == []:
            # Clients send an empty list for "no tools". vLLM refuses it, and a paid model would answer instead.
            data.pop("tools")
            data.pop("tool_choice", None)
        check_types(data)
        if call_type in _CHAT:
            check_messages(data.get("messages"))
        if call_type in _EMBEDDING:
            if data.get("model") != EMBEDDING_MODEL:
                raise refuse(f"'model' must be {EMBEDDING_MODEL}, the one model of embeddings", "model")
            check_texts(data.get("input"))
            check_vectors(data)
        return data


# An error of LiteLLM's own while it reads the request for its model.


class UnreadableError(BadRequestError):
    """No model was asked: another one would not be either."""


_failed: Final = Logging.failure_handler
_next_model: Final = Router.async_function_with_fallbacks_common_utils


def unreadable(error: BaseException | None) -> BaseException | None:
    """The error of a value's shape behind this one, if that is what it is."""
    # LiteLLM raises a bare `Exception` for some.
    while error is not None and not (isinstance(error, _SHAPE) or type(error) is Exception):
        if not isinstance(error, APIConnectionError | InternalServerError):
            return None
        error = error.__cause__ or error.__context__
    return error


def failure_handler(self: Any, exception: Exception, *args: Any, **given: Any) -> Any:
    """LiteLLM's own, for what a model or the way to it did.

    Raises:
        UnreadableError: nothing was sent to any model yet, and the error is one of a value's shape.

    """
    details = self.model_call_details
    if details.get("first_api_call_start_time") is None and (cause := unreadable(exception)) is not None:
        words = str(cause).splitlines()[0][:200] if str(cause) else type(cause).__name__
        raise UnreadableError(f"the request cannot be read: {words}", str(details.get("model")), "") from exception
    return _failed(self, exception, *args, **given)


async def next_model(self: Any, e: Exception, *args: Any, **given: Any) -> Any:
    """LiteLLM's own, for what another model may fix.

    Raises:
        UnreadableError: as it came.

    """
    if isinstance(e, UnreadableError):
        raise e
    return await _next_model(self, e, *args, **given)


# The body, before anything is made of it.


class Bodies:
    """ASGI around LiteLLM: refuses a body that is too large, and what is no JSON object."""

    def __init__(self, inner: Any) -> None:
        """Around `inner`."""
        self._inner = inner

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Hand the request on, with what LiteLLM would read in its body."""
        if scope["type"] == "http" and scope["method"] in ("POST", "PUT", "PATCH"):
            try:
                receive = await _checked(scope, receive)
            except ProxyException as error:
                await _answer(send, error)
                return
        await self._inner(scope, receive, send)


async def _checked(scope: Message, receive: Receive) -> Receive:
    headers = dict(scope["headers"])
    length = headers.get(b"content-length", b"")
    body = bytearray()
    more = True
    too_large = length.isdigit() and int(length) > MAX_BYTES
    while more and not too_large:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
        too_large = len(body) > MAX_BYTES
    if too_large:
        words = f"the request's body is larger than {MAX_BYTES // 1024 // 1024} MiB"
        raise ProxyException(message=words, type="invalid_request_error", param=None, code=413)
    form = headers.get(b"content-type", b"").startswith((b"multipart/", b"application/x-www-form-urlencoded"))
    if body and not form:
        parsed = read(bytes(body))
        if scope["path"].startswith(_MODELS):
            parsed = {name: value for name, value in parsed.items() if name not in _DROPPED}
            # LiteLLM reads some before it asks a hook.
            check_types(parsed)
            if scope["path"].rstrip("/") == _COUNT:
                check_count(parsed)
        # Where LiteLLM keeps it itself.
        scope["parsed_body"] = (tuple(parsed), parsed)
    messages = iter([{"type": "http.request", "body": bytes(body), "more_body": False}])

    async def again() -> Message:
        return next(messages, None) or await receive()

    return again


def read(body: bytes) -> dict[str, Any]:
    """The object in a body.

    Raises:
        ProxyException: there is none in it.

    """
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise refuse(f"the request's body is no JSON: {error}", None) from error
    if not isinstance(parsed, dict):
        raise refuse("the request's body must be a JSON object", None)
    # What LiteLLM itself reads in it before it asks a hook.
    if not isinstance(parsed.get("metadata") or {}, dict):
        raise refuse("'metadata' must be an object", "metadata")
    return parsed


async def _answer(send: Send, error: ProxyException) -> None:
    body = json.dumps({"error": error.to_dict()}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": int(error.code or 400), "headers": headers})
    await send({"type": "http.response.body", "body": body})


# LiteLLM asks no callback here.
Logging.failure_handler = failure_handler  # type: ignore[method-assign]
Router.async_function_with_fallbacks_common_utils = next_model  # type: ignore[method-assign]
hook = BadInput()
# Callbacks are loaded while the app starts, when it takes no more middleware.
app.middleware_stack = Bodies(app.middleware_stack)

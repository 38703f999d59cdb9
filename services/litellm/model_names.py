"""A hook of the model proxy: the names of models that clients send by default lead to models that are configured.

The table lies beside this file; the program makes it from the settings. A name that is in neither is refused in one
sentence that lists the models there are, also where tokens are only counted, which LiteLLM does for any name with any
tokenizer. Loaded by `litellm_settings.callbacks` from beside the configuration, before `bad_input`, whose body reader
then stands around this one.
"""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from litellm.integrations.custom_logger import CustomLogger
from litellm.proxy import proxy_server
from litellm.proxy._types import ProxyException, TokenCountRequest

FILE: Final = Path(__file__).with_name("models.json")
NAMES: Final[Mapping[str, str]] = json.loads(FILE.read_text(encoding="utf-8"))["names"]
"""A client's name, or a pattern of names -> ours; the first that matches counts. An empty text: refused."""
EMBEDDING_MODEL: Final = "local_bge"
"""The only one that makes vectors, and makes nothing else."""
COUNT_SECONDS: Final = 10
"""How long Claude's own count of tokens is waited for; then our estimate has to do."""
_PATHS: Final = "/v1/"

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def resolved(name: str, offered: Iterable[str], table: Mapping[str, str] = NAMES) -> str:
    """Our name of a model; the name itself if the table has none."""
    if name in offered:
        return name
    if name in table:
        return table[name] or name
    lower = name.lower()
    found = next((ours for pattern, ours in table.items() if fnmatchcase(lower, pattern.lower())), "")
    return found or name


def offered() -> list[str]:
    """The configured models."""
    router = proxy_server.llm_router
    return list(dict.fromkeys(entry["model_name"] for entry in router.model_list)) if router is not None else []


def check_model(name: object) -> None:
    """Check that there is a model of this name.

    Raises:
        ProxyException: there is none, or it is no name.

    """
    there = offered()
    if isinstance(name, str) and name in there:
        return
    if not isinstance(name, str) or not name:
        words, status = "'model' must be a string, one of", 400
    else:
        words, status = f"the model '{name[:200]}' does not exist; there are:", 404
    raise ProxyException(
        message=f"{words} {', '.join(there)}", type="invalid_request_error", param="model", code=status
    )


def check_chat(name: str) -> None:
    """Check that a model can talk.

    Raises:
        ProxyException: it makes vectors.

    """
    if name == EMBEDDING_MODEL:
        others = ", ".join(other for other in offered() if other != EMBEDDING_MODEL)
        words = f"{EMBEDDING_MODEL} makes vectors: for a conversation, 'model' must be one of {others}"
        raise ProxyException(message=words, type="invalid_request_error", param="model", code=400)


class Names:
    """ASGI around LiteLLM: puts our name into the body that `bad_input` has read."""

    def __init__(self, inner: Any) -> None:
        """Around `inner`."""
        self._inner = inner

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Hand the request on."""
        _, parsed = scope.get("parsed_body") or ((), None)
        if parsed is not None and scope["path"].startswith(_PATHS):
            name = parsed.get("model")
            if isinstance(name, str):
                parsed["model"] = resolved(name, offered())
        await self._inner(scope, receive, send)


class ModelNames(CustomLogger):
    """Refuses what the table does not know, once the caller's key has been checked."""

    async def async_pre_call_hook(
        self,
        user_api_key_dict: Any,  # noqa: ARG002 - the signature is LiteLLM's
        cache: Any,  # noqa: ARG002
        data: dict[str, Any],
        call_type: str,
    ) -> dict[str, Any]:
        """The call's arguments.

        Raises:
            ProxyException: no model of that name.

        """
        if call_type in _CALLS:
            check_model(data.get("model"))
        if call_type in _CHATS:
            check_chat(data["model"])
        return data


_CHATS: Final = frozenset(
    {"completion", "acompletion", "anthropic_messages", "aanthropic_messages", "responses", "aresponses"}
)
_CALLS: Final = _CHATS | {"embedding", "aembedding", "embeddings"}
"""Those that name a model."""
_count: Final = proxy_server.token_counter


async def token_counter(request: TokenCountRequest, call_endpoint: bool = False) -> Any:
    """LiteLLM's own, for models that there are. If Claude's count takes too long, the estimate that all others get.

    Raises:
        ProxyException: there is no such model, or the messages are none.

    """
    check_model(request.model)
    check_chat(request.model)
    try:
        if call_endpoint:
            with contextlib.suppress(TimeoutError):
                return await asyncio.wait_for(_count(request=request, call_endpoint=True), COUNT_SECONDS)
        return await _count(request=request, call_endpoint=False)
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        words = f"the messages cannot be read: {str(error)[:200]}"
        raise ProxyException(message=words, type="invalid_request_error", param="messages", code=400) from error


# The route of token counts asks no callback, and looks this function up at each request.
proxy_server.token_counter = token_counter
hook = ModelNames()
proxy_server.app.middleware_stack = Names(proxy_server.app.middleware_stack)

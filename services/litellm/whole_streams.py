"""A hook of the model proxy: a stream that ends before its model said that it had finished is an error, not an answer.

LiteLLM gives such a stream the reason `stop` for its end, sends it on as whole and keeps it in the cache: a model whose
process died behind a proxy that closes properly, or whose event was no JSON, left half a sentence that nobody could
tell from an answer. Claude's own streams, which `/v1/messages` passes on byte by byte, just end; and an error in them
has OpenAI's shape, which Anthropic's clients skip. Loaded by `litellm_settings.callbacks` from beside the
configuration.
"""

import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, Final

from litellm.exceptions import APIConnectionError, MidStreamFallbackError
from litellm.integrations.custom_logger import CustomLogger
from litellm.litellm_core_utils.streaming_handler import CustomStreamWrapper
from litellm.llms.anthropic.experimental_pass_through.messages.transformation import AnthropicMessagesConfig
from litellm.proxy.common_request_processing import ProxyBaseLLMRequestProcessing

_CUT: Final = "the model's answer was cut off before its end"
_BROKEN: Final = "the model's answer held an event that is no JSON"
_OPENAI_ERROR: Final = 'data: {"error":'
_finish: Final[Any] = CustomStreamWrapper.finish_reason_handler
_messages: Final = AnthropicMessagesConfig.get_async_streaming_response_iterator
_sse: Final = ProxyBaseLLMRequestProcessing.async_sse_data_generator


def finish_reason_handler(self: Any) -> Any:
    """LiteLLM's own, where the model gave a reason.

    Raises:
        MidStreamFallbackError: it gave none. Before the first word the router asks the next model; after it the
            caller gets the error.

    """
    if self.received_finish_reason or self.intermittent_finish_reason:
        return _finish(self)
    provider = self.custom_llm_provider or ""
    raise MidStreamFallbackError(
        message=_CUT,
        model=self.model,
        llm_provider=provider,
        original_exception=APIConnectionError(message=_CUT, llm_provider=provider, model=self.model),
        generated_content=self.response_uptil_now,
        is_pre_first_chunk=not self.sent_first_chunk,
    )


class Events:
    """What an Anthropic stream has told so far, whatever its parts' borders."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.ended = False
        """By its last event, or by an error that says so itself."""
        self._rest = b""

    def sound(self, part: bytes) -> bool:
        """Take the next part: whether all its events are JSON objects."""
        *lines, self._rest = (self._rest + part).split(b"\n")
        for line in lines:
            if not line.startswith(b"data:"):
                continue
            try:
                event = json.loads(line.removeprefix(b"data:"))
            except ValueError:
                return False
            if not isinstance(event, dict):
                return False
            self.ended = self.ended or event.get("type") in ("message_stop", "error")
        return True


def messages_iterator(self: Any, model: str, **given: Any) -> AsyncIterator[bytes]:
    """LiteLLM's own, whose stream is Claude's, byte by byte.

    Raises:
        APIConnectionError: while it is read: it ended before its last event, or an event is no JSON.

    """
    return _whole(_messages(self, model=model, **given), model)


async def _whole(stream: Any, model: str) -> AsyncGenerator[bytes, None]:
    events = Events()
    async with contextlib.aclosing(stream):
        async for part in stream:
            if not events.sound(part):
                raise APIConnectionError(message=_BROKEN, llm_provider="anthropic", model=model)
            yield part
        # What came last may lack the line's end.
        if not events.sound(b"\n") or not events.ended:
            raise APIConnectionError(message=_CUT, llm_provider="anthropic", model=model)


async def sse_data_generator(*args: Any, **given: Any) -> AsyncGenerator[Any, None]:
    """LiteLLM's own for Anthropic's protocol, whose errors after the first event are events of that protocol."""
    first = True
    async with contextlib.aclosing(_sse(*args, **given)) as events:
        async for event in events:
            # The first one becomes the answer's status and body instead.
            yield event if first else anthropic_event(event)
            first = False


def anthropic_event(event: Any) -> Any:
    """An error in OpenAI's shape as Anthropic's event; all else as it is."""
    if not isinstance(event, str) or not event.startswith(_OPENAI_ERROR):
        return event
    message = json.loads(event.removeprefix("data: "))["error"].get("message")
    error = {"type": "error", "error": {"type": "api_error", "message": message}}
    return f"event: error\ndata: {json.dumps(error)}\n\n"


# No callback sees a stream's end before LiteLLM has given it one, nor an error's words.
CustomStreamWrapper.finish_reason_handler = finish_reason_handler  # type: ignore[method-assign]
AnthropicMessagesConfig.get_async_streaming_response_iterator = messages_iterator  # type: ignore[assignment,method-assign]
ProxyBaseLLMRequestProcessing.async_sse_data_generator = staticmethod(sse_data_generator)  # type: ignore[method-assign]
hook = CustomLogger()

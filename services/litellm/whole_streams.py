"""A hook of the model proxy: a stream that ends before its model said that it had finished is an error, not an answer.

LiteLLM gives such a stream the reason `stop` for its end, sends it on as whole and keeps it in the cache: a model whose
process died behind a proxy that closes properly, or whose event was no JSON, left half a sentence that nobody could
tell from an answer. Loaded by `litellm_settings.callbacks` from beside the configuration.
"""

from typing import Any, Final

from litellm.exceptions import APIConnectionError, MidStreamFallbackError
from litellm.integrations.custom_logger import CustomLogger
from litellm.litellm_core_utils.streaming_handler import CustomStreamWrapper

_finish: Final = CustomStreamWrapper.finish_reason_handler


def finish_reason_handler(self: Any) -> Any:
    """LiteLLM's own, where the model gave a reason.

    Raises:
        MidStreamFallbackError: it gave none. Before the first word the router asks the next model; after it the
            caller gets the error.

    """
    if self.received_finish_reason or self.intermittent_finish_reason:
        return _finish(self)
    provider = self.custom_llm_provider or ""
    message = "the model's answer was cut off before its end"
    raise MidStreamFallbackError(
        message=message,
        model=self.model,
        llm_provider=provider,
        original_exception=APIConnectionError(message=message, llm_provider=provider, model=self.model),
        generated_content=self.response_uptil_now,
        is_pre_first_chunk=not self.sent_first_chunk,
    )


# No callback sees a stream's end before LiteLLM has given it one.
CustomStreamWrapper.finish_reason_handler = finish_reason_handler
hook = CustomLogger()

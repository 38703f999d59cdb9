"""A hook of the model proxy that counts the requests for the local model which a paid model answered, by reason.

LiteLLM's own fallback counter has a series per key, model and exception, which only appears with its first event:
`increase()` does not see the step from no series to one, so no alert can use it. Loaded by
`litellm_settings.callbacks` from beside the configuration.
"""

from http import HTTPStatus
from typing import Any, Final

from litellm.exceptions import ContextWindowExceededError, Timeout
from litellm.integrations.custom_logger import CustomLogger
from prometheus_client import Counter

LOCAL: Final = "vllm_local"
"""The model on our own GPU; every other chat model costs money."""
REASONS: Final = ("refused", "too_long", "away")
"""`refused`: the local model is up and said no (a 4xx), as it will to the next request of this kind; `too_long`: beyond
its context; `away`: busy, failing or unreachable."""
_PASSING: Final = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
_FALLBACKS: Final = Counter(
    "mesh_paid_fallbacks", "Requests for the local model that a paid one answered, by reason", ["reason"]
)
for _reason in REASONS:
    _FALLBACKS.labels(_reason)


def reason(error: BaseException) -> str:
    """Why the local model did not answer."""
    if isinstance(error, ContextWindowExceededError):
        return "too_long"
    status = getattr(error, "status_code", None)
    if isinstance(error, Timeout) or not isinstance(status, int) or status in _PASSING:
        return "away"
    return "refused" if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR else "away"


class PaidFallbacks(CustomLogger):
    """Counts fallbacks that were answered."""

    async def log_success_fallback_event(
        self, original_model_group: str, kwargs: dict[str, Any], original_exception: Exception
    ) -> None:
        """A model answered in another's place."""
        if original_model_group == LOCAL and kwargs.get("model") != LOCAL:
            _FALLBACKS.labels(reason(original_exception)).inc()


hook = PaidFallbacks()

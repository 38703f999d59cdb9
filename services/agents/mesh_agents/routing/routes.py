"""The routes, and the model that answers on each."""

from enum import StrEnum
from typing import Final


class Route(StrEnum):
    """What a request is answered by."""

    SIMPLE = "simple"
    CODE = "code"
    COMPLEX = "complex"
    SEARCH = "search"
    MULTI_STEP = "multi_step"


MODELS: Final[dict[Route, str]] = {
    Route.SIMPLE: "vllm_local",
    Route.CODE: "claude_sonnet",
    Route.COMPLEX: "claude_opus",
    Route.SEARCH: "claude_sonnet",
    Route.MULTI_STEP: "claude_sonnet",
}
"""Names of the model proxy's list. On `search` the model only words what was found; on `multi_step` it plans and
concludes, and each worker has its own (see `graph.workers`)."""

CHAT_MODELS: Final = ("vllm_local", "claude_sonnet", "claude_opus", "claude_small", "openrouter_mixtral")
"""Models that a caller may name."""

AUTO: Final = "auto"
"""The name by which a caller leaves the choice to the router."""

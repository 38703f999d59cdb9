"""An answer that the caller has begun, for models that do not go on with what they have not said."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

from mesh_agents.errors import ApiError

T = TypeVar("T")
_REFUSED: Final = "prefill"
"""A word of Claude's refusal, from Opus 4.6 and Sonnet 4.6 on: "This model does not support assistant message prefill.
The conversation must end with a user message." """
_GO_ON: Final = "Go on behind the last words of your answer, without repeating them and without a remark."


async def going_on(ask: Callable[[Mapping[str, Any]], Awaitable[T]], payload: Mapping[str, Any]) -> T:
    """What `ask` answers to `payload`; a model that refuses a beginning is asked in words to go on with it."""
    messages = payload["messages"]
    try:
        return await ask(payload)
    except ApiError as error:
        if error.status != 400 or messages[-1].get("role") != "assistant" or _REFUSED not in str(error).lower():
            raise
    return await ask({**payload, "messages": [*messages, {"role": "user", "content": _GO_ON}]})

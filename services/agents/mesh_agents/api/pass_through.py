"""A model's stream as it comes, with what the agents add: the decision in front and, where it is wanted, the usage."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final

from mesh_agents.api.sse import event
from mesh_agents.llm.client import Streamed
from mesh_agents.llm.events import Event
from mesh_agents.routing.router import Decision

_FRAME: Final = ("id", "object", "created", "model")
"""What all chunks of an answer share."""


async def passed_through(answer: Streamed, decision: Decision, *, usage: bool) -> AsyncGenerator[bytes, None]:
    """The proxy's events, the first with the decision.

    With `usage` the last one has the request's usage and, as OpenAI's, no choices; LiteLLM's own has an empty one.
    """
    first = True
    frame: dict[str, Any] = {}
    async with aclosing(answer):
        async for portion in answer:
            shown = [one for one in portion if _is_shown(one)]
            if not shown:
                continue
            told = [_without_usage(one) for one in shown]
            if first:
                first, frame = False, {name: shown[0].chunk.get(name) for name in _FRAME}
                told[0] = event({**_stripped(shown[0].chunk), "metadata": decision.metadata()})
            yield b"".join(told)
    if usage:
        yield event({**frame, "choices": [], "usage": answer.usage})


def _is_shown(one: Event) -> bool:
    """Not the bill, whose choices are none or say nothing."""
    choices = one.chunk.get("choices") or ()
    if not one.chunk.get("usage"):
        return bool(choices)
    return any(choice.get("finish_reason") or any((choice.get("delta") or {}).values()) for choice in choices)


def _without_usage(one: Event) -> bytes:
    return event(_stripped(one.chunk)) if one.chunk.get("usage") else b"data: %s\n\n" % one.data


def _stripped(chunk: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in chunk.items() if name != "usage"}

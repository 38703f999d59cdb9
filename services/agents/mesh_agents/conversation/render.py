"""A conversation as models are told it."""

from collections.abc import Iterable
from typing import Any

from mesh_agents.conversation.turns import Turn, Unit
from mesh_agents.graph.prompts import quoted

_OPENING = "(The assistant spoke first.)"


def as_messages(units: Iterable[Unit], last: str) -> list[dict[str, Any]]:
    """As messages of user and assistant in turn, which every model's template takes; `last` are the user's final words.

    A tool's results are the user's to tell, as data.
    """
    told: list[dict[str, Any]] = []
    turns = [turn for unit in units for turn in unit]
    for role, text in [*((_role(turn), _text(turn)) for turn in turns), ("user", last)]:
        if told and told[-1]["role"] == role:
            told[-1]["content"] += f"\n\n{text}"
        elif not told and role == "assistant":
            told = [{"role": "user", "content": _OPENING}, {"role": role, "content": text}]
        else:
            told.append({"role": role, "content": text})
    return told


def as_transcript(units: Iterable[Unit]) -> str:
    """In one text, for a model that takes no part in it: what is not the user's own is data."""
    turns = [turn for unit in units for turn in unit]
    return "\n\n".join(
        f"User: {turn.text}" if turn.role == "user" else quoted(turn.role.capitalize(), turn.text) for turn in turns
    )


def _role(turn: Turn) -> str:
    return "assistant" if turn.role == "assistant" else "user"


def _text(turn: Turn) -> str:
    return quoted("A tool of the user's application answered", turn.text) if turn.role == "tool" else turn.text

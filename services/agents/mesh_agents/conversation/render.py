"""A conversation as models are told it."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from mesh_agents.conversation.turns import Turn, Unit
from mesh_agents.graph.prompts import quoted

_OPENING: Final = "(The assistant spoke first.)"


def as_messages(units: Iterable[Unit], last: Turn) -> list[dict[str, Any]]:
    """As messages of user and assistant in turn, which every model's template takes; `last` is what the user asks now.

    A tool's results are the user's to tell, as data. Pictures are there for the model to see.
    """
    told: list[tuple[str, list[Turn]]] = []
    for turn in [*(turn for unit in units for turn in unit), last]:
        role = "assistant" if turn.role == "assistant" else "user"
        if not told and role == "assistant":
            told.append(("user", [Turn("user", _OPENING)]))
        if told and told[-1][0] == role:
            told[-1][1].append(turn)
        else:
            told.append((role, [turn]))
    return [{"role": role, "content": _content(turns)} for role, turns in told]


def as_transcript(units: Iterable[Unit]) -> str:
    """In one text, for a model that takes no part in it: what is not the user's own is data."""
    turns = [turn for unit in units for turn in unit]
    return "\n\n".join(
        f"User: {turn.text}" if turn.role == "user" else quoted(turn.role.capitalize(), turn.text) for turn in turns
    )


def _content(turns: list[Turn]) -> str | list[Mapping[str, Any]]:
    text = "\n\n".join(
        quoted("A tool of the user's application answered", turn.text) if turn.role == "tool" else turn.text
        for turn in turns
    )
    pictures = [picture for turn in turns for picture in turn.pictures]
    return [{"type": "text", "text": text}, *pictures] if pictures else text

"""Cuts a conversation to a number of tokens, from its middle: how it began and what was said last stays."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from mesh_agents.conversation.turns import Conversation, Turn, Unit

_BYTES: Final = 4
"""Of a token, about, in any script."""
_FRAME: Final = 4
"""Tokens around each turn."""
_PICTURE: Final = 1000
"""Tokens of a picture, about."""
_BEGINNING: Final = 4
"""The first unit, which mostly says what it is all about, stays where it takes at most one part of so many."""
_LEAST: Final = 16
"""Tokens that a turn keeps, however many there are beside it."""


def size(text: str) -> int:
    """About how many tokens a text has."""
    return -(-len(text.encode("utf-8", "replace")) // _BYTES)


def _cost(turn: Turn) -> int:
    return size(turn.text) + _FRAME + _PICTURE * len(turn.pictures)


def fitted(units: Sequence[Unit], tokens: int) -> list[Unit]:
    """The units that fit `tokens`, whole and in order, with a note where others were.

    The latest always stays; if it alone is too much, its texts are cut in their middle. A call of tools and its results
    are one unit and stay or go together.
    """
    costs = [sum(_cost(turn) for turn in unit) for unit in units]
    if sum(costs) <= tokens:
        return list(units)
    beginning = 1 if len(units) > 1 and costs[0] * _BEGINNING <= tokens else 0
    left = tokens - sum(costs[:beginning])
    start = len(units)
    while start > beginning and costs[start - 1] <= left:
        start -= 1
        left -= costs[start]
    latest = list(units[start:])
    if not latest:
        start = len(units) - 1
        latest = [_shortened(units[-1], left)]
    gone = start - beginning
    note: list[Unit] = [(Turn("user", f"({gone} messages were left out here)"),)] if gone else []
    return [*units[:beginning], *note, *latest]


def background(conversation: Conversation, tokens: int) -> list[Unit]:
    """What a prompt tells beside the request. The application's rules are in it whole, and leave it less room."""
    return fitted(conversation.background, max(tokens - size(conversation.rules), tokens // 4))


def _shortened(unit: Unit, tokens: int) -> Unit:
    """With texts of a fair share each: the short ones whole."""
    texts = sorted((turn.text for turn in unit), key=len)
    left = tokens - _FRAME * len(unit)
    share = left
    for number, text in enumerate(texts):
        share = max(_LEAST, left // (len(texts) - number))
        left -= min(size(text), share)
    return tuple(replace(turn, text=shortened(turn.text, share)) for turn in unit)


def shortened(text: str, tokens: int) -> str:
    """A text of at most about `tokens`, without its middle."""
    whole = size(text)
    if whole <= tokens:
        return text
    half = max(1, len(text) * tokens // whole // 2)
    return f"{text[:half]} (... {len(text) - 2 * half} characters were left out ...) {text[-half:]}"

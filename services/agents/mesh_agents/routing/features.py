"""From a prompt to the numbers that the router weighs."""

import re
from itertools import islice
from typing import Final

from mesh_agents.routing.lexicon import CODE, HINTS, WORD

LIMIT: Final = 800
"""Characters that are looked at: the first and the last half of it. It bounds the time of a decision."""
_CAP: Final = 5
_WORD: Final = re.compile(r"\w+")
_NO_WORD: Final = re.compile(r"\S{80,}")


def excerpt(prompt: str, limit: int = LIMIT) -> str:
    """The part of a prompt that decides, of `limit` characters: a long paste has its request before or behind it.

    What is longer than any word, keys and encoded data, is shortened: searching it costs its length squared.
    """
    if len(prompt) > limit:
        prompt = f"{prompt[: limit // 2]}\n{prompt[-limit // 2 :]}"
    return _NO_WORD.sub(lambda found: found.group()[:40], prompt)


def features(prompt: str) -> dict[str, float]:
    """Named features, each 0 to about 1; those that are 0 are absent."""
    text = excerpt(prompt)
    lower = text.lower()
    words = WORD.findall(lower)
    found: dict[str, float] = {}
    for name, hint in HINTS.items():
        if isinstance(hint, frozenset):
            hits = min(sum(map(hint.__contains__, words)), _CAP)
        else:
            hits = sum(1 for _ in islice(hint.finditer(text if name == CODE else lower), _CAP))
        if hits:
            found[name] = 1.0
            found[f"{name} (repeated)"] = (hits - 1) / (_CAP - 1)
    length = len(_WORD.findall(text))
    found["length"] = min(length, 60) / 60
    found["short"] = 1.0 if length <= 8 else 0.0
    found["commas"] = min(text.count(","), 5) / 5
    found["question"] = 1.0 if "?" in text else 0.0
    if "document named" in found and "own material" in found:
        found["own document"] = 1.0
    if "document named" in found and "lookup phrase" in found:
        found["document looked up"] = 1.0
    actions = found.get("action asked for (repeated)", 0.0)
    if actions:
        found["several actions"] = min(actions * (_CAP - 1), 2) / 2
    return {name: value for name, value in found.items() if value}

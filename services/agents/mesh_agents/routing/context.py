"""From a conversation to the numbers that the router weighs besides the words of the last turn."""

import re
from collections.abc import Mapping
from itertools import islice
from typing import Final

from mesh_agents.routing.features import excerpt
from mesh_agents.routing.lexicon import HINTS, SOURCE_CODE
from mesh_agents.routing.routes import Route
from mesh_agents.routing.situation import Situation
from mesh_agents.routing.turns import COUNTED, MARKS, OF_FILES, SAID_SOURCES

_FLOOR: Final = -6.0
_WORD: Final = re.compile(r"\w+")
_SPOKEN: Final = {Route.SEARCH: 50.0, Route.CODE: 8.0}
"""How much likelier its route is made by what an answer holds."""
_FEW: Final = 8
_CODE: Final = re.compile(SOURCE_CODE)
_RULES: Final = {
    "rules on programs": ("programming term", "developer tool", "programming language"),
    "rules on documents": ("document named", "own material"),
    "rules on reasoning": ("reasoning term",),
}
"""Group of the system prompt's hints -> hints of the lexicon."""
_SPECIALISTS: Final = re.compile(
    r"\b(?:code|coding|program\w*|develop\w*|engineer|documents?|knowledge base|cite|philosoph\w*|strateg\w*|debate|"
    r"tutor|consultant|critical|coordinate|agents|team|reports?)\b"
)


def context_features(
    situation: Situation,
    words: Mapping[Route, float],
    before: Mapping[Route, float] | None,
    joined: Mapping[Route, float] | None = None,
) -> dict[str, float]:
    """Named features of a situation; those that are 0 are absent.

    `words` are the logarithms of the routes' probabilities by the last turn's words alone, `joined` by its words and
    those of the turn before together; `before` are the probabilities of the turn before. None: there is none.
    """
    turn = situation.turns[-1]
    lower = excerpt(turn.text).lower()
    length = len(_WORD.findall(lower))
    marks = {name: _count(pattern, lower, name in COUNTED) for name, pattern in MARKS.items()}
    marks["few words"] = 1.0 if length <= 6 else 0.5 if length <= 10 else 0.0
    marks["many words"] = min(length, 40) / 40
    found = {f"words: {route}": max(score, _FLOOR) / -_FLOOR for route, score in words.items()}
    found["nothing written"] = float(not lower.strip())
    found |= _attached(situation, words)
    found |= _rules(situation.rules)
    if before is None:
        return {name: value for name, value in found.items() if value}
    # A turn that says little by itself is about what came before.
    found |= {f"turn: {name}": value for name, value in marks.items()}
    stays = (1 - marks["thanks"]) * (1 - marks["leaves the topic"]) * (1 - marks["reshapes the answer"])
    leans = stays * max(marks["goes on"], min(1.0, 2 * marks["refers back"]), marks["few words"])
    for route, probability in _with_answer(before, turn.answered).items():
        found[f"before: {route}"] = probability
        found[f"leans on {route}"] = leans * probability
        for name in _TURN:
            found[f"{name} after {route}"] = marks[name] * probability
        found[f"leaning, words: {route}"] = leans * found[f"words: {route}"]
        if joined is not None:
            found[f"joined, words: {route}"] = max(joined[route], _FLOOR) / -_FLOOR
            found[f"leaning, joined, words: {route}"] = leans * max(joined[route], _FLOOR) / -_FLOOR
        found[f"own mark after {route}"] = marks[_OWN[route]] * probability if route in _OWN else 0.0
    return {name: value for name, value in found.items() if value}


_TURN: Final = (
    "goes on", "refers back", "few words", "many words", "thanks", "reshapes the answer", "leaves the topic",
)  # fmt: skip
"""Marks that mean something else after each route."""
_OWN: Final = {
    Route.COMPLEX: "argues",
    Route.SEARCH: "looks up",
    Route.MULTI_STEP: "orders work",
    Route.CODE: "talks of programs",
}


def _count(pattern: re.Pattern[str], text: str, counted: bool) -> float:
    most = 4 if counted else 1
    return sum(1 for _ in islice(pattern.finditer(text), most)) / most


def _attached(situation: Situation, words: Mapping[Route, float]) -> dict[str, float]:
    counts = {
        "picture": situation.pictures,
        "recording": situation.recordings,
        "program file": situation.programs,
        "document file": situation.papers,
    }
    found: dict[str, float] = {}
    for name, count in counts.items():
        if not count:
            continue
        found[f"with {name}"] = 1.0
        for route, score in words.items():
            found[f"with {name}, words: {route}"] = max(score, _FLOOR) / -_FLOOR
    if situation.attached:
        found["several files"] = float(situation.attached > 1)
        lower = excerpt(situation.turns[-1].text).lower()
        for name in OF_FILES:
            found[f"with a file: {name}"] = _count(MARKS[name], lower, name in COUNTED)
        found["with a file: few words"] = float(len(_WORD.findall(lower)) <= _FEW)
    return found


def _with_answer(before: Mapping[Route, float], answered: str) -> Mapping[Route, float]:
    """The probabilities of the turn before, in the light of what it was answered."""
    start = excerpt(answered)
    # Patterns in answers: only those of documents carry citations, and few but those on programs carry source code.
    spoken = {Route.SEARCH: bool(SAID_SOURCES.search(start)), Route.CODE: bool(_CODE.search(start))}
    parts = {route: value * (_SPOKEN[route] if spoken.get(route) else 1.0) for route, value in before.items()}
    total = sum(parts.values())
    return {route: part / total for route, part in parts.items()}


def _rules(rules: str) -> dict[str, float]:
    """What a system prompt says of what will be asked; most say nothing."""
    if not rules:
        return {}
    lower = excerpt(rules).lower()
    words = set(_WORD.findall(lower))
    found = {
        name: float(any(words & hint for hint in map(HINTS.get, hints) if isinstance(hint, frozenset)))
        for name, hints in _RULES.items()
    }
    found["rules on teams"] = float(bool(re.search(r"\b(?:coordinate\w*|agents|team of)\b", lower)))
    found["rules"] = float(bool(_SPECIALISTS.search(lower)))
    return found

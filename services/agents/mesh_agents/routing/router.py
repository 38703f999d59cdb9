"""Decides by which route a request is answered, without asking a model.

A linear classifier over named features and over a static embedding of the words, and behind it a second one that weighs
what these say against the conversation and the attachments. A decision takes about a millisecond, has no dependency
that can be away, and can be explained by what made it. `training/train.py` makes the weights.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from typing import Any, Final

from mesh_agents.routing.abilities import Abilities
from mesh_agents.routing.context import context_features
from mesh_agents.routing.features import excerpt, features
from mesh_agents.routing.linear import Linear, Scores, shares_of_one
from mesh_agents.routing.routes import MODELS, Route
from mesh_agents.routing.situation import EARLIER, Situation, Turn
from mesh_agents.routing.wordpiece import pieces

_FOLDER: Final = resources.files(__package__)
JOINED: Final = 200
"""Characters up to which a turn is also read together with the one before."""
CLEAR: Final = 0.5
"""Probability from which a decision counts as clear."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """A route, the model on it and why."""

    route: Route
    model: str
    forced: bool
    confidence: float
    """Probability of the route, 0 to 1; 1 when the caller forced it."""
    reasons: tuple[str, ...]
    """What spoke for the route, strongest first."""
    milliseconds: float
    attached: tuple[Mapping[str, Any], ...] = ()
    """What became of the recordings and files of the request."""

    def telling(self, attached: Sequence[Mapping[str, Any]]) -> "Decision":
        """The same decision, whose metadata tells what became of attachments."""
        return replace(self, attached=tuple(attached)) if attached else self

    def metadata(self) -> dict[str, Any]:
        """The form in which callers see it."""
        return {
            "route": self.route.value,
            "model": self.model,
            "forced": self.forced,
            "confidence": round(self.confidence, 3),
            "clear": self.confidence >= CLEAR,
            "reasons": list(self.reasons),
            "decision_ms": round(self.milliseconds, 3),
            **({"attachments": [dict(one) for one in self.attached]} if self.attached else {}),
        }


class Router:
    """The classifier with its weights."""

    def __init__(
        self,
        words: Linear,
        pieces: Mapping[str, Sequence[float]],
        context: Linear | None,
        abilities: Abilities | None = None,
    ) -> None:
        """Keep the weights of a prompt's named features, of its word pieces, and of the situation it is said in.

        `pieces`: piece -> a score for each route of `words`. Without `context` only words count. `abilities` are the
        models', for whoever chooses one by a decision.
        """
        self.abilities: Final = abilities or Abilities.parse("")
        self._words = words
        self._pieces = pieces
        self._context = context

    @classmethod
    def load(cls, abilities: Abilities | None = None) -> "Router":
        """The router with the weights that are part of this package."""
        return cls(*cls.load_words(), Linear.parse(_FOLDER.joinpath("context.json").read_text("utf-8")), abilities)

    @staticmethod
    def load_words() -> tuple[Linear, Mapping[str, Sequence[float]]]:
        """The weights of the words alone."""
        scores = {}
        for line in _FOLDER.joinpath("pieces.tsv").read_text("utf-8").splitlines():
            piece, *values = line.split("\t")
            scores[piece] = tuple(int(value) / 1000 for value in values)
        return Linear.parse(_FOLDER.joinpath("weights.json").read_text("utf-8")), scores

    def chances(self, situation: Situation) -> Scores:
        """The probability of each route."""
        return shares_of_one(self._by_situation(situation)[0])

    def decide(self, asked: str | Situation) -> Decision:
        """The most probable route of a prompt or a conversation."""
        start = time.perf_counter()
        situation = asked if isinstance(asked, Situation) else Situation(turns=(Turn(asked),))
        scores, shares = self._by_situation(situation)
        chances = shares_of_one(scores)
        route = max(chances, key=lambda candidate: chances[candidate])
        strongest = sorted(shares[route].items(), key=lambda item: -item[1])
        reasons = tuple(name for name, share in strongest[:3] if share > 0)
        return Decision(
            route=route,
            model=MODELS[route],
            forced=False,
            confidence=chances[route],
            reasons=reasons or ("nothing spoke for another route",),
            milliseconds=(time.perf_counter() - start) * 1000,
        )

    def words_alone(self, prompt: str) -> tuple[Scores, dict[Route, dict[str, float]]]:
        """What a prompt's words say for each route, and by what."""
        found = features(prompt)
        meaning = self._by_pieces(prompt)
        scores = {route: score + meaning[route] for route, score in self._words.scores(found).items()}
        shares = self._words.shares(found)
        for route, share in shares.items():
            share["the words' meaning"] = meaning[route]
        return scores, shares

    def situation_features(self, situation: Situation, before: Scores | None) -> dict[str, float]:
        """What is weighed of a conversation; `before` are the probabilities of the turn before its last."""
        last = situation.turns[-1].text
        words = self._logs(last)
        joined = None
        if before is not None:
            # What is long stands alone.
            together = f"{excerpt(situation.turns[-2].text, EARLIER)} {last}" if len(last) <= JOINED else last
            joined = self._logs(together) if together != last else words
        return context_features(situation, words, before, joined)

    def _logs(self, prompt: str) -> Scores:
        chances = shares_of_one(self.words_alone(prompt)[0])
        return {route: math.log(chance) for route, chance in chances.items()}

    def _by_situation(self, situation: Situation) -> tuple[Scores, dict[Route, dict[str, float]]]:
        """The same for the last turn of a conversation: each turn bears on the next."""
        before: Scores | None = None
        for number in range(1, len(situation.turns) + 1):
            now = situation.at(number)
            if self._context is None or now.plain:
                scores, shares = self.words_alone(now.turns[-1].text)
            else:
                found = self.situation_features(now, before)
                scores, shares = self._context.scores(found), self._context.shares(found)
            before = shares_of_one(scores)
        return scores, shares

    def _by_pieces(self, prompt: str) -> Scores:
        """What the embedding of the words says for each route."""
        rows = [self._pieces[piece] for piece in pieces(excerpt(prompt), self._pieces)]
        scale = math.sqrt(len(rows)) if rows else 1.0
        sums = [sum(column) for column in zip(*rows, strict=True)] or [0.0] * len(self._words.bias)
        return {route: total / scale for route, total in zip(self._words.bias, sums, strict=True)}


def forced(route: Route, model: str | None = None) -> Decision:
    """The caller's own choice of route, and of the model on it."""
    return Decision(
        route=route,
        model=model or MODELS[route],
        forced=True,
        confidence=1.0,
        reasons=("the caller chose it",),
        milliseconds=0.0,
    )

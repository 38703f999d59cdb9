"""Decides by which route a request is answered, without asking a model.

A linear classifier over named features and over a static embedding of the words: the decision takes about a
millisecond, has no dependency that can be away, and can be explained by what made it. `training/train.py` makes the
weights.
"""

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from typing import Any, Final

from mesh_agents.routing.abilities import Abilities
from mesh_agents.routing.features import excerpt, features
from mesh_agents.routing.routes import MODELS, Route
from mesh_agents.routing.situation import Situation
from mesh_agents.routing.wordpiece import pieces

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
        weights: Mapping[str, Mapping[str, float]],
        bias: Mapping[str, float],
        piece_scores: Mapping[str, Sequence[float]],
        abilities: Abilities | None = None,
    ) -> None:
        """Keep the weights: route -> feature -> weight, route -> bias, piece -> a score for each of `bias`.

        `abilities` are the models', for whoever chooses one by a decision.
        """
        self.abilities: Final = abilities or Abilities.parse("")
        self._weights = {Route(route): dict(values) for route, values in weights.items()}
        self._bias = {Route(route): value for route, value in bias.items()}
        self._pieces = piece_scores

    @classmethod
    def load(cls, abilities: Abilities | None = None) -> "Router":
        """The router with the weights that are part of this package."""
        folder = resources.files(__package__)
        data = json.loads(folder.joinpath("weights.json").read_text("utf-8"))
        scores = {}
        for line in folder.joinpath("pieces.tsv").read_text("utf-8").splitlines():
            piece, *values = line.split("\t")
            scores[piece] = tuple(int(value) / 1000 for value in values)
        bias = {route: data["bias"][route] for route in data["routes"]}
        return cls(data["weights"], bias, scores, abilities)

    def decide(self, asked: str | Situation) -> Decision:
        """The most probable route of a prompt or a conversation."""
        prompt = asked if isinstance(asked, str) else asked.turns[-1].text
        start = time.perf_counter()
        found = features(prompt)
        worded = self._by_words(prompt)
        scores = {
            route: self._bias[route]
            + worded[route]
            + sum(weights.get(name, 0.0) * value for name, value in found.items())
            for route, weights in self._weights.items()
        }
        top = max(scores.values())
        total = sum(math.exp(score - top) for score in scores.values())
        route = max(scores, key=lambda candidate: scores[candidate])
        shares = {name: self._weights[route].get(name, 0.0) * value for name, value in found.items()}
        shares["the words' meaning"] = worded[route]
        reasons = tuple(name for name, share in sorted(shares.items(), key=lambda item: -item[1])[:3] if share > 0)
        return Decision(
            route=route,
            model=MODELS[route],
            forced=False,
            confidence=1 / total,
            reasons=reasons or ("nothing spoke for another route",),
            milliseconds=(time.perf_counter() - start) * 1000,
        )

    def _by_words(self, prompt: str) -> dict[Route, float]:
        """What the embedding of the words says for each route."""
        rows = [self._pieces[piece] for piece in pieces(excerpt(prompt), self._pieces)]
        scale = math.sqrt(len(rows)) if rows else 1.0
        sums = [sum(column) for column in zip(*rows, strict=True)] or [0.0] * len(self._bias)
        return {route: total / scale for route, total in zip(self._bias, sums, strict=True)}


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

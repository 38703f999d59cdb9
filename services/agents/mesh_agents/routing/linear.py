"""A linear classifier of routes."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

from mesh_agents.routing.routes import Route

Scores = dict[Route, float]


@dataclass(frozen=True)
class Linear:
    """Its weights."""

    bias: Mapping[Route, float]
    weights: Mapping[Route, Mapping[str, float]]
    """Route -> feature -> weight."""

    @classmethod
    def parse(cls, text: str) -> "Linear":
        """From the JSON that `training/train.py` writes."""
        data = json.loads(text)
        return cls(
            {Route(route): float(data["bias"][route]) for route in data["routes"]},
            {Route(route): dict(data["weights"][route]) for route in data["routes"]},
        )

    def scores(self, found: Mapping[str, float]) -> Scores:
        """The sum of each route."""
        return {route: self.bias[route] + sum(share.values()) for route, share in self.shares(found).items()}

    def shares(self, found: Mapping[str, float]) -> dict[Route, dict[str, float]]:
        """What each feature adds to each route."""
        return {
            route: {name: weights.get(name, 0.0) * value for name, value in found.items()}
            for route, weights in self.weights.items()
        }


def shares_of_one(scores: Scores) -> Scores:
    """Scores as probabilities."""
    top = max(scores.values())
    parts = {route: math.exp(score - top) for route, score in scores.items()}
    total = sum(parts.values())
    return {route: part / total for route, part in parts.items()}

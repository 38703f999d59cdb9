"""Makes the weights by which the router weighs a conversation and its attachments."""

import random
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from mesh_agents.routing.linear import Linear
from mesh_agents.routing.router import Router
from mesh_agents.routing.routes import Route
from mesh_agents.routing.situation import TURNS, Situation, Turn
from scipy.optimize import minimize
from sklearn.feature_extraction import DictVectorizer
from sklearn.model_selection import GroupKFold

from training import corpus
from training.situations import KINDS, train_part

STRENGTH = 1.0
"""Inverse of the regularization; this and the next three were chosen by cross-validation inside the train part."""
SHARED_PENALTY = 0.1
"""Of the weights that the routes share, as a part of that of the others."""
NEW_TOPICS = 300
"""Prompts of the train part put behind a conversation about something else: what stands alone is not drawn into it."""
NEW_TOPIC_WEIGHT = 0.1
_ROUNDS = 2
"""The first has no weights for the turns before; the second has those of the first."""
_STANDS_ALONE = 6
"""Words."""

Labelled = tuple[Situation, str]


def fit_context() -> dict[str, Any]:
    """The weights, with the accuracy of cross-validation."""
    known = [pair for kind in KINDS for pair in train_part(kind)]
    made_up = new_topics(known)
    right = 0
    folds = GroupKFold(8)
    for train, test in folds.split(known, groups=list(range(len(known)))):
        context = _fit([known[index] for index in train], made_up)
        right += sum(_router(context).decide(known[index][0]).route == known[index][1] for index in test)
    context = _fit(known, made_up)
    return {
        "situations": len(known),
        "cross_validated_accuracy": round(right / len(known), 3),
        "routes": [route.value for route in context.bias],
        "bias": {route.value: round(value, 4) for route, value in context.bias.items()},
        "weights": {
            route.value: {name: round(value, 4) for name, value in values.items() if abs(value) >= 0.00005}
            for route, values in context.weights.items()
        },
    }


def new_topics(known: Sequence[Labelled]) -> list[Labelled]:
    """Prompts that stand alone, each behind the conversation of another."""
    choose = random.Random(7)  # noqa: S311 - the same each time
    talks = [situation for situation, _ in known if len(situation.turns) > 1]
    prompts = [pair for pair in corpus.train_part() if len(pair[0].split()) >= _STANDS_ALONE]
    found = []
    for prompt, route in choose.sample(prompts, min(NEW_TOPICS, len(prompts))):
        talk = choose.choice(talks)
        turns = (*talk.turns[:-1], Turn(prompt, talk.turns[-1].answered))
        found.append((Situation(turns=turns[-TURNS:]), route))
    return found


def _fit(known: Sequence[Labelled], made_up: Sequence[Labelled]) -> Linear:
    pairs = [*known, *made_up]
    weights = np.array([1.0] * len(known) + [NEW_TOPIC_WEIGHT] * len(made_up))
    labels = np.array([list(Route).index(Route(route)) for _, route in pairs])
    context = None
    for _ in range(_ROUNDS):
        named = DictVectorizer(sparse=False)
        inputs = named.fit_transform([_features(_router(context), situation) for situation, _ in pairs])
        names = [str(name) for name in named.get_feature_names_out()]
        bias, rows = _regression(inputs, labels, weights, names)
        context = Linear(
            {route: float(b) for route, b in zip(Route, bias, strict=True)},
            {
                route: {name: float(w) for name, w in zip(names, row, strict=True)}
                for route, row in zip(Route, rows, strict=True)
            },
        )
    if context is None:
        raise RuntimeError("nothing was trained")
    return context


def _regression(inputs: Any, labels: Any, weights: Any, names: Sequence[str]) -> tuple[Any, Any]:
    """Multinomial logistic regression; its biases, and a row of weights for each route.

    A feature that is about a route, `before: code`, speaks for it by a weight that it shares with the same feature of
    the other routes: a few hundred examples are not enough to learn each apart.
    """
    routes, count = len(Route), len(names)
    groups: dict[str, int] = {}
    own = []
    for column, name in enumerate(names):
        for row, route in enumerate(Route):
            if name.endswith(f" {route.value}"):
                own.append((row, column, groups.setdefault(name.removesuffix(f" {route.value}"), len(groups))))
    at_row, at_column, at_group = (np.array(values) for values in zip(*own, strict=True))
    truth = np.eye(routes)[labels]

    def unpacked(flat: Any) -> tuple[Any, Any, Any]:
        rows = flat[: routes * count].reshape(routes, count).copy()
        shared = flat[routes * count : -routes]
        rows[at_row, at_column] += shared[at_group]
        return rows, shared, flat[-routes:]

    def loss(flat: Any) -> tuple[float, Any]:
        rows, shared, bias = unpacked(flat)
        scores = inputs @ rows.T + bias
        scores -= scores.max(1, keepdims=True)
        logs = scores - np.log(np.exp(scores).sum(1, keepdims=True))
        off = (np.exp(logs) - truth) * weights[:, None]
        by_row = off.T @ inputs
        by_group = np.bincount(at_group, by_row[at_row, at_column], len(groups))
        apart = flat[: routes * count]
        penalty = (apart @ apart + SHARED_PENALTY * shared @ shared) / (2 * STRENGTH)
        gradient = np.concatenate(
            [by_row.ravel() + apart / STRENGTH, by_group + SHARED_PENALTY * shared / STRENGTH, off.sum(0)]
        )
        return float(-(logs * truth).sum(1) @ weights + penalty), gradient

    start = np.zeros(routes * count + len(groups) + routes)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 2000})
    rows, _, bias = unpacked(found.x)
    return bias, rows


class _Remembering(Router):
    """The router; what it made of words before it knows by heart, since they are weighed the same in every round."""

    known: ClassVar[dict[str, Any]] = {}
    loaded: ClassVar[Any] = None

    def words_alone(self, prompt: str) -> Any:
        """As the router's."""
        if prompt not in self.known:
            self.known[prompt] = super().words_alone(prompt)
        return self.known[prompt]


def _router(context: Linear | None) -> Router:
    """The router with its words' weights and with `context`."""
    if _Remembering.loaded is None:
        _Remembering.loaded = Router.load_words()
    words, pieces = _Remembering.loaded
    return _Remembering(words, pieces, context)


def _features(router: Router, situation: Situation) -> dict[str, float]:
    """Those of the last turn, as the router has them when it decides."""
    last = len(situation.turns)
    return router.situation_features(situation, router.chances(situation.at(last - 1)) if last > 1 else None)

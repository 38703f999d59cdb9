"""Makes the router's weights from the train part: `python -m training.train`, in this service's folder."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from mesh_agents.routing.features import excerpt, features
from mesh_agents.routing.wordpiece import pieces
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score

from training.corpus import train_part
from training.static_embedding import piece_vectors
from training.train_context import fit_context

TARGET = Path(__file__).parent.parent / "mesh_agents" / "routing"
STRENGTH = 1.0
"""Inverse of the regularization; this and the next were chosen by cross-validation inside the train part."""
EMBEDDING_SCALE = 4.0


def fit() -> tuple[dict[str, Any], list[str]]:
    """The weights of the named features with the accuracy of cross-validation, and the lines of the pieces' scores."""
    pairs = train_part()
    labels = [route for _, route in pairs]
    vectors = piece_vectors()
    named = DictVectorizer(sparse=False)
    inputs = np.hstack(
        [
            named.fit_transform([features(prompt) for prompt, _ in pairs]),
            np.array([_embed(prompt, vectors) for prompt, _ in pairs]) * EMBEDDING_SCALE,
        ]
    )
    model = LogisticRegression(C=STRENGTH, max_iter=3000)
    folds = StratifiedKFold(8, shuffle=True, random_state=0)
    accuracy = float(cross_val_score(model, inputs, labels, cv=folds).mean())
    model.fit(inputs, labels)
    names = named.get_feature_names_out()
    routes = [str(route) for route in model.classes_]
    split = len(names)
    weights = {
        "prompts": len(pairs),
        "cross_validated_accuracy": round(accuracy, 3),
        "routes": routes,
        "bias": {route: round(float(b), 4) for route, b in zip(routes, model.intercept_, strict=True)},
        "weights": {
            route: {name: round(float(w), 4) for name, w in zip(names, row[:split], strict=True)}
            for route, row in zip(routes, model.coef_, strict=True)
        },
    }
    scores = {
        name: np.rint(model.coef_[:, split:] @ vector * EMBEDDING_SCALE * 1000).astype(int)
        for name, vector in vectors.items()
    }
    return weights, ["\t".join([name, *map(str, row)]) for name, row in scores.items()]


def _embed(prompt: str, vectors: dict[str, Any]) -> Any:
    found = [vectors[name] for name in pieces(excerpt(prompt), vectors)]
    size = len(next(iter(vectors.values())))
    return np.sum(found, axis=0) / len(found) ** 0.5 if found else np.zeros(size)


def write(name: str, made: dict[str, Any]) -> None:
    """One file of weights."""
    (TARGET / name).write_text(json.dumps(made, indent=1, sort_keys=True) + "\n", "utf-8")


if __name__ == "__main__":
    # Conversations are weighed on top of what the words say, so that only they can be trained again, in seconds.
    if sys.argv[1:] != ["context"]:
        made, lines = fit()
        write("weights.json", made)
        (TARGET / "pieces.tsv").write_text("\n".join(lines) + "\n", "utf-8")
    write("context.json", fit_context())

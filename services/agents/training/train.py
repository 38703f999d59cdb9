"""Makes the router's weights from the train part: `python -m training.train`, in this service's folder.

Needs scikit-learn, which the service itself does not.
"""

import json
from pathlib import Path
from typing import Any

from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline

from mesh_agents.routing.features import features
from training.corpus import train_part

TARGET = Path(__file__).parent.parent / "mesh_agents" / "routing" / "weights.json"
STRENGTH = 1.0
"""Inverse of the regularization, chosen by cross-validation inside the train part."""


def fit() -> dict[str, Any]:
    """Weights and biases by route, and the accuracy of ten-fold cross-validation."""
    pairs = train_part()
    inputs = [features(prompt) for prompt, _ in pairs]
    labels = [route for _, route in pairs]
    model = make_pipeline(DictVectorizer(), LogisticRegression(C=STRENGTH, max_iter=3000))
    folds = StratifiedKFold(10, shuffle=True, random_state=0)
    accuracy = float(cross_val_score(model, inputs, labels, cv=folds).mean())
    model.fit(inputs, labels)
    names = model[0].get_feature_names_out()
    rows = zip(model[1].classes_, model[1].coef_, strict=True)
    return {
        "prompts": len(pairs),
        "cross_validated_accuracy": round(accuracy, 3),
        "bias": {route: round(float(b), 4) for route, b in zip(model[1].classes_, model[1].intercept_, strict=True)},
        "weights": {
            route: {name: round(float(w), 4) for name, w in zip(names, row, strict=True)} for route, row in rows
        },
    }


if __name__ == "__main__":
    TARGET.write_text(json.dumps(fit(), indent=1, sort_keys=True) + "\n", "utf-8")

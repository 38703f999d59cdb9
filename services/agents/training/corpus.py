"""The labelled prompts and their split: `<folder>/<route>.txt` holds one prompt a line.

In `first` and `conversational` a prompt's part follows from its hash, so that a new prompt moves no other.
`train_only` was added to train on. `unseen` was written after features and weights were fixed; what was changed after
it was measured, bounds for hostile input, changes no decision on it.
"""

import hashlib
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent
TRAIN_TENTHS: Final = 6
_SPLIT: Final = ("first", "conversational")


def is_train(prompt: str) -> bool:
    """Whether tuning may see a prompt of the split folders."""
    return int(hashlib.sha256(prompt.encode()).hexdigest(), 16) % 10 < TRAIN_TENTHS


def load(name: str) -> list[tuple[str, str]]:
    """Pairs of prompt and route from the folder `name`."""
    return [
        (line, path.stem)
        for path in sorted((FOLDER / name).glob("*.txt"))
        for line in path.read_text("utf-8").splitlines()
        if line.strip()
    ]


def train_part() -> list[tuple[str, str]]:
    """What tuning sees."""
    split = [pair for name in _SPLIT for pair in load(name) if is_train(pair[0])]
    return [*split, *load("train_only")]


def test_part() -> list[tuple[str, str]]:
    """What only the measurement sees."""
    return [pair for name in _SPLIT for pair in load(name) if not is_train(pair[0])]

"""The labelled prompts and their split.

`prompts/<route>.txt` holds one prompt a line. A prompt's part follows from its hash, so that a new prompt moves no other.
`fresh/<route>.txt` was written after features and weights were fixed, and was never used to change them.
"""

import hashlib
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent
TRAIN_TENTHS: Final = 6


def is_train(prompt: str) -> bool:
    """Whether tuning may see a prompt."""
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
    return [pair for pair in load("prompts") if is_train(pair[0])]


def test_part() -> list[tuple[str, str]]:
    """What only the measurement sees."""
    return [pair for pair in load("prompts") if not is_train(pair[0])]

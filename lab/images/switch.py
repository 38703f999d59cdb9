"""Which of the large programs run for real (`LAB_REAL=vllm,ocr` or `LAB_REAL=all`); the others are stand-ins."""

from __future__ import annotations

import os
from typing import Final

VARIABLE: Final = "LAB_REAL"
CHOICE: Final = frozenset({"vllm", "ocr"})
"""Keys of images whose real program is so large that a stand-in replaces it by default."""


def chosen() -> frozenset[str]:
    """The keys selected by the environment.

    Raises:
        ValueError: it names something else.

    """
    words = {word.strip() for word in os.environ.get(VARIABLE, "").split(",")} - {""}
    if words == {"all"}:
        return CHOICE
    if unknown := words - CHOICE:
        raise ValueError(
            f"{VARIABLE} names {', '.join(sorted(unknown))}: it may be `all` or any of {', '.join(sorted(CHOICE))}"
        )
    return frozenset(words)

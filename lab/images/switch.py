"""Which of the large programs run for real: `LAB_REAL=vllm,ocr` or `LAB_REAL=all`; the others are bound stand-ins."""

from __future__ import annotations

import os
from typing import Final

VARIABLE: Final = "LAB_REAL"
CHOICE: Final = frozenset({"vllm", "ocr"})
"""Keys of images whose real program is so large that a stand-in takes its place unless it is asked for."""


def chosen() -> frozenset[str]:
    """The keys that the environment asks for.

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

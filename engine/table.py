"""Plain, aligned tables for terminals, and colour where there is one."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Sequence
from enum import Enum
from typing import Final, TextIO


class Colour(Enum):
    """The few colours that a report needs, as ANSI codes."""

    RED = "31"
    GREEN = "32"
    YELLOW = "33"
    BOLD = "1"


class Paint:
    """Colours text on a terminal, and leaves it alone in files, pipes and where NO_COLOR is set."""

    def __init__(self, stream: TextIO) -> None:
        self._on = stream.isatty() and not os.environ.get("NO_COLOR")

    def __call__(self, text: str, colour: Colour) -> str:
        """The text, coloured where that shows."""
        return f"\033[{colour.value}m{text}\033[0m" if self._on else text


_GAP: Final = "  "


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, widest: int = 44) -> list[str]:
    """The lines of a table; cells wider than `widest` go on over several lines."""
    cells = [[_wrap(cell, widest) for cell in row] for row in (header, *rows)]
    widths = [max(len(line) for row in cells for line in row[column]) for column in range(len(header))]
    lines: list[str] = []
    for index, row in enumerate(cells):
        for height in range(max(len(cell) for cell in row)):
            parts = [cell[height] if height < len(cell) else "" for cell in row]
            padded = (part.ljust(width) for part, width in zip(parts, widths, strict=True))
            lines.append(_GAP.join(padded).rstrip())
        if index == 0:
            lines.append(_GAP.join("-" * width for width in widths))
    return lines


def _wrap(cell: str, width: int) -> list[str]:
    return textwrap.wrap(cell, width, break_long_words=False, break_on_hyphens=False) or [""]

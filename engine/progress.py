"""Shows how far plans are: one line that moves on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from typing import Final

_SECONDS_BETWEEN_LINES: Final = 3


class Counts:
    """Counts of planned resources by stack, on standard error."""

    def __init__(self, stacks: Sequence[str]) -> None:
        self._counts = dict.fromkeys(stacks, 0)
        self._moves = sys.stderr.isatty()
        self._lock = threading.Lock()
        self._printed = time.monotonic()

    def __call__(self, stack: str, count: int) -> None:
        """Note that a stack's plan has so many resources by now."""
        with self._lock:
            self._counts[stack] = count
            now = time.monotonic()
            if self._moves or now - self._printed > _SECONDS_BETWEEN_LINES:
                self._printed = now
                self._print()

    def _print(self) -> None:
        text = "planning: " + ", ".join(f"{stack} {count} resources" for stack, count in self._counts.items())
        sys.stderr.write(f"\r\033[K{text}" if self._moves else f"{text}\n")
        sys.stderr.flush()

    def close(self) -> None:
        """Leave the terminal at the start of an empty line."""
        if self._moves:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()

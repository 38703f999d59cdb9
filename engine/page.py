"""Tables that commands write into docs/performance.md, each between a pair of markers that name the command."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from engine.root import CHECKOUT

PAGE: Final = CHECKOUT / "docs" / "performance.md"


def write_section(command: str, lines: Sequence[str], page: Path = PAGE) -> None:
    """Put lines where the page has the command's markers, or at its end."""
    begin, end = f"<!-- begin: {command} -->", f"<!-- end: {command} -->"
    block = "\n".join([begin, *lines, end])
    text = page.read_text() if page.exists() else "# Performance\n"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(text):
        text = f"{text.rstrip()}\n\n{begin}{end}\n"
    page.write_text(pattern.sub(lambda _: block, text))

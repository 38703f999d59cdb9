"""Cuts a text into overlapping pieces along its own structure."""

import hashlib
import re
from dataclasses import dataclass
from typing import Final

from semantic_text_splitter import MarkdownSplitter, TextSplitter

SIZE: Final = 1200
"""Characters of a chunk at most: about 300 tokens, well inside every embedding model's window."""
OVERLAP: Final = 200
"""Characters that a chunk repeats of the one before, so that no statement is cut from its context."""
_WINDOW: Final = 100_000
"""Characters that are cut at once: the work grows with their square."""
_GAP: Final = re.compile(r"\s{500,}")
"""Ends a window too: on nothing but line ends the splitter works longest."""
VERSION: Final = f"{SIZE}/{OVERLAP}/3"
"""Documents chunked or stored otherwise are ingested again when they come."""


@dataclass(frozen=True)
class Chunk:
    """A piece of a document."""

    index: int
    start: int
    """Offset in the document's text, in characters."""
    text: str


def chunks(text: str, *, markdown: bool, most: int | None = None) -> list[Chunk]:
    """The pieces of `text`, in order; blank ones are left out. With more than `most` the rest is not cut any more."""
    splitter = (MarkdownSplitter if markdown else TextSplitter)(SIZE, OVERLAP)
    found: list[tuple[int, str]] = []
    begin = 0
    while begin < len(text) and (most is None or len(found) <= most):
        gap = _GAP.search(text, begin, begin + _WINDOW)
        end, onward = gap.span() if gap else (begin + _WINDOW, begin + _WINDOW)
        cut = splitter.chunk_indices(text[begin:end])
        pieces = [(begin + start, piece) for start, piece in cut if piece.strip()]
        if gap is None and end < len(text) and len(pieces) > 1:
            # The last is cut by the window, not by the text: the next window begins with it.
            onward, _ = pieces.pop()
        found += pieces
        begin = onward
    return [Chunk(index, start, piece) for index, (start, piece) in enumerate(found)]


def digest(content: bytes) -> str:
    """SHA-256 of a document, in hex."""
    return hashlib.sha256(content).hexdigest()

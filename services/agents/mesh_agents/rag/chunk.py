"""Cuts a text into overlapping pieces along its own structure."""

import hashlib
from dataclasses import dataclass
from typing import Final

from semantic_text_splitter import MarkdownSplitter, TextSplitter

SIZE: Final = 1200
"""Characters of a chunk at most: about 300 tokens, well inside every embedding model's window."""
OVERLAP: Final = 200
"""Characters that a chunk repeats of the one before, so that no statement is cut from its context."""
VERSION: Final = f"{SIZE}/{OVERLAP}/2"
"""Documents chunked or stored otherwise are ingested again when they come."""


@dataclass(frozen=True)
class Chunk:
    """A piece of a document."""

    index: int
    start: int
    """Offset in the document's text, in characters."""
    text: str


def chunks(text: str, *, markdown: bool) -> list[Chunk]:
    """The pieces of `text`, in order; blank ones are left out."""
    splitter = (MarkdownSplitter if markdown else TextSplitter)(SIZE, OVERLAP)
    pieces = [(start, piece) for start, piece in splitter.chunk_indices(text) if piece.strip()]
    return [Chunk(index, start, piece) for index, (start, piece) in enumerate(pieces)]


def digest(content: bytes) -> str:
    """SHA-256 of a document, in hex."""
    return hashlib.sha256(content).hexdigest()

"""What readers find in a document."""

from dataclasses import dataclass

from mesh_agents.rag.parse import Kind


@dataclass(frozen=True)
class Text:
    """Text as it stands there."""

    text: str


@dataclass(frozen=True)
class Scan:
    """A file in which the OCR service is to find the text."""

    content: bytes
    kind: Kind
    pages: int = 1


Piece = Text | Scan

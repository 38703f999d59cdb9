"""A document of any kind: how many parts it has, and what is in them."""

from collections.abc import Iterator
from typing import Final

from mesh_agents.rag import charset, parse
from mesh_agents.rag.formats.pieces import Piece, Text
from mesh_agents.rag.parse import Kind

# What a kind needs is imported where it is read: a process reads one document, and should start fast.

_BATCHES: Final = {Kind.PDF: 20, Kind.TIFF: 4}
"""Pages that one process reads; of a PDF also those that one conversion of the OCR service gets."""


def pages(kind: Kind, content: bytes) -> int:
    """How many pages a document has; 1, where nobody can tell.

    Raises:
        RefusalError: 413 too many, 422 encrypted or broken.

    """
    if kind is Kind.PDF:
        from mesh_agents.rag.formats import pdf

        return pdf.pages(content)
    if kind in parse.IMAGES:
        from mesh_agents.rag.formats import images

        return images.pages(content, kind)
    return 1


def batch(kind: Kind) -> int:
    """Pages that are read at once."""
    return _BATCHES.get(kind, 1)


def read(kind: Kind, content: bytes, first: int, last: int) -> Iterator[Piece]:
    """Pages `first` up to `last`, which is not among them.

    Raises:
        RefusalError: 413 it unpacks to too much, 422 encrypted or broken.

    """
    if kind is Kind.PDF:
        from mesh_agents.rag.formats import pdf

        yield from pdf.read(content, first, last)
    elif kind in parse.IMAGES:
        from mesh_agents.rag.formats import images

        yield from images.read(content, kind, first, last)
    elif kind is Kind.EML:
        from mesh_agents.rag.formats import mail

        yield Text(mail.mail(content))
    else:
        yield Text(plain_text(kind, content))


def plain_text(kind: Kind, content: bytes) -> str:
    """The text of a document as far as it needs no OCR.

    Raises:
        RefusalError: as `read`.

    """
    match kind:
        case Kind.DOCX | Kind.PPTX | Kind.XLSX:
            from mesh_agents.rag.formats import office

            return {Kind.DOCX: office.docx, Kind.PPTX: office.pptx, Kind.XLSX: office.xlsx}[kind](content)
        case Kind.EPUB:
            from mesh_agents.rag.formats import epub

            return epub.epub(content)
        case Kind.PDF:
            from mesh_agents.rag.formats import pdf

            found = pdf.read(content, 0, pdf.pages(content))
            return "\n\n".join(piece.text for piece in found if isinstance(piece, Text))
        case Kind.HTML:
            from mesh_agents.rag.pages import html_text

            # In the encoding that it declares, as browsers read it.
            return html_text(charset.decode(content, charset.declared(content)) or "")
        case Kind.TEXT | Kind.CSV | Kind.MARKDOWN:
            return charset.decode(content) or ""
    return ""

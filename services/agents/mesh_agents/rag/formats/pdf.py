"""PDF: the text of pages that have some, and pictures of pages for the OCR service where they have none."""

import ctypes
from collections.abc import Iterator
from io import BytesIO
from itertools import groupby
from typing import Final

import pypdfium2 as pdfium  # type: ignore[import-untyped]
import pypdfium2.raw as raw  # type: ignore[import-untyped]

from mesh_agents.rag import parse
from mesh_agents.rag.formats.pieces import Piece, Scan, Text
from mesh_agents.rag.refusal import RefusalError

MOST: Final = 5000
"""Pages."""
_FEW: Final = 16
"""Letters and digits; a page with fewer and a picture is a scan with a stamp or a page number on it."""


def pages(content: bytes) -> int:
    """How many pages there are.

    Raises:
        RefusalError: 413 too many, 422 encrypted or broken.

    """
    with _document(content) as document:
        count = len(document)
    if count > MOST:
        raise RefusalError(413, f"the document has {count} pages; {MOST} at most", "document_too_large")
    if count == 0:
        raise parse.unreadable("it has no pages")
    return count


def read(content: bytes, first: int, last: int) -> Iterator[Piece]:
    """Pages `first` up to `last`, which is not among them."""
    with _document(content) as document:
        texts = {number: _text(document, number) for number in range(first, min(last, len(document)))}
        for scanned, group in groupby(texts, key=lambda number: texts[number] is None):
            numbers = list(group)
            if not scanned:
                yield Text("\n\n".join(texts[number] or "" for number in numbers))
            elif len(numbers) == len(document) and content.startswith(b"%PDF-"):
                # As a whole it goes as it came.
                yield Scan(content, parse.Kind.PDF, len(numbers))
            else:
                yield Scan(_only(document, numbers), parse.Kind.PDF, len(numbers))


class _document:  # noqa: N801 - reads as a phrase where it is used
    """A PDF that is open."""

    def __init__(self, content: bytes) -> None:
        try:
            self._open = pdfium.PdfDocument(content[max(parse.pdf_start(content), 0) :])
        except pdfium.PdfiumError as error:
            if getattr(error, "err_code", None) == raw.FPDF_ERR_PASSWORD:
                raise parse.encrypted() from error
            raise parse.unreadable("the PDF is damaged") from error

    def __enter__(self) -> pdfium.PdfDocument:
        return self._open

    def __exit__(self, *_error: object) -> None:
        self._open.close()


def _text(document: pdfium.PdfDocument, number: int) -> str | None:
    """The text of a page; None: it is a picture of text, if anything."""
    try:
        page = document[number]
    except pdfium.PdfiumError:
        # One of the pages is broken: the others are worth having.
        return ""
    try:
        words = page.get_textpage()
        text = str(words.get_text_bounded()).replace("\r\n", "\n").replace("\ufffe", "")
        words.close()
        if sum(character.isalnum() for character in text) >= _FEW:
            return text
        drawn = any(
            entry.type in (raw.FPDF_PAGEOBJ_IMAGE, raw.FPDF_PAGEOBJ_PATH, raw.FPDF_PAGEOBJ_SHADING)
            for entry in page.get_objects(max_depth=3)
        )
    except (pdfium.PdfiumError, ctypes.ArgumentError):
        return ""
    else:
        return None if drawn else text
    finally:
        page.close()


def _only(document: pdfium.PdfDocument, numbers: list[int]) -> bytes:
    """A document of just these pages."""
    made = pdfium.PdfDocument.new()
    try:
        made.import_pages(document, numbers)
        buffer = BytesIO()
        made.save(buffer)
        return buffer.getvalue()
    finally:
        made.close()

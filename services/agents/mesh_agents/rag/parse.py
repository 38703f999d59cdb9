"""What kind of document some bytes are, and the text of those that need no OCR."""

import re
from enum import StrEnum
from typing import Final

from selectolax.lexbor import LexborHTMLParser

from mesh_agents.errors import ApiError

MAX_PIXELS: Final = 100_000_000
_CONTROL: Final = re.compile(r"[\x00-\x08\x0e-\x1f]")
_HIDDEN: Final = "script, style, noscript, template, nav, svg, iframe, [hidden], [aria-hidden=true]"
_BLOCKS: Final = "p, div, li, tr, h1, h2, h3, h4, h5, h6, pre, br, section, article, blockquote, table, title"


class Kind(StrEnum):
    """Kinds of documents; the value is the media type."""

    TEXT = "text/plain"
    MARKDOWN = "text/markdown"
    HTML = "text/html"
    PDF = "application/pdf"
    PNG = "image/png"
    JPEG = "image/jpeg"


SCANNED: Final = frozenset({Kind.PDF, Kind.PNG, Kind.JPEG})
"""Kinds whose text the OCR service reads."""


def kind_of(content: bytes, filename: str) -> Kind:
    """The kind, by the content first: a file's name and declared type are only claims.

    Raises:
        ApiError: 400 empty, 415 anything else, and 413 an image of absurd dimensions.

    """
    if not content:
        raise ApiError(400, "the document is empty", code="document_empty", param="file")
    if content.startswith(b"%PDF-"):
        return Kind.PDF
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        _check_pixels(int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big"))
        return Kind.PNG
    if content.startswith(b"\xff\xd8\xff"):
        return Kind.JPEG
    text = decode(content)
    suffix = filename.rsplit(".", 1)[-1].lower()
    if suffix in ("md", "markdown"):
        return Kind.MARKDOWN
    head = text[:1000].lstrip().lower()
    if suffix in ("html", "htm", "xhtml") or head.startswith(("<!doctype html", "<html")):
        return Kind.HTML
    return Kind.TEXT


def decode(content: bytes) -> str:
    """UTF-8 text.

    Raises:
        ApiError: 415, it is not text: archives, executables, garbage.

    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if _CONTROL.search(text):
        raise ApiError(
            415,
            "the document is neither UTF-8 text, Markdown, HTML, PDF, PNG nor JPEG",
            code="unsupported_document",
            param="file",
        )
    return text


def html_text(html: str) -> str:
    """The visible text of a page, a line for each block."""
    tree = LexborHTMLParser(html)
    for node in tree.css(_HIDDEN):
        node.decompose()
    for node in tree.css(_BLOCKS):
        node.insert_after("\n")
    root = tree.body or tree.root
    text = root.text(deep=True, separator="") if root else ""
    lines = (re.sub(r"[^\S\n]+", " ", line).strip() for line in text.splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _check_pixels(width: int, height: int) -> None:
    """Refuse an image that is small as a file and huge in memory."""
    if width * height > MAX_PIXELS:
        raise ApiError(413, f"the image has {width} x {height} pixels; {MAX_PIXELS} at most", code="image_too_large")

"""What kind of document some bytes are, and the text of those that need no OCR."""

import re
from enum import StrEnum
from typing import Final

from mesh_agents.errors import ApiError

MAX_PIXELS: Final = 100_000_000
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SEGMENTS: Final = 1000
"""Of a JPEG, before its frame."""
_CONTROL: Final = re.compile(r"[\x00-\x08\x0e-\x1f]")


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
    if content.startswith(b"\x89PNG\r\n\x1a\n") and content[12:16] == b"IHDR":
        _check_pixels(int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big"))
        return Kind.PNG
    if content.startswith(b"\xff\xd8\xff") and (size := _jpeg_size(content)):
        _check_pixels(*size)
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


def _check_pixels(width: int, height: int) -> None:
    """Refuse an image that is small as a file and huge in memory."""
    if width * height > MAX_PIXELS:
        raise ApiError(413, f"the image has {width} x {height} pixels; {MAX_PIXELS} at most", code="image_too_large")


def _jpeg_size(content: bytes) -> tuple[int, int] | None:
    """Width and height, from the segment that starts the frame; None: there is none, so that it is no image."""
    at = 2
    for _ in range(_SEGMENTS):
        marker = content[at : at + 2]
        length = int.from_bytes(content[at + 2 : at + 4], "big")
        if len(marker) < 2 or marker[0] != 0xFF or length < 2:
            return None
        if marker[1] in _FRAMES:
            return int.from_bytes(content[at + 7 : at + 9], "big"), int.from_bytes(content[at + 5 : at + 7], "big")
        at += 2 + length
    return None

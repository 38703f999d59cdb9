"""Pictures: all go to the OCR service, as PNG where it knows them in no other form."""

from collections.abc import Iterator
from io import BytesIO
from typing import Final

from PIL import Image, UnidentifiedImageError

from mesh_agents.rag import parse
from mesh_agents.rag.formats.pieces import Scan
from mesh_agents.rag.refusal import RefusalError

MOST: Final = 500
"""Pages of a TIFF."""
_DECODED: Final = 40_000_000
"""Pixels of a picture that is decoded here, where it must fit the process."""
_AS_THEY_ARE: Final = (parse.Kind.PNG, parse.Kind.JPEG)
_FORMATS: Final = {parse.Kind.WEBP: ("WEBP",), parse.Kind.TIFF: ("TIFF",), parse.Kind.HEIC: ("HEIF",)}
_BROKEN: Final = (OSError, ValueError, SyntaxError, EOFError, UnidentifiedImageError, KeyError, TypeError, IndexError)
"""What Pillow raises on pictures that are broken."""

Image.MAX_IMAGE_PIXELS = None
"""Ours is checked, and refused by name."""


def pages(content: bytes, kind: parse.Kind) -> int:
    """How many pages there are: of a TIFF one or more, of others one.

    Raises:
        RefusalError: 413 too many, or too many pixels; 422 broken.

    """
    if kind in _AS_THEY_ARE:
        return 1
    try:
        with _opened(content, kind) as image:
            parse.check_pixels(image.width, image.height, _DECODED)
            if kind is not parse.Kind.TIFF:
                return 1
            for number in range(1, MOST + 1):
                try:
                    image.seek(number)
                except EOFError:
                    return number
    except _BROKEN as error:
        raise parse.unreadable("the picture is damaged") from error
    raise RefusalError(413, f"the picture has more than {MOST} pages", "document_too_large")


def read(content: bytes, kind: parse.Kind, first: int, last: int) -> Iterator[Scan]:
    """Pages `first` up to `last`, which is not among them."""
    if kind in _AS_THEY_ARE:
        yield Scan(content, kind)
        return
    try:
        with _opened(content, kind) as image:
            for number in range(first, last):
                if kind is parse.Kind.TIFF:
                    image.seek(number)
                parse.check_pixels(image.width, image.height, _DECODED)
                yield Scan(_png(image), parse.Kind.PNG)
    except _BROKEN as error:
        raise parse.unreadable("the picture is damaged") from error


def _opened(content: bytes, kind: parse.Kind) -> Image.Image:
    if kind is parse.Kind.HEIC:
        from pi_heif import register_heif_opener  # type: ignore[import-untyped]

        register_heif_opener()
    return Image.open(BytesIO(content), formats=_FORMATS[kind])


def _png(image: Image.Image) -> bytes:
    buffer = BytesIO()
    plain = image if image.mode in ("1", "L", "RGB") else image.convert("RGB")
    plain.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()

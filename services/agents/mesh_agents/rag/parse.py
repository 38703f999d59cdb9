"""What kind of document some bytes are: by what they are, never by what they are called.

A file's name decides only between the kinds of text that no content tells apart: Markdown, CSV and plain text.
"""

import re
import zipfile
from enum import StrEnum
from io import BytesIO
from typing import Final

from mesh_agents.rag import charset
from mesh_agents.rag.refusal import RefusalError

MAX_PIXELS: Final = 100_000_000
MAX_MEMBERS: Final = 20_000
"""Files in an archive."""
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SEGMENTS: Final = 1000
"""Of a JPEG, before its frame."""
_BEFORE_PDF: Final = 4096
"""Bytes that may stand before a PDF's header: mail gateways, printers and web servers leave some there."""
_HEIC: Final = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
_PAGE: Final = re.compile(
    r"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.{0,2000}?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL
)
_BINARY: Final = (
    *(b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"PK\x05\x06", b"PK\x07\x08", b"\x1f\x8b", b"BZh", b"\xfd7zXZ"),
    *(
        b"7z\xbc\xaf",
        b"Rar!",
        b"\x28\xb5\x2f\xfd",
        b"\x7fELF",
        b"\xca\xfe\xba\xbe",
        b"OggS",
        b"ID3",
        b"fLaC",
        b"\x1aE\xdf\xa3",
    ),
)
"""How files begin that are no text, whatever an old code page makes of them."""
_FIELD: Final = re.compile(r"([A-Za-z][A-Za-z0-9-]{0,60}):")
_FIELDS: Final = 65_536
"""Characters among which the fields of a message end."""
_MAIL: Final = frozenset({"received", "date", "message-id", "mime-version", "subject", "to", "return-path"})
READ: Final = (
    "PDF, DOCX, PPTX, XLSX, EPUB, HTML, Markdown, text, CSV, e-mail (.eml), PNG, JPEG, WEBP, TIFF and HEIC are read"
)


class Kind(StrEnum):
    """Kinds of documents; the value is the media type."""

    TEXT = "text/plain"
    CSV = "text/csv"
    MARKDOWN = "text/markdown"
    HTML = "text/html"
    EML = "message/rfc822"
    DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
    XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    EPUB = "application/epub+zip"
    PDF = "application/pdf"
    PNG = "image/png"
    JPEG = "image/jpeg"
    WEBP = "image/webp"
    TIFF = "image/tiff"
    HEIC = "image/heic"


IMAGES: Final = frozenset({Kind.PNG, Kind.JPEG, Kind.WEBP, Kind.TIFF, Kind.HEIC})
PLAIN: Final = frozenset({Kind.TEXT, Kind.CSV, Kind.HTML})
"""Kinds whose text is no Markdown."""


def kind_of(content: bytes, filename: str) -> Kind:
    """The kind of a document.

    Looks into archives, which takes time where they are made to: to be called in the confined process.

    Raises:
        RefusalError: 400 empty, 413 an image or an archive of absurd size, 415 nothing that is read, 422 encrypted.

    """
    if not content:
        raise RefusalError(400, "the document is empty", "document_empty")
    return _binary(content) or _text(content, filename)


def pdf_start(content: bytes) -> int:
    """Where a PDF begins in `content`; -1: it is none."""
    start = content.find(b"%PDF-", 0, _BEFORE_PDF)
    # Text may speak of a PDF's header; then it does not end like one.
    return start if start <= 0 or b"startxref" in content[-4096:] else -1


def unsupported(what: str = "") -> RefusalError:
    """The refusal of what is not read here; `what` it seems to be."""
    told = f"the document {what or 'is of a kind that is not read here'}; {READ}"
    return RefusalError(415, told, "unsupported_document")


def encrypted() -> RefusalError:
    """The refusal of a document that wants a password."""
    return RefusalError(422, "the document is encrypted; send it again without its password", "document_encrypted")


def unreadable(why: str) -> RefusalError:
    """The refusal of a document that is broken."""
    return RefusalError(422, f"the document cannot be read: {why}", "document_unreadable")


def _binary(content: bytes) -> Kind | None:
    if pdf_start(content) >= 0:
        return Kind.PDF
    if content.startswith(b"\x89PNG\r\n\x1a\n") and content[12:16] == b"IHDR":
        check_pixels(int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big"))
        return Kind.PNG
    if content.startswith(b"\xff\xd8\xff") and (size := _jpeg_size(content)):
        check_pixels(*size)
        return Kind.JPEG
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return Kind.WEBP
    if content[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return Kind.TIFF
    if content[4:8] == b"ftyp" and content[8:12] in _HEIC:
        return Kind.HEIC
    if content.startswith(b"PK\x03\x04"):
        return _archive(content)
    if content.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        # The container of old Office formats, and of new ones behind a password.
        if "EncryptedPackage".encode("utf-16-le") in content:
            raise encrypted()
        raise unsupported("is in an old format of Office (save it as DOCX, XLSX or PPTX)")
    return None


def _archive(content: bytes) -> Kind:
    """What a ZIP archive holds."""
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            members = archive.infolist()
            names = {member.filename for member in members}
            if len(members) > MAX_MEMBERS:
                raise RefusalError(413, f"the archive holds more than {MAX_MEMBERS} files", "document_too_large")
            kind = _packaged(archive, names)
            if any(member.flag_bits & 1 for member in members):
                raise encrypted()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, RuntimeError, EOFError) as error:
        raise unsupported("is a broken archive") from error
    return kind


def _packaged(archive: zipfile.ZipFile, names: set[str]) -> Kind:
    if "[Content_Types].xml" in names:
        folders = {name.split("/", 1)[0] for name in names if "/" in name}
        for folder, kind in (("word", Kind.DOCX), ("ppt", Kind.PPTX), ("xl", Kind.XLSX)):
            if folder in folders:
                return kind
    if "META-INF/container.xml" in names:
        return Kind.EPUB
    if "mimetype" in names and archive.getinfo("mimetype").file_size < 200:
        told = archive.read("mimetype").decode("latin-1").strip()
        if re.fullmatch(r"[a-z]+/[a-z0-9.+-]+", told):
            raise unsupported(f"is {told}")
    raise unsupported("is an archive (send the documents in it one by one)")


def _text(content: bytes, filename: str) -> Kind:
    # Before it is decoded: the parts of a message have an encoding each.
    if _is_mail(content[:_FIELDS].decode("latin-1"), named=filename.lower().endswith(".eml")):
        return Kind.EML
    text = None if content.startswith(_BINARY) else charset.decode(content)
    if text is None:
        raise unsupported()
    return kind_of_text(text, filename)


def kind_of_text(text: str, filename: str) -> Kind:
    """The kind of what is text."""
    suffix = filename.rsplit(".", 1)[-1].lower() if "." in filename else ""
    if _PAGE.match(text) or suffix in ("html", "htm", "xhtml"):
        return Kind.HTML
    if _is_mail(text, named=suffix == "eml"):
        return Kind.EML
    if suffix in ("md", "markdown"):
        return Kind.MARKDOWN
    return Kind.CSV if suffix in ("csv", "tsv") else Kind.TEXT


def _is_mail(text: str, *, named: bool) -> bool:
    """Whether it begins with the fields of a message."""
    fields = set()
    for number, line in enumerate(text[:_FIELDS].split("\n")):
        if not line.strip():
            break
        if line[0] in " \t" or (number == 0 and line.startswith("From ")):
            continue
        field = _FIELD.match(line)
        if field is None:
            return False
        fields.add(field[1].lower())
    wanted = 1 if named else 2
    return ("from" in fields and len(fields & _MAIL) >= wanted) or (named and len(fields & _MAIL) >= wanted)


def check_pixels(width: int, height: int, most: int = MAX_PIXELS) -> None:
    """Refuse an image that is small as a file and huge in memory.

    Raises:
        RefusalError: 413.

    """
    if width * height > most:
        raise RefusalError(413, f"the image has {width} x {height} pixels; {most} at most", "image_too_large")


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

"""Documents for docling-serve, made here: small, and each with a text to look for."""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

KEY: Final = "key-of-the-tests"
TEXT: Final = "The lighthouse keeper counts seven ships."
DRAWN: Final = "LAB 427 SHIPS"
_LETTERS: Final = {
    "L": "10000 10000 10000 10000 10000 10000 11111",
    "A": "01110 10001 10001 11111 10001 10001 10001",
    "B": "11110 10001 10001 11110 10001 10001 11110",
    "S": "01111 10000 10000 01110 00001 00001 11110",
    "H": "10001 10001 10001 11111 10001 10001 10001",
    "I": "01110 00100 00100 00100 00100 00100 01110",
    "P": "11110 10001 10001 11110 10000 10000 10000",
    "4": "00010 00110 01010 10010 11111 00010 00010",
    "2": "01110 10001 00001 00110 01000 10000 11111",
    "7": "11111 00001 00010 00100 01000 01000 01000",
    " ": "00000 00000 00000 00000 00000 00000 00000",
}


def docx() -> bytes:
    """Word's format with one paragraph."""
    kind = "http://schemas.openxmlformats.org"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{kind}/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Override PartName="/word/document.xml" ContentType="application/'
        'vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{kind}/package/2006/relationships"><Relationship Id="r1" '
        f'Type="{kind}/officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/></Relationships>',
        "word/document.xml": f'<w:document xmlns:w="{kind}/wordprocessingml/2006/main"><w:body>'
        f"<w:p><w:r><w:t>{TEXT}</w:t></w:r></w:p></w:body></w:document>",
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, f'<?xml version="1.0" encoding="UTF-8"?>{content}')
    return packed.getvalue()


def pdf() -> bytes:
    """One page with one line of text."""
    stream = f"BT /F1 18 Tf 72 700 Td ({TEXT}) Tj ET"
    objects = (
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
        "/Resources << /Font << /F1 5 0 R >> >> >>",
        f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    )
    text = "%PDF-1.4\n"
    places = []
    for number, content in enumerate(objects, 1):
        places.append(len(text))
        text += f"{number} 0 obj\n{content}\nendobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    count = len(objects) + 1
    text += f"xref\n0 {count}\n0000000000 65535 f \n{table}trailer\n<< /Size {count} /Root 1 0 R >>\n"
    return f"{text}startxref\n{text.index('xref')}\n%%EOF\n".encode()


def png(size: int = 6, edge: int = 60) -> bytes:
    """A picture of `DRAWN`: letters of 5 by 7 squares, `size` pixels each, black on white."""
    line = [_LETTERS[letter].split() for letter in DRAWN]
    rows = []
    for row in range(7):
        dots = "".join(f"{letter[row]}0" for letter in line)
        pixels = b"\xff" * edge + b"".join((b"\x00" if dot == "1" else b"\xff") * size for dot in dots) + b"\xff" * edge
        rows += [pixels] * size
    blank = [b"\xff" * len(rows[0])] * edge
    picture = b"".join(b"\x00" + row for row in (*blank, *rows, *blank))
    head = struct.pack(">IIBBBBB", len(rows[0]), len(rows) + 2 * edge, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunks(head, zlib.compress(picture)))


def _chunks(head: bytes, data: bytes) -> Iterator[bytes]:
    for kind, content in ((b"IHDR", head), (b"IDAT", data), (b"IEND", b"")):
        yield struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


MARKDOWN: Final = f"# Harbour\n\n{TEXT}\n".encode()
HTML: Final = f"<!doctype html><title>Harbour</title><h1>Harbour</h1><p>{TEXT}</p>".encode()


@dataclass(frozen=True, kw_only=True)
class Case:
    """One request that is refused, and the answer."""

    name: str
    status: int
    answer: Any = None
    """The whole body, where the stand-in knows it."""
    method: str = "POST"
    path: str = "/v1/convert/file/async"
    files: tuple[tuple[str, bytes], ...] = (("document.md", MARKDOWN),)
    fields: Mapping[str, str] = field(default_factory=dict)
    key: str | None = KEY

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, kw_only=True)
class Document:
    """One file, and what becomes of it."""

    name: str
    content: bytes
    status: str = "success"
    text: str | None = ""
    """A part of what is read."""
    category: str = ""
    """Of the error."""
    read_by: str = ""
    """Empty: the stand-in reads it too."""

    def __str__(self) -> str:
        return f"{self.name} {self.status}"


def form(files: Iterable[tuple[str, bytes]], fields: Mapping[str, str]) -> bytes:
    """A multipart form with the boundary `b`."""
    parts = [f'name="files"; filename="{name}"\r\n\r\n'.encode() + content for name, content in files]
    parts += [f'name="{name}"\r\n\r\n{value}'.encode() for name, value in fields.items()]
    return b"".join(b"--b\r\nContent-Disposition: form-data; " + part + b"\r\n" for part in parts) + b"--b--\r\n"


_TASK: Final = "00000000-0000-4000-8000-000000000000"
_UNAUTHORIZED: Final = {"detail": "Unauthorized"}
_NO_TASK: Final = {"detail": "Task not found."}
_NOT_FOUND: Final = {"detail": "Not Found"}
_MISSING: Final = {"detail": [{"type": "missing", "loc": ["body", "files"], "msg": "Field required"}]}
REFUSED: Final = (
    Case(name="no key", key=None, status=401, answer=_UNAUTHORIZED),
    Case(name="wrong key", key="wrong", status=401, answer=_UNAUTHORIZED),
    Case(name="synchronous without a key", path="/v1/convert/file", key=None, status=401, answer=_UNAUTHORIZED),
    Case(
        name="state without a key", method="GET", path=f"/v1/status/poll/{_TASK}", key=None, status=401,
        answer=_UNAUTHORIZED,
    ),
    Case(
        name="result without a key", method="GET", path=f"/v1/result/{_TASK}", key=None, status=401,
        answer=_UNAUTHORIZED,
    ),
    Case(name="unknown task", method="GET", path=f"/v1/status/poll/{_TASK}", status=404, answer=_NO_TASK),
    Case(name="result of an unknown task", method="GET", path=f"/v1/result/{_TASK}", status=404, answer=_NO_TASK),
    Case(name="result of no task", method="GET", path="/v1/result/nothing", status=404, answer=_NO_TASK),
    Case(name="unknown path without a key", method="GET", path="/v1/nothing", key=None, status=404, answer=_NOT_FOUND),
    Case(name="method without a key", method="GET", key=None, status=405, answer={"detail": "Method Not Allowed"}),
    Case(name="no file", files=(), fields={"to_formats": "md"}, status=422, answer=_MISSING),
    Case(name="four files", files=(("document.md", MARKDOWN),) * 4, status=422,
         answer={"detail": "Too many files: 4 exceeds the maximum of 3."}),
    Case(name="unknown format", fields={"to_formats": "word"}, status=422),
)  # fmt: skip
DOCUMENTS: Final = (
    Document(name="document.markdown", content=MARKDOWN, text=f"# Harbour\n\n{TEXT}"),
    Document(name="document.md", content=MARKDOWN, text=f"# Harbour\n\n{TEXT}"),
    Document(name="document.txt", content=TEXT.encode(), text=TEXT),
    Document(name="document.html", content=HTML, text=TEXT),
    Document(name="document.docx", content=docx(), text=TEXT, read_by="real"),
    Document(name="document.pdf", content=pdf(), text=TEXT, read_by="real"),
    Document(name="document.png", content=png(), text="427", read_by="real"),
    Document(name="empty.md", content=b""),
    Document(name="empty.pdf", content=b"", status="failure", text=None, category="backend_failure"),
    Document(name="empty.png", content=b"", status="skipped", text=None, category="policy"),
    Document(name="words.pdf", content=b"no pdf", status="failure", text=None, category="backend_failure"),
    Document(name="broken.pdf", content=b"%PDF-1.4 nonsense", status="failure", text=None, category="backend_failure"),
    Document(name="words.png", content=b"no picture", status="skipped", text=None, category="policy"),
    Document(name="broken.png", content=png()[:8] + b"??", status="failure", text=None, category="backend_failure"),
    Document(name="words.docx", content=b"no archive", status="failure", text=None, category="backend_failure"),
    Document(name="empty.docx", content=b"", status="failure", text=None, category="backend_failure"),
    Document(name="words.jpg", content=b"no picture", status="skipped", text=None, category="policy"),
    Document(name="program.bin", content=b"\x00\x01\xff", status="skipped", text=None, category="policy"),
)

"""Documents that are broken, or made to break what reads them: each is refused, soon, and for a reason that is said."""

import io
import time
import zipfile

import pytest

from tests.services.agents import made
from tests.services.agents.test_formats import MC, W, _read, _refused

TYPES: dict[str, bytes | str] = {"[Content_Types].xml": "<Types/>"}
LAUGHS = (
    "<!DOCTYPE x ["
    + '<!ENTITY a0 "ha">'
    + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    + "]>"
)
TAKEN = f"<w:document {W} {MC}><w:body><w:p><w:r><w:t>%s</w:t></w:r></w:p></w:body></w:document>"


def _word(document: str) -> bytes:
    return made.archive({**TYPES, "word/document.xml": document})


def _bomb(name: str, size: int, others: dict[str, bytes | str]) -> bytes:
    """An archive with a member of so many zeros; written in pieces."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for other, content in others.items():
            archive.writestr(other, content)
        with archive.open(name, "w", force_zip64=True) as member:
            for _ in range(size >> 20):
                member.write(b" " * (1 << 20))
    return buffer.getvalue()


def _lying(content: bytes, claims: int) -> bytes:
    """An archive whose last member claims another size than it has."""
    at = content.rindex(b"PK\x01\x02")
    return content[: at + 24] + claims.to_bytes(4, "little") + content[at + 28 :]


@pytest.mark.parametrize(
    ("content", "refused"),
    [
        (_bomb("word/document.xml", 300 << 20, TYPES), (413, "document_too_large")),
        (_bomb("xl/worksheets/sheet1.xml", 300 << 20, {**TYPES, "xl/workbook.xml": ""}), (413, "document_too_large")),
        (made.archive({**TYPES, **{f"word/{n}": "" for n in range(20_001)}}), (413, "document_too_large")),
        (_word(LAUGHS + TAKEN % "&a11;"), (422, "document_unreadable")),
        (_word('<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + TAKEN % "&a;"), (422, "document_unreadable")),
        (_word(TAKEN[:-20]), (422, "document_unreadable")),
        (made.archive({**TYPES, "word/other.xml": ""}), (422, "document_unreadable")),
        (made.archive({**TYPES, "ppt/presentation.xml": LAUGHS + "<x>&a11;</x>"}), (422, "document_unreadable")),
        (made.archive({**TYPES, "xl/workbook.xml": "<x"}), (422, "document_unreadable")),
        (made.archive({"META-INF/container.xml": LAUGHS + "<x>&a11;</x>"}), (422, "document_unreadable")),
        (made.archive({"a.txt": "just an archive"}), (415, "unsupported_document")),
        (made.archive({"mimetype": "application/vnd.oasis.opendocument.text"}), (415, "unsupported_document")),
        (made.word()[:900], (415, "unsupported_document")),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), (415, "unsupported_document")),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600) + "EncryptedPackage".encode("utf-16-le"),
            (422, "document_encrypted"),
        ),
    ],
    ids=[
        *("zip bomb", "sheet bomb", "many files", "laughs", "outside", "cut", "no document", "laughing slides"),
        *("no sheets", "laughing book", "archive", "odt", "half a file", "old office", "office with a password"),
    ],
)
def test_archives(content: bytes, refused: tuple[int, str]) -> None:
    began = time.monotonic()
    assert _refused(content) == refused
    assert time.monotonic() - began < 120


def test_an_archive_that_lies_about_its_size_is_held_to_what_it_holds() -> None:
    honest = _bomb("word/document.xml", 300 << 20, TYPES)
    status, code = _refused(_lying(honest, 100))
    assert (status, code) in ((413, "document_too_large"), (422, "document_unreadable"))


def test_a_sheet_with_cells_at_its_far_end_is_refused_and_not_spread_out() -> None:
    sheet = "<worksheet><sheetData><row r='1'><c r='A1'><v>1</v></c></row>"
    sheet += "<row r='1048576'><c r='XFD1048576'><v>1</v></c></row></sheetData></worksheet>"
    with zipfile.ZipFile(io.BytesIO(made.sheets())) as good:
        files: dict[str, bytes | str] = {name: good.read(name) for name in good.namelist()}
    assert _refused(made.archive({**files, "xl/worksheets/sheet1.xml": sheet})) == (422, "document_unreadable")


def _pages(count: int, kids: bytes) -> bytes:
    """A PDF that claims so many pages."""
    objects = [
        b"1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n",
        b"2 0 obj<</Type/Pages/Count %d/Kids[%b]>>endobj\n" % (count, kids),
        b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>endobj\n",
    ]
    content, offsets = b"%PDF-1.4\n", []
    for entry in objects:
        offsets.append(len(content))
        content += entry
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    start = len(content)
    content += (
        b"xref\n0 4\n0000000000 65535 f \n" + table + b"trailer<</Size 4/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % start
    )
    return content


@pytest.mark.parametrize(
    ("content", "refused"),
    [
        (b"%PDF-1.7 anything", (422, "document_unreadable")),
        (made.pdf(["x"])[:300], (422, "document_unreadable")),
        (_pages(5001, b"3 0 R " * 5001), (413, "document_too_large")),
        (made.image("TIFF", pages=501, mode="1"), (413, "document_too_large")),
        (made.image("TIFF")[:60], (422, "document_unreadable")),
        (made.image("WEBP")[:60], (422, "document_unreadable")),
        (made.image("HEIF")[:60], (422, "document_unreadable")),
        (b"RIFF\0\0\0\0WEBPVP8 " + bytes(20), (422, "document_unreadable")),
    ],
    ids=["pdf", "half a pdf", "many pages", "many pages of a tiff", "tiff", "webp", "heic", "empty webp"],
)
def test_pages_and_pictures(content: bytes, refused: tuple[int, str]) -> None:
    assert _refused(content) == refused


@pytest.mark.parametrize("content", [_pages(10**9, b"2 0 R 3 0 R"), made.tiff_without_end()], ids=["pdf", "tiff"])
def test_pages_that_lead_back_to_themselves_come_to_an_end(content: bytes) -> None:
    look, _ = _read(content)
    assert look.pages <= 2


@pytest.mark.parametrize(
    "content",
    [
        b"\x00\x01\x02\xff" * 500,
        b"MZ\x90\x00 an executable",
        b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x03\x00>\x00\x01\x00\x00\x00" * 50,
        bytes(range(256)) * 20,
        b"\x1f\x8b\x08\x00" + bytes(range(255, 0, -1)) * 5,
        b"OggS\x00\x02" + b"\x01vorbis" * 30,
        b"SQLite format 3\x00" + b"\x10\x00\x01\x01\x00@  " * 40,
    ],
    ids=["bytes", "exe", "elf", "all bytes", "gzip", "ogg", "sqlite"],
)
@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.html", "a.pdf", "a.eml"])
def test_binary_is_never_text_whatever_it_is_called(content: bytes, name: str) -> None:
    assert _refused(content, name) == (415, "unsupported_document")


def test_the_refusal_says_what_is_read() -> None:
    with pytest.raises(Exception, match=r"PDF, DOCX, PPTX, XLSX, EPUB, HTML, Markdown.*HEIC are read"):
        _read(b"\0\1")


def test_the_confined_process_has_no_network_and_starts_nothing() -> None:
    import subprocess
    import sys

    from tests.services.agents.conftest import SERVICE

    tried = (
        "from mesh_agents.rag import sandbox; sandbox.enter()\n"
        "import socket, subprocess, os\n"
        "for act in (socket.socket, lambda: subprocess.run(['true'])):\n"
        "    try: act()\n"
        "    except OSError as error: print(type(error).__name__)\n"
        "    else: print('done')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", tried], cwd=SERVICE, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout.split()[:2] == ["PermissionError", "PermissionError"], done.stdout + done.stderr
    assert "done" not in done.stdout

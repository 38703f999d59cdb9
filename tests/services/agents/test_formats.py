"""What is read of documents of every kind, by the real confined process; a stand-in says what it would have to OCR."""

import asyncio
import codecs

import pytest
from mesh_agents.errors import ApiError
from mesh_agents.rag.formats.pieces import Scan
from mesh_agents.rag.parse import Kind
from mesh_agents.rag.reader import DocumentReader, Look
from reportlab.lib.pdfencrypt import StandardEncryption

from tests.services.agents import made


class Ocr:
    """Stands in for the OCR service: names what it was sent."""

    def __init__(self) -> None:
        self.sent: list[Scan] = []

    async def markdown(self, content: bytes, kind: Kind) -> str:
        self.sent.append(Scan(content, kind))
        return f"[{kind.value} {len(self.sent)}]"


def _read(content: bytes, name: str = "a") -> tuple[Look, str]:
    return asyncio.run(DocumentReader(Ocr()).text(content, name))  # type: ignore[arg-type]


def _refused(content: bytes, name: str = "a") -> tuple[int, str | None]:
    with pytest.raises(ApiError) as caught:
        _read(content, name)
    return caught.value.status, caught.value.body.code


GERMAN = "Der Leuchtturm am Kap wurde 1871 von Elias Thörn gebaut; „Größe“ und Straße — 5 € Eintritt."
RUSSIAN = "Маяк на мысе был построен в 1871 году. Лампа зажигается с наступлением сумерек."  # noqa: RUF001
JAPANESE = "灯台は1871年にイライアス・ソーンによって建てられました。夕暮れになると灯がともります。"
CHINESE = "灯塔建于1871年，由伊莱亚斯·索恩建造。黄昏时分灯光亮起。"  # noqa: RUF001


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (GERMAN, "utf-8"),
        (GERMAN, "utf-8-sig"),
        (GERMAN, "utf-16"),
        (GERMAN, "utf-16-le"),
        (GERMAN, "utf-16-be"),
        (GERMAN, "utf-32-le"),
        (GERMAN, "cp1252"),
        (RUSSIAN, "koi8-r"),
        (RUSSIAN, "cp1251"),
        (RUSSIAN, "utf-16-be"),
        (JAPANESE, "shift_jis"),
        (JAPANESE, "euc-jp"),
        (JAPANESE, "iso2022_jp"),
        (JAPANESE, "utf-16-le"),
        (CHINESE, "gb18030"),
    ],
)
@pytest.mark.parametrize("name", ["a.txt", "a.csv", "no ending"])
def test_text_in_any_encoding(text: str, encoding: str, name: str) -> None:
    look, found = _read(f"{text}\r\n{text}\n".encode(encoding), name)
    assert found.splitlines() == [text, text]
    assert look.kind is (Kind.CSV if name == "a.csv" else Kind.TEXT)


def test_text_with_a_mark_of_utf_16_the_other_way_round() -> None:
    assert _read(codecs.BOM_UTF16_BE + GERMAN.encode("utf-16-be"))[1] == GERMAN


def test_utf_8_with_a_broken_byte_is_still_utf_8() -> None:
    found = _read(GERMAN.encode() * 10 + b"\xff" + GERMAN.encode())[1]
    assert found.count(GERMAN) == 11


@pytest.mark.parametrize(
    "page",
    [
        f'<html><head><meta charset="windows-1252"></head><body><p>{GERMAN}</p>',
        f'<?xml version="1.0" encoding="windows-1252"?>\n<!DOCTYPE html><html><body>{GERMAN}</body></html>',
        f"<!-- saved -->\n<html><body>{GERMAN}",
    ],
)
def test_web_pages_in_the_encoding_they_declare(page: str) -> None:
    look, found = _read(page.encode("cp1252"), "a.txt")
    assert (look.kind, found) == (Kind.HTML, GERMAN)


def test_word() -> None:
    look, found = _read(made.word(), "wrong.pdf")
    assert look.kind is Kind.DOCX
    assert found.split("\n\n") == [
        "# Lights of the coast",
        "The lighthouse at Cape Verity",
        "lamp oil",
        "| Name | Built |",
        "| Cape Verity | 1871 |",
    ]


W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
MC = 'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'


def test_word_has_text_in_many_places() -> None:
    """Content controls, text boxes (in two forms), what was deleted, footnotes."""
    body = (
        "<w:sdt><w:sdtContent><w:p><w:r><w:t>in a control</w:t></w:r></w:p></w:sdtContent></w:sdt>"
        "<w:p><w:pPr><w:tabs><w:tab w:val='left'/></w:tabs></w:pPr><w:r><w:t>a</w:t><w:tab/><w:t>b</w:t></w:r>"
        "<w:del><w:r><w:delText>gone</w:delText></w:r></w:del>"
        "<mc:AlternateContent><mc:Choice><w:txbxContent><w:p><w:r><w:t>in a box</w:t></w:r></w:p></w:txbxContent>"
        "</mc:Choice><mc:Fallback><w:p><w:r><w:t>in a box</w:t></w:r></w:p></mc:Fallback></mc:AlternateContent></w:p>"
    )
    files: dict[str, bytes | str] = {
        "[Content_Types].xml": "<Types/>",
        "word/document.xml": f"<w:document {W} {MC}><w:body>{body}</w:body></w:document>",
        "word/footnotes.xml": f"<w:footnotes {W}><w:p><w:r><w:t>a note</w:t></w:r></w:p></w:footnotes>",
    }
    assert _read(made.archive(files))[1].split("\n\n") == ["in a control", "in a box", "a\tb", "a note"]


def test_slides_in_order_with_notes() -> None:
    look, found = _read(made.slides())
    assert look.kind is Kind.PPTX
    assert found.split("\n\n") == [
        *("# Slide 1", "## Lights", "Cape Verity, 1871", "Notes: say more about Lights"),
        *("# Slide 2", "## Tides", "High water at noon", "Notes: say more about Tides"),
    ]


def test_sheets() -> None:
    look, found = _read(made.sheets())
    assert look.kind is Kind.XLSX
    lines = found.split("\n\n")
    assert lines[:3] == ["# Lights", "name | built | height", "Cape Verity | 1871 | 42.5"]
    assert lines[-2] == "# Größen"
    assert "42.5" in lines[3]


def test_a_book_in_the_order_of_its_spine() -> None:
    look, found = _read(made.book(["first chapter", "second chapter", "third chapter"]))
    assert look.kind is Kind.EPUB
    assert found.split() == ["first", "chapter", "second", "chapter", "third", "chapter"]


def test_a_locked_book_is_refused_by_name() -> None:
    lock = '<encryption><EncryptedData><CipherReference URI="OEBPS/text/1%20x.xhtml"/></EncryptedData></encryption>'
    assert _refused(made.book(["secret"], {"META-INF/encryption.xml": lock})) == (422, "document_encrypted")


@pytest.mark.parametrize("charset", ["utf-8", "iso-8859-1"])
def test_mail_with_what_is_attached(charset: str) -> None:
    inner = made.message({"inner.txt": b"innermost"})
    attached = {"liste.csv": GERMAN.encode("cp1252"), "Öl.docx": made.word(), "x.bin": b"\0\1\2\3" * 9, "m.eml": inner}
    look, found = _read(made.message(attached, charset), "a.txt")
    assert look.kind is Kind.EML
    assert "Subject: Lampenöl für den Turm" in found
    assert found.count("zwölf Fässer") == 2, "of two forms one is read, and the message within"
    for told in ("Attachment: liste.csv", GERMAN, "Attachment: Öl.docx", "Cape Verity", "innermost"):
        assert told in found
    assert "Attachment: x.bin\n\n(not read: the document is of a kind" in found


def test_pdf_text_is_read_and_scanned_pages_go_to_the_ocr_service() -> None:
    look, found = _read(made.pdf(["The first page has a text.", None, None, "The last page has one too."]))
    assert (look.kind, look.pages) == (Kind.PDF, 4)
    assert found.split("\n\n") == ["The first page has a text.", "[application/pdf 1]", "The last page has one too."]


def test_a_scanned_pdf_goes_to_the_ocr_service_as_it_is() -> None:
    ocr = Ocr()
    asyncio.run(DocumentReader(ocr).text(made.SCANNED, "a"))  # type: ignore[arg-type]
    assert [scan.content for scan in ocr.sent] == [made.SCANNED]


def test_many_scanned_pages_go_in_several_conversions() -> None:
    look, found = _read(made.pdf([None] * 45))
    assert (look.pages, found.split("\n\n")) == (45, [f"[application/pdf {number}]" for number in (1, 2, 3)])


@pytest.mark.parametrize("before", [b"\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"\xef\xbb\xbf", b"\x1b%-12345X@PJL\n" * 30])
def test_bytes_before_the_header_of_a_pdf(before: bytes) -> None:
    look, found = _read(before + made.pdf(["The page has a text that can be read."]))
    assert (look.kind, found) == (Kind.PDF, "The page has a text that can be read.")


def test_text_that_speaks_of_pdf_is_text() -> None:
    assert _read(b"The header is %PDF-1.7, said the manual.")[0].kind is Kind.TEXT


def test_an_encrypted_pdf_is_refused_by_name_and_one_that_opens_is_read() -> None:
    page = ["The page has a text that can be read."]
    assert _refused(made.pdf(page, StandardEncryption("secret"))) == (422, "document_encrypted")
    assert _read(made.pdf(page, StandardEncryption("", ownerPassword="x", canCopy=0)))[1] == page[0]


@pytest.mark.parametrize(
    ("content", "kind", "sent"),
    [
        (made.image("PNG"), Kind.PNG, Kind.PNG),
        (made.image("JPEG"), Kind.JPEG, Kind.JPEG),
        (made.image("WEBP"), Kind.WEBP, Kind.PNG),
        (made.image("TIFF"), Kind.TIFF, Kind.PNG),
        (made.image("TIFF", mode="CMYK"), Kind.TIFF, Kind.PNG),
        (made.image("TIFF", mode="1"), Kind.TIFF, Kind.PNG),
        (made.image("HEIF"), Kind.HEIC, Kind.PNG),
    ],
    ids=["png", "jpeg", "webp", "tiff", "cmyk", "fax", "heic"],
)
def test_pictures(content: bytes, kind: Kind, sent: Kind) -> None:
    look, found = _read(content, "a.txt")
    assert (look.kind, look.pages, found) == (kind, 1, f"[{sent.value} 1]")


def test_a_tiff_of_many_pages() -> None:
    look, found = _read(made.image("TIFF", pages=9))
    assert (look.pages, found.split("\n\n")) == (9, [f"[image/png {number}]" for number in range(1, 10)])

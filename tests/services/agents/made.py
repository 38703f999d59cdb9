"""Documents of every kind, made with the libraries that people make them with."""

import email.message
import email.policy
import io
import struct
import zipfile
from collections.abc import Sequence
from typing import Any

import docx
import pillow_heif
import pptx
import reportlab.pdfgen.canvas
import xlsxwriter
from PIL import Image, ImageDraw
from reportlab.lib.pdfencrypt import StandardEncryption

LIGHTHOUSE = "The lighthouse at Cape Verity was built in 1871 by Elias Thorn."


def picture(text: str = "a scan", width: int = 200, height: int = 60) -> Image.Image:
    made = Image.new("RGB", (width, height), "white")
    ImageDraw.Draw(made).text((5, 5), text, fill="black")
    return made


def image(form: str, pages: int = 1, mode: str = "RGB") -> bytes:
    """A picture in a form of Pillow's; `HEIF` too."""
    pillow_heif.register_heif_opener()
    buffer = io.BytesIO()
    first, *others = [picture(f"page {number}").convert(mode) for number in range(pages)]
    more: dict[str, Any] = {"save_all": True, "append_images": others} if others else {}
    first.save(buffer, form, **more)
    return buffer.getvalue()


def pdf(pages: Sequence[str | None], encryption: StandardEncryption | None = None) -> bytes:
    """Pages of text; None: a scanned one."""
    buffer = io.BytesIO()
    canvas = reportlab.pdfgen.canvas.Canvas(buffer, encrypt=encryption, pageCompression=1)
    for number, page in enumerate(pages):
        if page is None:
            canvas.drawInlineImage(picture(f"scan {number}"), 72, 600)
        for line, text in enumerate((page or "").splitlines()):
            canvas.drawString(72, 780 - 14 * line, text)
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


SCANNED = pdf([None])
"""A PDF of one scanned page."""


def word() -> bytes:
    """Headings, a list, a table, a run cut in two."""
    document = docx.Document()
    document.add_heading("Lights of the coast", 1)
    paragraph = document.add_paragraph("The light")
    paragraph.add_run("house at Cape Verity").bold = True
    document.add_paragraph("lamp oil", style="List Bullet")
    table = document.add_table(2, 2)
    for row, cells in enumerate((("Name", "Built"), ("Cape Verity", "1871"))):
        for column, text in enumerate(cells):
            table.cell(row, column).text = text
    buffer = io.BytesIO()
    document.save(buffer)
    return buffer.getvalue()


def slides() -> bytes:
    show = pptx.Presentation()
    for title, text in (("Lights", "Cape Verity, 1871"), ("Tides", "High water at noon")):
        slide = show.slides.add_slide(show.slide_layouts[1])
        slide.shapes.title.text = title
        slide.placeholders[1].text = text
        slide.notes_slide.notes_text_frame.text = f"say more about {title}"
    buffer = io.BytesIO()
    show.save(buffer)
    return buffer.getvalue()


def sheets() -> bytes:
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer, {"in_memory": True}) as book:
        lights = book.add_worksheet("Lights")
        lights.write_row(0, 0, ["name", "built", "height"])
        lights.write_row(1, 0, ["Cape Verity", 1871, 42.5])
        book.add_worksheet("Größen").write(5, 2, "=heliotrope")
        lights.write_formula(2, 2, "=SUM(C2:C2)", None, 42.5)
    return buffer.getvalue()


def archive(files: dict[str, bytes | str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in files.items():
            made.writestr(name, content)
    return buffer.getvalue()


def book(chapters: Sequence[str], more: dict[str, bytes | str] | None = None) -> bytes:
    """As EPUB 3 (OCF 3.3, package document) wants it; chapters in an order that is not that of their names."""
    count = len(chapters)
    items = "".join(
        f'<item id="c{n}" href="text/{count - n}%20x.xhtml" media-type="application/xhtml+xml"/>' for n in range(count)
    )
    spine = "".join(f'<itemref idref="c{n}"/>' for n in range(count))
    container = (
        '<?xml version="1.0"?><container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0">'
        '<rootfiles><rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles>'
        "</container>"
    )
    package = (
        '<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" version="3.0">'
        f"<manifest>{items}</manifest><spine>{spine}</spine></package>"
    )
    pages: dict[str, bytes | str] = {
        f"OEBPS/text/{count - n} x.xhtml": f"<html><head><title>x</title></head><body><p>{text}</p></body></html>"
        for n, text in enumerate(chapters)
    }
    return archive(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": container,
            "OEBPS/book.opf": package,
            **pages,
            **(more or {}),
        }
    )


def message(attachments: dict[str, bytes] | None = None, charset: str = "utf-8") -> bytes:
    made = email.message.EmailMessage(policy=email.policy.SMTP)
    made["From"] = "Elias Thorn <elias@example.org>"
    made["To"] = "harbour@example.org"
    made["Subject"] = "Lampenöl für den Turm"
    made.set_content("Bitte schickt zwölf Fässer Öl.\n", charset=charset)
    made.add_alternative("<p>Bitte schickt <b>zwölf</b> Fässer Öl.</p>", subtype="html")
    for name, content in (attachments or {}).items():
        made.add_attachment(content, maintype="application", subtype="octet-stream", filename=name)
    return made.as_bytes()


def tiff_without_end() -> bytes:
    """A TIFF whose only directory is followed by itself."""
    entries = [(256, 3, 1, 1), (257, 3, 1, 1), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 200)]
    entries += [(277, 3, 1, 1), (278, 3, 1, 1), (279, 4, 1, 1)]
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return (b"II*\0" + struct.pack("<I", 8) + directory + struct.pack("<I", 8)).ljust(201, b"\0")

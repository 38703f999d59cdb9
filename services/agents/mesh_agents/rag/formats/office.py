"""DOCX, PPTX and XLSX.

The XML of the first two is read as it stands, since everything that a reader sees is paragraphs of runs in it wherever
they stand: in content controls, text boxes, footnotes and cells, which libraries for editing such documents leave out.
"""

import re
from io import BytesIO
from posixpath import dirname, join, normpath
from typing import Final

from mesh_agents.rag import parse
from mesh_agents.rag.formats.archive import Archive, XmlEvents, attributes

_SKIPPED: Final = frozenset({"Fallback", "tabs", "instrText", "delText", "delInstrText"})
"""A second form of what was there already, definitions of tab stops, instructions to the program, what was deleted."""
_HEADING: Final = re.compile(r"heading ([1-6])", re.IGNORECASE)
_TITLES: Final = frozenset({"title", "ctrTitle"})
_MOST: Final = 24_000_000
"""Characters of one document."""


class _Paragraphs(XmlEvents):
    """Paragraphs as Markdown, tables as rows."""

    def __init__(self, levels: dict[str, int]) -> None:
        """`levels`: style id -> level of its heading."""
        self._levels = levels
        self._blocks: list[list[str]] = [[]]
        """Of the document, and of each cell that is open."""
        self._rows: list[list[str]] = []
        self._open: list[list[str]] = []
        """The runs of each paragraph that is open: a text box stands inside one."""
        self._marks: list[str] = []
        self._skip = 0
        self._takes = False
        self._title = False

    @property
    def text(self) -> str:
        return "\n\n".join(self._blocks[0])

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if self._skip or name in _SKIPPED:
            self._skip += 1
        elif name == "p":
            self._open.append([])
            self._marks.append("## " if self._title else "")
        elif name == "t":
            self._takes = True
        elif name == "pStyle" and self._marks and (level := self._levels.get(attributes.get("val", ""))):
            self._marks[-1] = "#" * level + " "
        elif name == "numPr" and self._marks:
            self._marks[-1] = self._marks[-1] or "- "
        elif name in ("tab", "br", "cr", "noBreakHyphen"):
            self._add({"tab": "\t", "noBreakHyphen": "-"}.get(name, "\n"))
        elif name == "tr":
            self._rows.append([])
        elif name == "tc":
            self._blocks.append([])
        elif name == "ph":
            self._title = attributes.get("type") in _TITLES

    def end(self, name: str) -> None:
        if self._skip:
            self._skip -= 1
        elif name == "t":
            self._takes = False
        elif name == "p" and self._open:
            text = "".join(self._open.pop()).strip()
            mark = self._marks.pop()
            if text:
                self._blocks[-1].append(f"{mark}{text}")
        elif name == "tc" and len(self._blocks) > 1 and self._rows:
            self._rows[-1].append(" ".join(" ".join(self._blocks.pop()).split()))
        elif name == "tr" and self._rows:
            cells = self._rows.pop()
            if any(cells):
                self._blocks[-1].append(f"| {' | '.join(cells)} |")
        elif name == "sp":
            self._title = False

    def data(self, text: str) -> None:
        if self._takes and not self._skip:
            self._add(text)

    def _add(self, text: str) -> None:
        if self._open:
            self._open[-1].append(text)


def docx(content: bytes) -> str:
    """A text document, with its notes at the end."""
    archive = Archive(content)
    main = _target(archive, "_rels/.rels", "", "officeDocument") or "word/document.xml"
    folder = dirname(main)
    levels = _levels(archive.read(f"{folder}/styles.xml")) if f"{folder}/styles.xml" in archive.names else {}
    events = _Paragraphs(levels)
    for name in (main, f"{folder}/footnotes.xml", f"{folder}/endnotes.xml"):
        if name == main or name in archive.names:
            events.feed(archive.read(name))
    return events.text


def pptx(content: bytes) -> str:
    """Slides in their order, each with its notes."""
    archive = Archive(content)
    main = _target(archive, "_rels/.rels", "", "officeDocument") or "ppt/presentation.xml"
    targets = _targets(archive, main)
    slides = attributes(archive.read(main), "sldId")
    shown = [targets.get(slide.get("id", ""), ("", ""))[1] for slide in slides]
    found = []
    for number, name in enumerate(filter(None, shown), 1):
        events = _Paragraphs({})
        events.feed(archive.read(name))
        found.append(f"# Slide {number}\n\n{events.text}")
        for kind, target in _targets(archive, name).values():
            if kind == "notesSlide" and target in archive.names:
                notes = _Paragraphs({})
                notes.feed(archive.read(target))
                if notes.text:
                    found.append(f"Notes: {notes.text}")
    return "\n\n".join(found)


def xlsx(content: bytes) -> str:
    """Every sheet, a line for each row."""
    from python_calamine import CalamineError, load_workbook

    Archive(content).check_size()
    found: list[str] = []
    size = 0
    try:
        with load_workbook(BytesIO(content)) as book:
            for name in book.sheet_names:
                found.append(f"# {name}")
                for row in book.get_sheet_by_name(name).iter_rows():
                    cells = [_cell(value) for value in row]
                    if any(cells):
                        found.append(" | ".join(cells).rstrip(" |"))
                        size += len(found[-1])
                        if size > _MOST:
                            raise parse.unreadable("its sheets hold too much text")
    except CalamineError as error:
        raise parse.unreadable("its sheets are broken") from error
    # With one sheet of nothing there is no text, whatever the sheet is called.
    return "\n\n".join(found) if size else ""


def _cell(value: object) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    return " ".join(str(value).split())


class _Levels(XmlEvents):
    """The styles that are headings; their ids are in the author's language, their names are not."""

    def __init__(self) -> None:
        self._style = ""
        self.found: dict[str, int] = {}

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "style":
            self._style = attributes.get("styleId", "")
        elif name == "name" and self._style:
            told = attributes.get("val", "")
            if level := _HEADING.fullmatch(told):
                self.found[self._style] = int(level[1])
            elif told.lower() == "title":
                self.found[self._style] = 1


def _levels(styles: bytes) -> dict[str, int]:
    events = _Levels()
    events.feed(styles)
    return events.found


def _targets(archive: Archive, name: str) -> dict[str, tuple[str, str]]:
    """Id -> kind and path of what a part refers to, inside the archive."""
    folder, _, file = name.rpartition("/")
    relations = f"{folder}/_rels/{file}.rels"
    if relations not in archive.names:
        return {}
    return {
        entry.get("Id", ""): (entry.get("Type", "").rpartition("/")[2], _path(folder, entry.get("Target", "")))
        for entry in attributes(archive.read(relations), "Relationship")
        if entry.get("TargetMode") != "External"
    }


def _target(archive: Archive, relations: str, folder: str, kind: str) -> str | None:
    if relations not in archive.names:
        return None
    for entry in attributes(archive.read(relations), "Relationship"):
        if entry.get("Type", "").endswith(f"/{kind}"):
            path = _path(folder, entry.get("Target", ""))
            return path if path in archive.names else None
    return None


def _path(folder: str, target: str) -> str:
    return normpath(target.lstrip("/") if target.startswith("/") else join(folder, target))

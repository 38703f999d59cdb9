"""EPUB: the chapters in the order in which they are read."""

from posixpath import dirname, join, normpath
from typing import Final
from urllib.parse import unquote

from mesh_agents.rag import charset, parse
from mesh_agents.rag.formats.archive import Archive, attributes
from mesh_agents.rag.pages import html_text

_PAGES: Final = ("application/xhtml+xml", "text/html")


def epub(content: bytes) -> str:
    """The text of a book.

    Raises:
        RefusalError: 413 it unpacks to too much, 422 broken or under a digital lock.

    """
    archive = Archive(content)
    roots = attributes(archive.read("META-INF/container.xml"), "rootfile")
    if not roots:
        raise parse.unreadable("the book names no content")
    package = roots[0].get("full-path", "")
    described = archive.read(package)
    folder = dirname(package)
    pages = {
        entry.get("id", ""): normpath(join(folder, unquote(entry.get("href", ""))))
        for entry in attributes(described, "item")
        if entry.get("media-type") in _PAGES
    }
    order = [pages[entry["idref"]] for entry in attributes(described, "itemref") if entry.get("idref") in pages]
    if _locked(archive) & set(order):
        raise parse.encrypted()
    texts = [charset.decode(archive.read(name)) for name in order if name in archive.names]
    chapters = [html_text(text) for text in texts if text]
    return "\n\n".join(filter(None, chapters))


def _locked(archive: Archive) -> set[str]:
    """What only a reader with a licence can open; fonts are often listed beside it."""
    if "META-INF/encryption.xml" not in archive.names:
        return set()
    found = attributes(archive.read("META-INF/encryption.xml"), "CipherReference")
    return {normpath(unquote(entry.get("URI", ""))) for entry in found}

"""What is common to formats that are ZIP archives of XML."""

import zipfile
import zlib
from io import BytesIO
from typing import Final
from xml.parsers import expat

from mesh_agents.rag import parse
from mesh_agents.rag.refusal import RefusalError

_MOST: Final = 200 << 20
"""Bytes that the members of one archive may unpack to."""
_PIECE: Final = 1 << 20


class Archive:
    """An archive whose members are read up to a limit, whatever they claim to hold."""

    def __init__(self, content: bytes) -> None:
        """Open it."""
        self._zip = zipfile.ZipFile(BytesIO(content))
        self._left = _MOST
        self.names = frozenset(self._zip.namelist())

    def read(self, name: str) -> bytes:
        """A member.

        Raises:
            RefusalError: 413 it unpacks to too much, 422 it is missing or broken.

        """
        found = bytearray()
        try:
            with self._zip.open(name) as member:
                while piece := member.read(_PIECE):
                    found += piece
                    self._left -= len(piece)
                    if self._left < 0:
                        raise _unpacks()
        except (KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, OSError) as error:
            raise parse.unreadable(f"{name} in it is missing or broken") from error
        return bytes(found)

    def check_size(self) -> None:
        """Refuse it for what its members claim, before others read it.

        Raises:
            RefusalError: 413.

        """
        if sum(member.file_size for member in self._zip.infolist()) > _MOST:
            raise _unpacks()


def _unpacks() -> RefusalError:
    return RefusalError(413, f"the document unpacks to more than {_MOST >> 20} MiB", "document_too_large")


class XmlEvents:
    """Reads XML as a stream of events; names are local ones, without their namespace."""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins."""

    def end(self, name: str) -> None:
        """An element ends."""

    def data(self, text: str) -> None:
        """Text between them."""

    def feed(self, content: bytes) -> None:
        """Read a whole file.

        Raises:
            RefusalError: 422, it is malformed, or declares entities: no real document does, bombs do.

        """
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartElementHandler = lambda name, given: self.start(local(name), _local(given))
        parser.EndElementHandler = lambda name: self.end(local(name))
        parser.CharacterDataHandler = self.data
        parser.EntityDeclHandler = _refuse
        try:
            parser.Parse(content, True)
        except expat.ExpatError as error:
            raise parse.unreadable("its XML is malformed") from error


def local(name: str) -> str:
    """A name without its namespace."""
    return name.rpartition(" ")[2]


def _local(given: dict[str, str]) -> dict[str, str]:
    """Attributes by their local names; of two with the same one, as `id` and `r:id`, that with a namespace."""
    return {local(key): value for key, value in sorted(given.items(), key=lambda pair: " " in pair[0])}


def _refuse(*_entity: object) -> None:
    raise parse.unreadable("its XML declares entities")


class _Attributes(XmlEvents):
    """Collects the attributes of all elements of a name."""

    def __init__(self, wanted: str) -> None:
        self._wanted = wanted
        self.found: list[dict[str, str]] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == self._wanted:
            self.found.append(attributes)


def attributes(content: bytes, name: str) -> list[dict[str, str]]:
    """The attributes of all elements called `name`, in order."""
    events = _Attributes(name)
    events.feed(content)
    return events.found

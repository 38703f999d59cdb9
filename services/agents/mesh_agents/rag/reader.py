"""Reads documents of all kinds: in a confined process, and by the OCR service where there are only pictures of text."""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mesh_agents.errors import ApiError
from mesh_agents.rag import charset, sandbox
from mesh_agents.rag.formats.pieces import Piece, Scan, Text
from mesh_agents.rag.ocr import OcrClient
from mesh_agents.rag.parse import PLAIN, Kind, kind_of_text, pdf_start

_PACKAGES: Final = str(Path(__file__).parents[2])
_AT_ONCE: Final = 2
"""Confined processes of one of ours: each may take a gigabyte."""
_LATER: Final = 3
"""Times the processor's seconds until the process is ended by the clock."""


@dataclass(frozen=True)
class Look:
    """What a document is, before it is read."""

    kind: Kind
    pages: int
    batch: int
    """Pages that are read at once."""
    begun: tuple[Piece, ...] = ()
    """What is in the first of these."""

    @property
    def markdown(self) -> bool:
        """Whether its text is Markdown."""
        return self.kind not in PLAIN


@dataclass(frozen=True)
class Part:
    """The text of some pages."""

    last: int
    """The page behind them."""
    text: str


class DocumentReader:
    """Finds the text of documents."""

    def __init__(self, ocr: OcrClient) -> None:
        """`ocr` reads pictures."""
        self._ocr = ocr
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def look(self, content: bytes, name: str) -> Look:
        """What the document is; `name` decides between Markdown, CSV and plain text, and nothing else.

        Raises:
            ApiError: 400 empty, 413 too large in one way or another, 415 nothing that is read, 422 broken, encrypted,
                or too much for the confined process.

        """
        if (look := await asyncio.to_thread(_plain, content, name)) is not None:
            return look
        (head, _), *rest = await self._confined({"name": name}, content)
        begun = tuple(_piece(*record) for record in rest)
        return Look(Kind(head["kind"]), head["pages"], head["batch"], begun)

    async def parts(self, content: bytes, look: Look, first: int = 0) -> AsyncGenerator[Part, None]:
        """The text from page `first` on, a batch of pages at a time.

        Raises:
            ApiError: as `look`, and as `OcrClient.markdown`.

        """
        while first < look.pages:
            last = min(first + look.batch, look.pages)
            pieces = look.begun
            if first or not pieces:
                asked = {"kind": look.kind.value, "first": first, "last": last}
                pieces = tuple(_piece(*record) for record in await self._confined(asked, content))
            # A picture without text is no error where there are other pages.
            found = [await self._read(piece, alone=look.pages == 1) for piece in pieces]
            yield Part(last, "\n\n".join(filter(None, found)))
            first = last

    async def text(self, content: bytes, name: str) -> tuple[Look, str]:
        """The whole text of a document.

        Raises:
            ApiError: as `parts`.

        """
        look = await self.look(content, name)
        return look, "\n\n".join([part.text async for part in self.parts(content, look)])

    async def _read(self, piece: Piece, *, alone: bool) -> str:
        if isinstance(piece, Text):
            return piece.text
        try:
            return await self._ocr.markdown(piece.content, piece.kind)
        except ApiError as error:
            if alone or error.status != 422:
                raise
            return ""

    async def _confined(self, asked: dict[str, Any], content: bytes) -> list[tuple[dict[str, Any], bytes]]:
        async with self._room:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "mesh_agents.rag.confined"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                # Nothing else of ours is of use to it.
                env={"PYTHONPATH": _PACKAGES, "PYTHONDONTWRITEBYTECODE": "1"},
            )
            try:
                async with asyncio.timeout(_LATER * sandbox.SECONDS):
                    output, _ = await process.communicate(json.dumps(asked).encode() + b"\n" + content)
            except TimeoutError:
                output = b""
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
        return _records(output)


def _plain(content: bytes, name: str) -> Look | None:
    """What needs no parser is read where it is."""
    text = None if pdf_start(content) >= 0 else charset.utf8(content)
    kind = kind_of_text(text, name) if text else Kind.HTML
    return Look(kind, 1, 1, (Text(text),)) if text and kind in (Kind.TEXT, Kind.CSV, Kind.MARKDOWN) else None


def _records(output: bytes) -> list[tuple[dict[str, Any], bytes]]:
    """The records of a call, less the last one, which says that it is whole.

    Raises:
        ApiError: the process refused the document or did not survive it.

    """
    found: list[tuple[dict[str, Any], bytes]] = []
    at = 0
    while at < len(output) <= 2 * sandbox.MOST_OUTPUT:
        line = output.index(b"\n", at) if b"\n" in output[at : at + 4096] else len(output) - 1
        try:
            head = json.loads(output[at:line])
        except ValueError:
            break
        if error := head.get("error"):
            raise ApiError(error["status"], error["message"], code=error["code"], param="file")
        if head.get("done"):
            return found
        at = line + 1 + head["size"]
        found.append((head, output[line + 1 : at]))
    raise ApiError(
        422,
        "the document cannot be read: that takes too long or too much memory",
        code="document_unreadable",
        param="file",
    )


def _piece(head: dict[str, Any], body: bytes) -> Piece:
    if "scan" in head:
        return Scan(body, Kind(head["scan"]), head["pages"])
    return Text(body.decode())

"""The server's end of a WebSocket (RFC 6455): whole messages out, control frames answered, text in."""

from __future__ import annotations

import base64
import hashlib
import struct
import threading
from collections.abc import Callable, Iterator
from io import BufferedIOBase
from typing import Final

from lab.images.standins.common import Refused, Request, Upgrade

_GUID: Final = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
_LONGEST: Final = 4 << 20
"""Of a client's message, as in aiohttp."""


def accept(key: str) -> str:
    """The answer to a client's key."""
    return base64.b64encode(hashlib.sha1(f"{key}{_GUID}".encode(), usedforsecurity=False).digest()).decode()


def frame(kind: int, content: bytes) -> bytes:
    """One unmasked frame."""
    size = len(content)
    if size < 126:
        head = bytes((0x80 | kind, size))
    elif size < 1 << 16:
        head = struct.pack(">BBH", 0x80 | kind, 126, size)
    else:
        head = struct.pack(">BBQ", 0x80 | kind, 127, size)
    return head + content


class Socket:
    """One connection; any thread may send."""

    def __init__(self, reader: BufferedIOBase, writer: BufferedIOBase) -> None:
        self._reader, self._writer = reader, writer
        self._lock = threading.Lock()

    def send(self, content: str | bytes) -> None:
        """Send one message."""
        text = isinstance(content, str)
        self._put(TEXT if text else BINARY, content.encode() if isinstance(content, str) else content)

    def texts(self) -> Iterator[str]:
        """The client's text messages until it closes or goes away."""
        said = b""
        while True:
            try:
                last, kind, content = self._frame()
            except (EOFError, OSError):
                return
            if kind == CLOSE:
                self._put(CLOSE, content[:2])
                return
            if kind == PING:
                self._put(PONG, content)
            elif kind in (0, TEXT, BINARY):
                said += content
                if last:
                    yield said.decode(errors="replace")
                    said = b""

    def _put(self, kind: int, content: bytes) -> None:
        with self._lock:
            try:
                self._writer.write(frame(kind, content))
                self._writer.flush()
            except OSError:
                return  # who went away needs no more

    def _frame(self) -> tuple[bool, int, bytes]:
        first, second = self._read(2)
        size = second & 0x7F
        if size == 126:
            (size,) = struct.unpack(">H", self._read(2))
        elif size == 127:
            (size,) = struct.unpack(">Q", self._read(8))
        if size > _LONGEST:
            raise EOFError
        mask = self._read(4) if second & 0x80 else bytes(4)
        content = bytes(byte ^ mask[place % 4] for place, byte in enumerate(self._read(size)))
        return bool(first & 0x80), first & 0x0F, content

    def _read(self, size: int) -> bytes:
        found = self._reader.read(size)
        if len(found) < size:
            raise EOFError
        return found


def upgrade(request: Request, talk: Callable[[Socket], None]) -> Upgrade:
    """The answer to a request for a WebSocket; refused, as by aiohttp, where it is none."""
    key = request.header("sec-websocket-key")
    if request.header("upgrade").lower() != "websocket":
        raise _refused('No WebSocket UPGRADE hdr: None\n Can "Upgrade" only to "WebSocket".')
    if request.header("sec-websocket-version") not in ("13", "8", "7") or not key:
        raise _refused("Handshake error")
    headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": accept(key)}
    return Upgrade(headers=headers, talk=lambda reader, writer: talk(Socket(reader, writer)))


def _refused(words: str) -> Refused:
    error = Refused(400, words, words)
    error.answer.type = "text/plain; charset=utf-8"
    return error

"""Messages between our own processes: a length of four bytes, then JSON."""

from __future__ import annotations

import asyncio
import json
import os
import struct
from typing import Any, Final

from interpreter.limits import MIB

Message = dict[str, Any]

MAX_FRAME: Final = 64 * MIB
_LENGTH: Final = struct.Struct("!I")


class BadFrameError(ValueError):
    """What came is no message of ours."""


def encode(message: Message) -> bytes:
    """The message as bytes. Lone surrogates, which file names and user code can hold, stay JSON escapes."""
    body = json.dumps(message).encode()
    return _LENGTH.pack(len(body)) + body


def _decode(body: bytes | bytearray) -> Message:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadFrameError("not JSON") from error
    if not isinstance(value, dict):
        raise BadFrameError("not an object")
    return value


class Decoder:
    """Puts together messages from pieces that arrive; for a sender that is not trusted."""

    def __init__(self, limit: int = MAX_FRAME) -> None:
        self._limit = limit
        self._buffer = bytearray()

    def feed(self, piece: bytes) -> Message | None:
        """The message if it is complete now."""
        self._buffer += piece
        if len(self._buffer) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._buffer)
        if length > self._limit:
            raise BadFrameError("too long")
        end = _LENGTH.size + length
        if len(self._buffer) < end:
            return None
        body = self._buffer[_LENGTH.size : end]
        del self._buffer[:end]
        return _decode(body)


def write_blocking(fd: int, message: Message) -> None:
    """Send it all."""
    view = memoryview(encode(message))
    while view:
        view = view[os.write(fd, view) :]


def read_blocking(fd: int, limit: int = MAX_FRAME) -> Message | None:
    """The next message, or None where the other side has closed."""
    decoder = Decoder(limit)
    while piece := os.read(fd, 65536):
        if (message := decoder.feed(piece)) is not None:
            return message
    return None


async def read(reader: asyncio.StreamReader) -> Message:
    """The next message; `asyncio.IncompleteReadError` where the other side has closed."""
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    if length > MAX_FRAME:
        raise BadFrameError("too long")
    return _decode(await reader.readexactly(length))

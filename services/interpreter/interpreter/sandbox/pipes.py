"""The warden's ends of the pipes to user code. The other end may write anything, or nothing, or never read."""

from __future__ import annotations

import os
from typing import Final

_CHUNK: Final = 65536


class Capture:
    """Reads a stream and keeps its beginning."""

    def __init__(self, fd: int, keep: int) -> None:
        os.set_blocking(fd, False)
        self.fd = fd
        self.total = 0
        self._keep = keep
        self._kept = bytearray()

    def pump(self) -> bool:
        """Read one piece; False once there is nothing more to come."""
        try:
            piece = os.read(self.fd, _CHUNK)
        except BlockingIOError:
            return True
        self._add(piece)
        return bool(piece)

    def drain(self, most: int) -> None:
        """Read what is there already, up to `most` bytes: someone may still be writing."""
        end = self.total + most
        while self.total < end:
            try:
                piece = os.read(self.fd, _CHUNK)
            except BlockingIOError:
                return
            if not piece:
                return
            self._add(piece)

    def _add(self, piece: bytes) -> None:
        self.total += len(piece)
        self._kept += piece[: max(0, self._keep - len(self._kept))]

    def take(self) -> dict[str, object]:
        """What was kept, as text; begins anew."""
        text = self._kept.decode(errors="replace")
        truncated = self.total > len(self._kept)
        self.total = 0
        self._kept.clear()
        return {"text": text, "truncated": truncated}


class Feed:
    """Writes to a pipe as fast as its reader takes it."""

    def __init__(self, fd: int, content: bytes) -> None:
        os.set_blocking(fd, False)
        self.fd = fd
        self._rest = memoryview(content)

    def pump(self) -> bool:
        """Write a piece; False once all is written or nobody reads."""
        try:
            written = os.write(self.fd, self._rest[:_CHUNK])
        except BlockingIOError:
            return True
        except BrokenPipeError:
            return False
        self._rest = self._rest[written:]
        return bool(self._rest)

"""A small client for WebSockets (RFC 6455): text both ways, no extensions, plain TCP."""

from __future__ import annotations

import base64
import json
import os
import socket
import struct
import threading
import urllib.parse
from collections.abc import Mapping
from typing import Any, Final

_TEXT: Final = 0x1
_CLOSE: Final = 0x8
_PING: Final = 0x9
_PONG: Final = 0xA


class HandshakeError(Exception):
    """The server did not upgrade the connection."""


class WebSocket:
    """One connection; `receive` answers pings by itself."""

    def __init__(self, url: str, headers: Mapping[str, str], *, connect_seconds: float = 30) -> None:
        """Connect to `http://host:port/path` and upgrade.

        Raises:
            HandshakeError: the status was not 101, or the server is unreachable.

        """
        parts = urllib.parse.urlsplit(url)
        target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        lines = {
            "Host": parts.netloc,
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
            "Sec-WebSocket-Version": "13",
            **headers,
        }
        request = f"GET {target} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items()) + "\r\n"
        self._sending = threading.Lock()
        try:
            self._socket = socket.create_connection((parts.hostname or "", parts.port or 80), connect_seconds)
            self._file = self._socket.makefile("rb")
            self._socket.sendall(request.encode())
            status = self._file.readline().decode(errors="replace").strip()
            while self._file.readline().strip():
                pass
        except OSError as error:
            raise HandshakeError(str(error)) from error
        if status.split(" ")[1:2] != ["101"]:
            self.close()
            raise HandshakeError(f"bad handshake: {status or 'the connection was closed'}")
        # The next task may take hours to come.
        self._socket.settimeout(None)

    def receive(self) -> Any | None:
        """The next message, read as JSON; None when the server has closed the connection."""
        text = b""
        while (frame := self._frame()) is not None:
            final, opcode, payload = frame
            if opcode == _CLOSE:
                return None
            if opcode == _PING:
                self._send(_PONG, payload)
            elif opcode != _PONG:
                text += payload
                if final:
                    return json.loads(text)
        return None

    def send(self, message: Any) -> None:
        """Send an object as JSON."""
        self._send(_TEXT, json.dumps(message).encode())

    def close(self) -> None:
        """Send a close frame and close the socket; errors are ignored."""
        try:
            self._send(_CLOSE, b"")
        except OSError:
            pass
        finally:
            self._file.close()
            self._socket.close()

    def _frame(self) -> tuple[bool, int, bytes] | None:
        head = self._file.read(2)
        if len(head) < 2:
            return None
        size = head[1] & 0x7F
        if size > 125:
            form = ">H" if size == 126 else ">Q"
            (size,) = struct.unpack(form, self._file.read(struct.calcsize(form)))
        payload = self._file.read(size)
        return None if len(payload) < size else (bool(head[0] & 0x80), head[0] & 0x0F, payload)

    def _send(self, opcode: int, payload: bytes) -> None:
        size = len(payload)
        head = struct.pack(">BB", 0x80 | opcode, 0x80 | min(size, 126)) if size < 1 << 16 else b""
        if size > 125:
            head = head + struct.pack(">H", size) if head else struct.pack(">BBQ", 0x80 | opcode, 0xFF, size)
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
        with self._sending:
            self._socket.sendall(head + mask + masked)

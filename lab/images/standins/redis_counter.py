"""Counting in Redis, for the rate limits of the Kong stand-in."""

from __future__ import annotations

import socket
import threading
from typing import Any


class RedisError(Exception):
    """Redis is down or refuses."""


class RedisCounter:
    """One connection, made anew after an error."""

    def __init__(self, host: str, port: int = 6379, username: str = "default", password: str = "", **_: Any) -> None:
        self._address, self._user, self._password = (host, port), username, password
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()

    def add(self, key: str, seconds: int) -> int:
        """Count one more, for a window of that many seconds; how many there are now."""
        with self._lock:
            try:
                if self._socket is None:
                    self._socket = socket.create_connection(self._address, timeout=2)
                    self._say("AUTH", self._user, self._password)
                    self._read()
                self._say("INCRBY", key, "1")
                count = self._read()
                self._say("EXPIRE", key, str(seconds))
                self._read()
            except (OSError, ValueError) as error:
                self._socket = None
                raise RedisError(str(error)) from error
            return int(count)

    def _say(self, *words: str) -> None:
        assert self._socket is not None  # noqa: S101 - made above
        parts = [f"*{len(words)}\r\n", *(f"${len(w.encode())}\r\n{w}\r\n" for w in words)]
        self._socket.sendall("".join(parts).encode())

    def _read(self) -> str:
        assert self._socket is not None  # noqa: S101 - made above
        line = b""
        while not line.endswith(b"\r\n"):
            more = self._socket.recv(1)
            if not more:
                raise ConnectionError("Redis closed the connection")
            line += more
        text = line.decode().strip()
        if text.startswith("-"):
            self._socket.close()
            self._socket = None
            raise RedisError(text[1:])
        return text[1:]

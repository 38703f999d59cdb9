"""The service's settings, from the environment, read once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from interpreter.limits import MIB, Limits

_KEY_LENGTH: Final = 16


class SettingsError(Exception):
    """A setting that cannot be used; the message names it."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All that a deployment may choose."""

    host: str
    port: int
    key_file: Path
    uid: int
    gid: int
    """Whom the server becomes once it has read its key."""
    scratch: Path
    """A file system in memory of limited size, for all boxes."""
    closed: tuple[Path, ...]
    """Folders that anyone may write as the container starts, and that boxes must not share."""
    runs: int
    """At one time."""
    queue: int
    """Runs that wait for their turn."""
    queue_seconds: float
    sessions: int
    limits: Limits


class _Environment:
    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def text(self, name: str, default: str) -> str:
        return self._values.get(f"INTERPRETER_{name}", default)

    def number(self, name: str, default: int, *, least: int, most: int) -> int:
        text = self.text(name, str(default))
        if not text.isdecimal() or not least <= int(text) <= most:
            raise SettingsError(f"INTERPRETER_{name}={text!r}: must be a number from {least} to {most}")
        return int(text)

    def paths(self, name: str) -> tuple[Path, ...]:
        return tuple(Path(part) for part in self.text(name, "").split(":") if part)


def load(values: Mapping[str, str] = os.environ) -> Settings:
    """Settings from `values`; SettingsError where one is wrong."""
    env = _Environment(values)
    limits = Limits(
        memory_bytes=env.number("MEMORY_MIB", 512, least=192, most=65536) * MIB,
        disk_bytes=env.number("DISK_MIB", 96, least=1, most=65536) * MIB,
        processes=env.number("PROCESSES", 32, least=1, most=1024),
    )
    return Settings(
        host=env.text("HOST", "127.0.0.1"),
        port=env.number("PORT", 8004, least=0, most=65535),
        key_file=Path(env.text("API_KEY_FILE", "/config/api-key")),
        uid=env.number("UID", 1000, least=1, most=65535),
        gid=env.number("GID", 1000, least=1, most=65535),
        scratch=Path(env.text("SCRATCH", "/tmp/boxes")),
        closed=env.paths("CLOSED"),
        runs=env.number("RUNS", 3, least=1, most=64),
        queue=env.number("QUEUE", 16, least=0, most=1024),
        queue_seconds=float(env.number("QUEUE_SECONDS", 30, least=1, most=600)),
        sessions=env.number("SESSIONS", 3, least=0, most=64),
        limits=limits,
    )


def read_key(path: Path) -> bytes:
    """The API key; too short a one is a mistake of whoever set it."""
    try:
        key = path.read_text().strip()
    except OSError as error:
        raise SettingsError(f"INTERPRETER_API_KEY_FILE={str(path)!r}: {error.strerror}") from error
    if len(key) < _KEY_LENGTH or not key.isascii():
        raise SettingsError(f"INTERPRETER_API_KEY_FILE={str(path)!r}: must hold {_KEY_LENGTH} or more ASCII characters")
    return key.encode()

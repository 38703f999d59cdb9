"""Names of files that callers send: plain relative paths, or refused."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_MAX_NAME: Final = 512
_MAX_PART_BYTES: Final = 255
_MAX_PARTS: Final = 8


def problem(name: str) -> str | None:
    """What is wrong with one name."""
    if not name or len(name) > _MAX_NAME:
        return f"must have 1 to {_MAX_NAME} characters"
    if name.startswith("/"):
        return "must be relative to the work folder"
    if not name.isprintable() or "\\" in name:
        return "must have no backslash and no control characters"
    parts = name.split("/")
    if len(parts) > _MAX_PARTS:
        return f"must have at most {_MAX_PARTS} parts"
    if any(part in ("", ".", "..") for part in parts):
        return 'must have no empty, "." or ".." part'
    if any(len(part.encode()) > _MAX_PART_BYTES for part in parts):
        return f"must have parts of at most {_MAX_PART_BYTES} bytes"
    return None


def conflict(names: Iterable[str]) -> str | None:
    """The name that is given twice, or that is a file and a folder at once."""
    files: set[str] = set()
    folders: set[str] = set()
    for name in names:
        parents = {name[:at] for at, character in enumerate(name) if character == "/"}
        if name in files or name in folders or parents & files:
            return name
        files.add(name)
        folders |= parents
    return None

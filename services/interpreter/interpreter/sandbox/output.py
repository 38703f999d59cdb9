"""The files that a run leaves for its caller."""

from __future__ import annotations

import base64
import stat
from typing import Final

from interpreter import frames
from interpreter.limits import Limits
from interpreter.sandbox import folder

Marks = dict[str, tuple[int, int, int]]

_SKIPPED_AT_MOST: Final = 64


def marks(work: str, limits: Limits) -> Marks:
    """What is there before a run."""
    try:
        return {entry.path: entry.mark for entry in folder.walk(work, limits.depth)}
    except folder.FolderError:
        return {}


def collect(work: str, before: Marks, limits: Limits) -> tuple[list[frames.Message], list[frames.Message]]:
    """The regular files that are new or changed, and what was left out and why."""
    files: list[frames.Message] = []
    skipped: list[frames.Message] = []
    room = limits.files_out_bytes
    for entry in _changed(work, before, limits):
        reason = None
        if not stat.S_ISREG(entry.info.st_mode):
            reason = "not a regular file"
        elif len(files) >= limits.files_out:
            reason = f"more than {limits.files_out} files"
        elif not _is_text(entry.path):
            reason = "its name is not UTF-8"
        else:
            try:
                content = folder.take(work, entry.path, room)
            except folder.FolderError as error:
                reason = str(error)
            else:
                room -= len(content)
                files.append(_file(entry.path, content))
        if reason and len(skipped) < _SKIPPED_AT_MOST:
            skipped.append({"name": entry.path.encode(errors="replace").decode(), "reason": reason})
    return files, skipped


def _changed(work: str, before: Marks, limits: Limits) -> list[folder.Entry]:
    found: list[folder.Entry] = []
    try:
        for entry in folder.walk(work, limits.depth):
            if not stat.S_ISDIR(entry.info.st_mode) and before.get(entry.path) != entry.mark:
                found.append(entry)
            if len(found) >= limits.entries:
                break
    except folder.FolderError:
        pass  # what was found until then
    return sorted(found, key=lambda entry: entry.path)


def plots(place: str, limits: Limits) -> list[frames.Message]:
    """The figures saved since the last time; they go away."""
    found: list[frames.Message] = []
    room = limits.files_out_bytes
    try:
        names = sorted(folder.names(place))
    except folder.FolderError:
        return found  # user code took it away
    for name in names:
        if len(found) < limits.plots and _is_text(name):
            try:
                content = folder.take(place, name, room)
            except folder.FolderError:
                continue
            room -= len(content)
            found.append(_file(f"plot-{len(found) + 1}.png", content))
    folder.empty(place)
    return found


def _file(name: str, content: bytes) -> frames.Message:
    return {"name": name, "content": base64.b64encode(content).decode(), "size": len(content)}


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True

"""Measures what a box uses of memory and disk: there are no cgroups or quotas to ask in the container.

A user could hide what it holds: in files that are deleted but open or mapped, in shared memory that no page table of
its own shows, in folders that nobody may list, in buffers of pipes and sockets. All of that is counted; what cannot be
known is counted at its most.
"""

# `os` and not `pathlib`: it has the calls by descriptor, and this is done many times a second.
# ruff: noqa: PTH116, PTH208

from __future__ import annotations

import contextlib
import os
import stat
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from interpreter.limits import Limits
from interpreter.sandbox import folder, processes

Breach = Literal["memory_limit", "disk_limit"]

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_DELETED: Final = " (deleted)"
_PIPE_BYTES: Final = 64 * 1024
_SOCKET_BYTES: Final = 208 * 1024
"""What waits in one at most, by the kernel's defaults; to raise either is refused."""
_ENDING_SECONDS: Final = 0.15
"""A process that ends may be without its first thread for a moment."""


class _HiddenError(Exception):
    """A process that does not let itself be looked into."""


_Sizes = dict[tuple[int, int], int]
"""(device, inode) -> bytes."""


@dataclass
class _Held:
    """Memory and files that several processes may hold and that count once."""

    shared: _Sizes = field(default_factory=dict)
    files: _Sizes = field(default_factory=dict)

    def add(self, other: _Held) -> None:
        for key, size in other.shared.items():
            self.shared[key] = max(size, self.shared.get(key, 0))
        self.files.update(other.files)


class Watch:
    """Looks at one box."""

    def __init__(self, user: int, top: str, limits: Limits) -> None:
        self._user = user
        self._top = top
        self._limits = limits
        self._device = os.stat(top).st_dev
        self.peak_memory = 0
        self._headless: dict[str, float] = {}
        """Processes that show nothing, and since when."""

    def breach(self) -> Breach | None:
        """The limit that the box is over, if any."""
        memory = 0
        held = _Held()
        now = time.monotonic()
        headless: dict[str, float] = {}
        try:
            for place, state in processes.of_user(self._user):
                if state == processes.HEADLESS:
                    headless[place] = self._headless.get(place, now)
                    continue
                memory += _resident(place)
                held.add(_mapped_deleted(place, self._limits.file_bytes))
                held.add(self._opened(place))
        except _HiddenError:
            return "disk_limit"
        self._headless = headless
        if any(now - seen >= _ENDING_SECONDS for seen in headless.values()):
            return "memory_limit"
        memory += sum(held.shared.values())
        self.peak_memory = max(self.peak_memory, memory)
        if memory > self._limits.memory_bytes:
            return "memory_limit"
        return "disk_limit" if self._disk(sum(held.files.values()), len(held.files)) else None

    def _disk(self, used: int, entries: int) -> bool:
        try:
            for entry in folder.walk(self._top, self._limits.depth + 1):
                entries += 1
                used += folder.space(entry.info)
                if used > self._limits.disk_bytes or entries > self._limits.entries:
                    return True
        except folder.FolderError:
            return True
        return used > self._limits.disk_bytes

    def _opened(self, place: str) -> _Held:
        """Deleted files, pipes and sockets that the process has open."""
        held = _Held()
        try:
            descriptors = os.listdir(f"{place}/fd")
        except OSError as error:
            _check_hidden(place, error)
            return held
        for descriptor in descriptors:
            try:
                info = os.stat(f"{place}/fd/{descriptor}")
            except OSError:
                continue
            key = info.st_dev, info.st_ino
            if stat.S_ISREG(info.st_mode) and info.st_nlink == 0 and info.st_dev == self._device:
                held.files[key] = folder.space(info)
            elif stat.S_ISFIFO(info.st_mode):
                held.shared[key] = _PIPE_BYTES
            elif stat.S_ISSOCK(info.st_mode):
                held.shared[key] = _SOCKET_BYTES
        return held


def _check_hidden(place: str, error: OSError) -> None:
    """Tell a process that hides from one that is about to end, which has no memory any more and is refused too."""
    if not isinstance(error, PermissionError):
        return
    with contextlib.suppress(OSError):
        if Path(f"{place}/statm").read_text().split()[0] != "0":
            raise _HiddenError from error


def _resident(place: str) -> int:
    """Memory of its own: all that is resident less what files back; shared anonymous memory comes from the maps."""
    try:
        fields = Path(f"{place}/statm").read_text().split()
    except OSError:
        return 0
    return max(0, int(fields[1]) - int(fields[2])) * _PAGE


def _mapped_deleted(place: str, most: int) -> _Held:
    """What the process maps and no folder shows; a file is counted as large as one may be."""
    held = _Held()
    try:
        maps = Path(f"{place}/maps").read_text(errors="replace")
    except OSError as error:
        _check_hidden(place, error)
        return held
    if _DELETED not in maps:
        return held
    for line in maps.splitlines():
        if not line.endswith(_DELETED):
            continue
        span, _, _, device, inode, name = line.split(maxsplit=5)
        major, _, minor = device.partition(":")
        key = os.makedev(int(major, 16), int(minor, 16)), int(inode)
        if name.startswith("/dev/zero"):
            start, _, end = span.partition("-")
            held.shared[key] = held.shared.get(key, 0) + int(end, 16) - int(start, 16)
        else:
            held.files[key] = most
    return held

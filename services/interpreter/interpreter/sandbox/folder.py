"""A box's folder, handled by the user who owns it: put files in, see what is there, take files out, empty it.

User code may have left anything in it: links, pipes, folders without permissions, trees deeper than a path can say.
So nothing here follows a link, opens what is not a regular file, or recurses.
"""

# `os` and not `pathlib`: it has the calls by descriptor, and this is done many times a second.
# ruff: noqa: PTH101, PTH102, PTH208

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

WORK: Final = "work"
"""Where user code starts and where files come from and go to."""
TEMPORARY: Final = "tmp"
"""For temporary files and our own: not looked at for output."""
PLOTS: Final = "plots"

_BLOCK: Final = 512
_NO_FOLDER: Final = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


class FolderError(Exception):
    """The folder is not as it has to be."""


@dataclass(frozen=True)
class Entry:
    """Something in the folder."""

    path: str
    """Relative to the folder."""
    info: os.stat_result

    @property
    def mark(self) -> tuple[int, int, int]:
        """Differs after the file was written or replaced."""
        return (self.info.st_ino, self.info.st_mtime_ns, self.info.st_size)


def make(top: str) -> None:
    """The parts of a new box."""
    for part in (WORK, TEMPORARY, PLOTS):
        os.mkdir(f"{top}/{part}", 0o700)


def _open_folder(path: str, parent: int | None = None) -> int:
    """A folder's descriptor; a link is refused. Not by O_DIRECTORY: with it, gVisor of 2022 follows links."""
    descriptor = os.open(path, _READ, dir_fd=parent)
    if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
    return descriptor


@contextlib.contextmanager
def _opened(root: str, parts: list[str], *, create: bool = False) -> Iterator[int]:
    """A descriptor of a folder below `root`, reached without following a link."""
    here = _open_folder(root)
    try:
        for part in parts:
            if create:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, 0o700, dir_fd=here)
            below = _open_folder(part, here)
            os.close(here)
            here = below
        yield here
    finally:
        os.close(here)


def put(root: str, name: str, content: bytes) -> None:
    """Write a file, in place of one that is there."""
    *parents, last = name.split("/")
    try:
        with _opened(root, parents, create=True) as parent:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(last, dir_fd=parent)
            with open(os.open(last, _CREATE, 0o600, dir_fd=parent), "wb") as file:  # noqa: PTH123 - by descriptor
                file.write(content)
    except OSError as error:
        raise FolderError(f"{name}: {error.strerror}") from error


def take(root: str, path: str, limit: int) -> bytes:
    """Read a regular file of at most `limit` bytes."""
    *parents, last = path.split("/")
    try:
        with _opened(root, parents) as parent, open(os.open(last, _READ, dir_fd=parent), "rb") as file:  # noqa: PTH123
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise FolderError("not a regular file")
            content = file.read(limit + 1)
    except OSError as error:
        raise FolderError(str(error.strerror)) from error
    if len(content) > limit:
        raise FolderError("too large")
    return content


def _open_own(path: str) -> int:
    """A folder's descriptor, whatever its owner did to its permissions: we are the owner."""
    try:
        return _open_folder(path)
    except PermissionError:
        os.chmod(path, 0o700)
        return _open_folder(path)


def names(path: str) -> list[str]:
    """What is in a folder; FolderError where there is none, or a link in its place."""
    try:
        descriptor = _open_own(path)
    except OSError as error:
        raise FolderError(str(error.strerror)) from error
    try:
        return os.listdir(descriptor)
    finally:
        os.close(descriptor)


def _listing(path: str) -> list[tuple[str, os.stat_result]]:
    found = []
    descriptor = _open_own(path)
    try:
        with os.scandir(descriptor) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    found.append((entry.name, entry.stat(follow_symlinks=False)))
    finally:
        os.close(descriptor)
    return found


def walk(root: str, depth: int) -> Iterator[Entry]:
    """Everything below `root`, folders before what they hold; FolderError where it is deeper than `depth`."""
    open_folders = [("", 0)]
    while open_folders:
        folder, level = open_folders.pop()
        try:
            listing = _listing(f"{root}/{folder}" if folder else root)
        except OSError as error:
            if error.errno in _NO_FOLDER:
                continue  # it went away meanwhile
            raise FolderError(str(error.strerror)) from error
        for name, info in listing:
            path = f"{folder}/{name}" if folder else name
            yield Entry(path, info)
            if stat.S_ISDIR(info.st_mode):
                if level >= depth:
                    raise FolderError("too deep")
                open_folders.append((path, level + 1))


def space(info: os.stat_result) -> int:
    """What a file takes, whatever its length says."""
    return info.st_blocks * _BLOCK


def empty(top: str) -> None:
    """Delete all below `top`, which stays. Nobody else may be writing in it.

    What lies deep is first moved up, so that neither a path nor a stack can get too long.
    """
    serial = 0
    here = _open_own(top)
    try:
        while names := os.listdir(here):
            for name in names:
                if not _is_folder(here, name):
                    os.unlink(name, dir_fd=here)
                    continue
                os.chmod(name, 0o700, dir_fd=here)
                inner = _open_folder(name, here)
                try:
                    for child in os.listdir(inner):
                        if _is_folder(inner, child):
                            os.chmod(child, 0o700, dir_fd=inner)
                            serial += 1
                            os.rename(child, f".removed-{os.getpid()}-{serial}", src_dir_fd=inner, dst_dir_fd=here)
                        else:
                            os.unlink(child, dir_fd=inner)
                finally:
                    os.close(inner)
                os.rmdir(name, dir_fd=here)
    finally:
        os.close(here)


def _is_folder(parent: int, name: str) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)

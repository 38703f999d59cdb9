"""The files of the node's volumes, mounted read-only one folder each, while their services run."""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final
from urllib.parse import quote

from backup.errors import BackupError, CommandError
from backup.restic import INCOMPLETE, Restic, Summary
from backup.settings import Settings

COVERED: Final = frozenset({"postgres-data"})
"""Volumes whose service has a consistent way of its own; a copy of a running database's files may not start."""

SQLITE_SUFFIXES: Final = (".db", ".sqlite", ".sqlite3")
SQLITE_HEADER: Final = b"SQLite format 3\0"
SQLITE_COMPANIONS: Final = ("-wal", "-shm", "-journal")


def volumes(settings: Settings) -> tuple[str, ...]:
    """The names of the volumes to save as files."""
    try:
        found = sorted(path.name for path in settings.volumes.iterdir() if path.is_dir())
    except FileNotFoundError:
        return ()  # a node may have none
    return tuple(name for name in found if name not in COVERED)


def staging(settings: Settings, volume: str) -> Path:
    """Where consistent copies of a volume's SQLite databases stand while they are saved."""
    return settings.cache / "staging" / volume


def back_up(settings: Settings, restic: Restic, part: str, volume: str, files_before: int) -> Summary:
    """Save a volume: its files, and beside them consistent copies of its SQLite databases.

    A database that is written to while it is read may be torn, so a restore takes the copy. The torn original is
    saved too: it says owner and mode, which a copy made here cannot have. A copy that fails fails the part, after
    the files are saved.
    """
    folder, copies = settings.volumes / volume, staging(settings, volume)
    shutil.rmtree(copies, ignore_errors=True)
    copies.mkdir(parents=True)
    failed: list[str] = []
    try:
        databases = list(_databases(folder))
        for database in databases:
            try:
                _copy(database, copies / database.relative_to(folder))
            except (sqlite3.Error, OSError) as error:
                failed.append(f"{database.relative_to(folder)}: {error}")
        # restic reads brackets and stars in an exclude as patterns.
        excludes = [_literal(f"{database}{end}") for database in databases for end in SQLITE_COMPANIONS]
        summary = restic.back_up_paths(part, [str(folder), str(copies)], excludes)
    except CommandError as error:
        if error.code == INCOMPLETE:
            raise BackupError(f"saved, but some files could not be read: {' | '.join(error.tail)}") from None
        raise
    finally:
        shutil.rmtree(copies, ignore_errors=True)
    if summary.files == 0 and files_before > 0:
        raise BackupError(f"the volume is empty, and held {files_before} files at the last success: is it mounted?")
    if failed:
        raise BackupError(f"saved, but no consistent copy could be made of {'; '.join(failed)}")
    return summary


def _databases(folder: Path) -> Iterator[Path]:
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place) / name
            if name.endswith(SQLITE_SUFFIXES) and not path.is_symlink() and _is_database(path):
                yield path


def _is_database(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return stream.read(len(SQLITE_HEADER)) == SQLITE_HEADER
    except OSError:
        return False  # restic meets it again, and says so


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        _online_copy(source, target, "mode=ro")
    except sqlite3.OperationalError:
        # A database in write-ahead mode that nobody has open: reading it would make files beside it, which a
        # read-only mount forbids. Without a log beside it nobody writes, and it can be taken as it is.
        if Path(f"{source}-wal").exists():
            raise
        _online_copy(source, target, "immutable=1")


def _online_copy(source: Path, target: Path, how: str) -> None:
    target.unlink(missing_ok=True)
    with (
        closing(sqlite3.connect(f"file:{quote(str(source))}?{how}", uri=True, timeout=30)) as live,
        closing(sqlite3.connect(target)) as copy,
    ):
        live.backup(copy, pages=4096)


def _literal(path: str) -> str:
    return "".join(f"\\{c}" if c in "*?[]\\" else c for c in path)

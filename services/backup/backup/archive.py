"""From restic's archive of a volume's snapshot to the volume's own files."""

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

from backup.errors import BackupError
from backup.restic import Snapshot
from backup.volumes import SQLITE_SUFFIXES

Member = tuple[tarfile.TarInfo, IO[bytes] | None]


def open_stream(stream: IO[bytes]) -> tarfile.TarFile:
    """An archive that is read once, from its beginning to its end."""
    return tarfile.open(fileobj=stream, mode="r|")


def members(archive: tarfile.TarFile, snapshot: Snapshot) -> Iterator[Member]:
    """The volume's files, named from its top. Copies of databases come after the files that they replace.

    A snapshot holds the volume's folder and the folder of the copies; which is which, the names tell.
    """
    copies = _copies(snapshot)
    roots = [path.strip("/") for path in snapshot.paths]
    owners: dict[str, tarfile.TarInfo] = {}
    while (member := archive.next()) is not None:
        _let_go(archive)
        full = member.name.strip("/")
        root = next((r for r in roots if full == r or full.startswith(f"{r}/")), None)
        if root is None:
            continue  # a folder above both
        name = full[len(root) :].strip("/")
        if ".." in Path(name).parts:
            raise BackupError(f"the snapshot holds the name {name!r}, which leads out of the volume")
        if root == copies:
            if not member.isreg() or name not in owners:
                continue
            _take_over(member, owners[name])
        elif member.isreg() and name.endswith(SQLITE_SUFFIXES):
            owners[name] = member
        member.name = name or "."
        member.pax_headers = {key: value for key, value in member.pax_headers.items() if key != "path"}
        yield member, archive.extractfile(member) if member.isreg() else None


def write(archive: tarfile.TarFile, snapshot: Snapshot, output: IO[bytes]) -> int:
    """The volume's files as a tar; the number of files."""
    count = 0
    with tarfile.open(fileobj=output, mode="w|", format=tarfile.PAX_FORMAT) as result:
        for member, content in members(archive, snapshot):
            result.addfile(member, content)
            _let_go(result)
            count += member.isreg()
    return count


def extract(archive: tarfile.TarFile, snapshot: Snapshot, target: Path) -> int:
    """The volume's files below a folder; the number of files. Owners need the right to set them."""
    counted: list[int] = []

    def renamed() -> Iterator[tarfile.TarInfo]:
        for member, _ in members(archive, snapshot):
            counted.append(member.isreg())
            yield member

    # Modes and names are those of the node's own volume; `members` refuses names that lead out of it.
    archive.extractall(  # noqa: S202
        target, members=cast("list[tarfile.TarInfo]", renamed()), numeric_owner=True, filter="fully_trusted"
    )
    return sum(counted)


def _let_go(archive: tarfile.TarFile) -> None:
    """Have it forget the members that have passed: of a large volume they would fill the memory."""
    cast("Any", archive).members.clear()


def _copies(snapshot: Snapshot) -> str | None:
    """The folder of the databases' copies, without its leading slash."""
    return next((p.strip("/") for p in snapshot.paths if Path(p).parent.name == "staging"), None)


def _take_over(copy: tarfile.TarInfo, original: tarfile.TarInfo) -> None:
    copy.uid, copy.gid, copy.uname, copy.gname = original.uid, original.gid, original.uname, original.gname
    copy.mode, copy.mtime = original.mode, original.mtime

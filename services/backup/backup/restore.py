"""Back from the repository: to standard output, to a folder, to Postgres or to Qdrant.

Standard output is what a node's operator needs: the container reads the volumes and cannot write them, and may not
give files their owners. `docker exec` hands the stream to a program that may.
"""

import sys
from pathlib import Path

from backup import archive
from backup.context import Context
from backup.errors import BackupError
from backup.parts import part_name
from backup.postgres import Postgres
from backup.process import Child
from backup.qdrant import Qdrant
from backup.restic import Snapshot


def find(context: Context, kind: str, name: str, wanted: str) -> Snapshot:
    """The newest snapshot of a part, or the one whose id was given."""
    part = part_name(kind, name)
    everything = context.restic.snapshots()
    found = [s for s in everything if s.part == part]
    if not found:
        known = sorted({s.part for s in everything})
        raise BackupError(f"there is no snapshot of {part}; there are: {', '.join(known) or 'none at all'}")
    if wanted == "latest":
        return found[-1]
    chosen = [s for s in found if wanted.startswith(s.id) or s.id.startswith(wanted)]
    if len(chosen) != 1:
        raise BackupError(f"{part} has no snapshot {wanted}; it has: {', '.join(s.id for s in found)}")
    return chosen[0]


def files_to_stdout(context: Context, snapshot: Snapshot) -> None:
    """Print a volume as a tar."""
    with context.restic.dump(snapshot.id, "/", archive=True) as dump:
        count = archive.write(archive.open_stream(dump.output), snapshot, sys.stdout.buffer)
    context.log.info("restored", part=snapshot.part, snapshot=snapshot.id, files=count)


def files_to_folder(context: Context, snapshot: Snapshot, target: Path, *, force: bool) -> None:
    """Put a volume's files below a folder."""
    if target.is_dir() and any(target.iterdir()) and not force:
        raise BackupError(f"{target} is not empty; --force writes over what has the same name")
    target.mkdir(parents=True, exist_ok=True)
    with context.restic.dump(snapshot.id, "/", archive=True) as dump:
        count = archive.extract(archive.open_stream(dump.output), snapshot, target)
    context.log.info("restored", part=snapshot.part, snapshot=snapshot.id, files=count, target=str(target))


def stream_to_stdout(context: Context, snapshot: Snapshot) -> None:
    """Print a dump or a collection's snapshot."""
    with _content(context, snapshot) as dump:
        for chunk in dump.chunks():
            sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()
    context.log.info("restored", part=snapshot.part, snapshot=snapshot.id)


def to_postgres(context: Context, snapshot: Snapshot, database: str, *, role: str, password: str, force: bool) -> None:
    """Restore a dump into a database as one of its roles: the one for backups may only read."""
    server = Postgres(context.settings, context.stop, role=role, password=password)
    empty = server.empty(database)
    if not empty and not force:
        raise BackupError(f"the database {database} is not empty; --force replaces what the dump also holds")
    with _content(context, snapshot) as dump:
        server.restore(database, dump.chunks(), clean=not empty)
    context.log.info("restored", part=snapshot.part, snapshot=snapshot.id, database=database)


def to_qdrant(context: Context, snapshot: Snapshot, collection: str, *, force: bool) -> None:
    """Upload a collection's snapshot."""
    server = Qdrant(context.settings)
    if server.exists(collection) and not force:
        raise BackupError(f"the collection {collection} exists; --force replaces it")
    with _content(context, snapshot) as dump:
        server.upload(collection, dump.chunks())
    context.log.info("restored", part=snapshot.part, snapshot=snapshot.id, collection=collection)


def _content(context: Context, snapshot: Snapshot) -> Child:
    return context.restic.dump(snapshot.id, snapshot.paths[0])

"""What there is to back up on this node, each part on its own."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final
from urllib.parse import quote

from backup import postgres, qdrant, volumes
from backup.context import Context
from backup.errors import BackupError
from backup.restic import Summary
from backup.state import State

FILES: Final = "files"
POSTGRES: Final = "postgres"
QDRANT: Final = "qdrant"


@dataclass(frozen=True, kw_only=True)
class Part:
    """One thing to save, named `<kind>/<name>`."""

    name: str
    work: Callable[[], Summary]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """Finds the parts of one kind; that can fail too, as when a server is away."""

    name: str
    find: Callable[[Context, State], list[Part]]


def kinds(context: Context) -> tuple[Kind, ...]:
    """The kinds of this node: those whose credentials it was given, and files always."""
    found = [Kind(name=FILES, find=_files)]
    if context.settings.has(postgres.PASSWORD):
        found.append(Kind(name=POSTGRES, find=_postgres))
    if context.settings.has(qdrant.KEY):
        found.append(Kind(name=QDRANT, find=_qdrant))
    return tuple(found)


def part_name(kind: str, name: str) -> str:
    """A part's name, which is also a tag in restic, where a comma would end it."""
    return f"{kind}/{quote(name, safe=' @+')}"


def stream_path(kind: str, name: str) -> str:
    """The file that a part without files of its own has in restic; flat, since 0.18.0 refuses one in a folder."""
    return f"/{kind}-{quote(name, safe=' @+')}"


def _files(context: Context, state: State) -> list[Part]:
    def part(volume: str) -> Part:
        name = part_name(FILES, volume)
        before = state.part(name).files
        work = partial(volumes.back_up, context.settings, context.restic, name, volume, before)
        return Part(name=name, work=work)

    return [part(volume) for volume in volumes.volumes(context.settings)]


def _postgres(context: Context, _: State) -> list[Part]:
    server = postgres.backup_role(context.settings, context.stop)

    def save(database: str) -> Summary:
        path = stream_path(POSTGRES, database)
        return context.restic.back_up_stream(part_name(POSTGRES, database), path, server.dump(database))

    return [Part(name=part_name(POSTGRES, d), work=partial(save, d)) for d in server.databases()]


def _qdrant(context: Context, state: State) -> list[Part]:
    server = qdrant.Qdrant(context.settings)
    _clear_leftovers(context, state, server)

    def save(collection: str) -> Summary:
        snapshot = server.create(collection)
        state.leftovers[snapshot["name"]] = collection
        context.store.save(state)
        content = server.download(collection, snapshot)
        try:
            return context.restic.back_up_stream(
                part_name(QDRANT, collection), stream_path(QDRANT, collection), content
            )
        finally:
            # Left there, snapshots would fill the disk that the vectors are on.
            _clear_leftovers(context, state, server)

    return [Part(name=part_name(QDRANT, c), work=partial(save, c)) for c in server.collections()]


def _clear_leftovers(context: Context, state: State, server: qdrant.Qdrant) -> None:
    """Remove the snapshots made for backups; what cannot be removed now is tried again in the next run."""
    for snapshot, collection in tuple(state.leftovers.items()):
        try:
            server.delete(collection, snapshot)
        except BackupError as error:
            if "status 404" not in str(error):
                context.log.warning("snapshot not removed", collection=collection, snapshot=snapshot, error=str(error))
                continue
        del state.leftovers[snapshot]
        context.store.save(state)

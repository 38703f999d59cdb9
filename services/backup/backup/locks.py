"""Removes the locks that this service left in the repository when it ended without the store.

When the host shuts down, the pod's proxy may end first: restic then cannot take its lock back. The next run removes
what is stale, by `restic unlock`. But restic judges by host name and process number (`internal/restic/lock.go`), and in
a container both mislead it for half an hour: after a restart the numbers begin anew, so that another process or thread
has the old one's, and a container that replaces another has another name.

Only this service's locks are touched, those of host names that its containers had; `Store.run_lock` lets one run at a
time through. Somebody may be restoring from another machine, and pruning below a reader breaks it.
"""

import json
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from backup.context import Context
from backup.objects import delete
from backup.state import State

REMEMBERED: Final = 20
"""Names of containers; a lock is stale after half an hour in any case."""
PROC: Final = Path("/proc")


@dataclass(frozen=True, kw_only=True)
class Lock:
    """One lock, as its owner wrote it."""

    id: str
    host: str
    process: int


def remember(state: State, host: str) -> None:
    """Keep the name of this container, for a run after the next replacement."""
    state.hosts = [*(name for name in state.hosts if name != host), host][-REMEMBERED:]


def release(context: Context, state: State) -> None:
    """Remove this service's locks whose owners are gone."""
    found = (parsed(name, text) for name, text in context.restic.locks())
    for lock in abandoned(found, state.hosts, socket.gethostname()):
        delete(context.settings, f"locks/{lock.id}")
        context.log.warning("abandoned lock removed", lock=lock.id[:8], host=lock.host, process=lock.process)


def abandoned(locks: Iterable[Lock], hosts: Iterable[str], here: str, proc: Path = PROC) -> list[Lock]:
    """Locks of `hosts`, former names of this service's container, and of `here` where no restic has that number."""
    known = {*hosts, here}
    return [
        lock for lock in locks if lock.host in known and not (lock.host == here and _restic_runs(lock.process, proc))
    ]


def parsed(name: str, text: str) -> Lock:
    """A lock from restic's JSON."""
    raw = json.loads(text)
    return Lock(id=name, host=str(raw.get("hostname", "")), process=int(raw.get("pid", 0)))


def _restic_runs(process: int, proc: Path) -> bool:
    """Whether a process, not a thread or a zombie, is restic: an operator's restore in this container."""
    try:
        name, _, rest = (proc / str(process) / "stat").read_text().partition("(")[2].rpartition(")")
        leader = f"Tgid:\t{process}\n" in (proc / str(process) / "status").read_text()
    except OSError:
        return False
    return name == "restic" and leader and rest.split()[0] != "Z"

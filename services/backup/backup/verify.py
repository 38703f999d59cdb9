"""Whether what was saved can be read again."""

import time

from backup.context import Context
from backup.errors import BackupError
from backup.parts import POSTGRES
from backup.postgres import check_dump
from backup.restic import Restic, Snapshot
from backup.schedule import check_slice
from backup.state import State


def verify(context: Context, state: State) -> bool:
    """Check the repository and one slice of its data, then read the newest dump of each database as a restore would.

    The slices follow the calendar, so that in time every byte has been read.
    """
    started = time.time()
    slice_ = check_slice(context.settings, started)
    try:
        context.restic.check(slice_)
        for snapshot in newest(context.restic, POSTGRES):
            with context.restic.dump(snapshot.id, snapshot.paths[0]) as dump:
                check_dump(context.settings, context.stop, dump.chunks())
    except (BackupError, OSError, EOFError) as error:
        state.verify_error = str(error)
        context.log.failure("verification failed", slice=slice_, error=state.verify_error)
    else:
        state.verified, state.verify_error = time.time(), None
        context.log.info("verified", slice=slice_, seconds=round(time.time() - started, 1))
    context.store.save(state)
    return state.verify_error is None


def verify_now(context: Context) -> bool:
    """Verify out of turn; nothing else may run meanwhile."""
    with context.store.run_lock():
        return verify(context, context.store.load())


def newest(restic: Restic, kind: str) -> tuple[Snapshot, ...]:
    """The newest snapshot of each part of a kind."""
    found = {s.part: s for s in restic.snapshots() if s.part.startswith(f"{kind}/")}
    return tuple(found[part] for part in sorted(found))

"""One run: every part, then retention, then the check when it is due."""

import socket
import time
from collections import Counter
from collections.abc import Callable
from functools import partial

from backup import locks
from backup.context import Context
from backup.errors import BackupError
from backup.parts import Kind, Part, kinds
from backup.restic import Summary
from backup.schedule import check_due
from backup.state import State
from backup.verify import verify

RETENTION = "retention"


def back_up(context: Context, *, only_failed: bool = False) -> bool:
    """Back up; whether all of it went well.

    With `only_failed` only what failed last time is done again: an hourly retry must not dump everything each hour.
    """
    with context.store.run_lock():
        state = context.store.load()
        state.started, state.ok = time.time(), False
        context.store.save(state)
        context.log.info("run started", only_failed=only_failed)
        try:
            ok = _run(context, state, only_failed=only_failed)
        finally:
            state.ended = time.time()
            context.store.save(state)
        state.ok = ok
        context.store.save(state)
        context.log.info("run ended", ok=ok, seconds=round(state.ended - state.started, 1))
        return ok


def _run(context: Context, state: State, *, only_failed: bool) -> bool:
    if not _attempt(context, state, "repository", lambda: _open(context, state)):
        # Each part would find out by itself, after minutes each.
        return False
    before = {name: part.error for name, part in state.parts.items()}
    todo, ok = _find(context, state)
    for part in todo:
        if context.stop.is_set():
            return False
        if only_failed and part.name in before and before[part.name] is None and state.part(part.name).success:
            continue
        ok &= _attempt(context, state, part.name, part.work)
    if not context.stop.is_set() and (not only_failed or before.get(RETENTION) is not None):
        ok &= _attempt(context, state, RETENTION, context.restic.forget)
    ok &= _attempt(context, state, "repository", lambda: _count(context, state))
    if not context.stop.is_set() and not only_failed and check_due(context.settings, state.verified, time.time()):
        ok &= verify(context, state)
    return ok and not context.stop.is_set()


def _open(context: Context, state: State) -> None:
    locks.remember(state, socket.gethostname())
    state.repository = context.restic.open(state.repository)
    context.store.save(state)
    locks.release(context, state)


def _find(context: Context, state: State) -> tuple[list[Part], bool]:
    todo: list[Part] = []
    ok = True
    for kind in kinds(context):
        found: list[Part] = []
        if _attempt(context, state, kind.name, partial(_look, context, state, kind, found)):
            todo += found
            for gone in state.keep_only(kind.name, (part.name for part in found)):
                context.log.warning("part is no more", part=gone)
        else:
            ok = False
    return todo, ok


def _look(context: Context, state: State, kind: Kind, found: list[Part]) -> None:
    found += kind.find(context, state)


def _count(context: Context, state: State) -> None:
    counts = Counter(snapshot.part for snapshot in context.restic.snapshots())
    for name, part in state.parts.items():
        part.snapshots = counts[name]


def _attempt(context: Context, state: State, name: str, work: Callable[[], Summary | None]) -> bool:
    """Do one thing and remember how it went. Whatever goes wrong in it, the others get their turn."""
    part = state.part(name)
    part.attempt = time.time()
    try:
        summary = work()
    except Exception as error:  # noqa: BLE001
        known = isinstance(error, BackupError)
        part.error = str(error) if known else f"{type(error).__name__}: {error}"
        part.seconds = time.time() - part.attempt
        context.log.failure("part failed", part=name, error=part.error, seconds=round(part.seconds, 1))
    else:
        part.error, part.success, part.seconds = None, time.time(), time.time() - part.attempt
        if summary is not None:
            part.size, part.added, part.files = summary.size, summary.added, summary.files
            context.log.info(
                "part saved",
                part=name,
                snapshot=summary.snapshot,
                bytes=summary.size,
                added_bytes=summary.added,
                seconds=round(part.seconds, 1),
            )
    context.store.save(state)
    return part.error is None

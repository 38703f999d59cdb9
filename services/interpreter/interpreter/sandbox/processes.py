"""The processes of one user, and their end."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_ALL: Final = -1
_PAUSE: Final = 0.005


def of_user(user: int) -> Iterator[int]:
    """The living processes of a user, by /proc."""
    for name in os.listdir(_PROC):
        if not name.isdigit():
            continue
        with contextlib.suppress(OSError):
            # A process that cannot be looked into belongs to root as far as /proc's owners tell.
            if os.stat(_PROC / name).st_uid not in (user, 0):
                continue
            if _alive_with_uid(int(name)) == user:
                yield int(name)


def _alive_with_uid(pid: int) -> int | None:
    uid = None
    for line in (_PROC / str(pid) / "status").read_text().splitlines():
        if line.startswith("State:") and line.split()[1] in ("Z", "X"):
            return None
        if line.startswith("Uid:"):
            uid = int(line.split()[1])
    return uid


def reap() -> dict[int, int]:
    """Collect all children that have ended: pid -> exit code, negative for a signal."""
    ended: dict[int, int] = {}
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            ended[pid] = os.waitstatus_to_exitcode(status)
    return ended


def end_all(user: int, seconds: float) -> bool:
    """Kill every process that this one may kill, again and again until none is left.

    For a warden, or who has become one, these are the processes of its user alone. One kill to all reaches also what is
    being forked, daemons and what left its session; more rounds are for kernels that do it process by process.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            os.kill(_ALL, signal.SIGKILL)
        except ProcessLookupError:
            return True
        reap()
        if time.monotonic() > deadline:
            # Dead ones that nobody has collected yet can be signalled too; they do no harm.
            return not any(of_user(user))
        time.sleep(_PAUSE)

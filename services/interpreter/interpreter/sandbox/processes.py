"""The processes of one user, and their end."""

# `os` and not `pathlib`: it has the calls by descriptor, and this is done many times a second.
# ruff: noqa: PTH116, PTH208

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
_PAUSE: Final = 0.002
_QUIET_LOOKS: Final = 2
"""A listing of /proc is no snapshot."""


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
    """Kill every process that this one may kill, again and again until none of the user's is left.

    For a warden, or who has become one, that is its user's processes alone. One kill to all reaches also what is being
    forked, daemons and what left its session; more rounds are for kernels that do it process by process. Whether it
    reached anybody, Linux does not tell: it answers the same where every process there is was out of reach.
    """
    deadline = time.monotonic() + seconds
    quiet = 0
    while quiet < _QUIET_LOOKS:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(_ALL, signal.SIGKILL)
        reap()
        if not any(of_user(user)):
            quiet += 1
            continue
        quiet = 0
        if time.monotonic() > deadline:
            return False
        time.sleep(_PAUSE)
    return True

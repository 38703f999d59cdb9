"""The processes of one user, and their end."""

# `os` and not `pathlib`: it has the calls by descriptor, and this is done many times a second.
# ruff: noqa: PTH116, PTH208

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

_PROC: Final = "/proc"
_ALL: Final = -1
_PAUSE: Final = 0.002
_DEAD: Final = ("Z", "X")
HEADLESS: Final = "headless"
"""Its first thread has ended, and others go on: then /proc shows it as dead, without memory and open files."""
_STOPPED: Final = ("T", "t")
_QUIET_LOOKS: Final = 2
"""A listing of /proc is no snapshot."""


class Process(NamedTuple):
    """A process that lives."""

    place: str
    """Its folder in /proc."""
    state: str
    """As /proc has it, or `HEADLESS`."""


def of_user(user: int) -> Iterator[Process]:
    """The living processes of a user, by /proc."""
    for name in os.listdir(_PROC):
        if not name.isdigit():
            continue
        place = f"{_PROC}/{name}"
        with contextlib.suppress(OSError):
            # A process that cannot be looked into belongs to root as far as /proc's owners tell.
            if os.stat(place).st_uid not in (user, 0):
                continue
            uid, state = _look(place)
            if uid == user and state not in _DEAD:
                yield Process(place, state)


def _look(place: str) -> tuple[int, str]:
    """User and state. A process may have a name that looks like lines of this file; what is true comes after it."""
    fields: dict[str, str] = {}
    for line in Path(f"{place}/status").read_text(errors="replace").splitlines():
        key, _, value = line.partition(":")
        fields[key] = value
    try:
        state = fields["State"].split()[0]
        if state in _DEAD and int(fields["Threads"]) > 1:
            state = HEADLESS
        return int(fields["Uid"].split()[0]), state
    except (KeyError, IndexError, ValueError):
        return 0, _DEAD[0]  # it is about to end


def pause_all(user: int, seconds: float) -> bool:
    """Stop every process of the user, for a warden as `end_all`; whether they are."""
    return _signalled_until(lambda: are_paused(user), signal.SIGSTOP, seconds)


def are_paused(user: int) -> bool:
    """Whether nothing of the user goes on."""
    return all(process.state in _STOPPED for process in of_user(user))


def go_on() -> None:
    """The end of a pause."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(_ALL, signal.SIGCONT)


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

    def gone() -> bool:
        reap()
        return not any(of_user(user))

    return _signalled_until(gone, signal.SIGKILL, seconds)


def _signalled_until(quiet: Callable[[], bool], number: signal.Signals, seconds: float) -> bool:
    """Signal all, again and again, until several looks in a row find it quiet; whether they did in time."""
    deadline = time.monotonic() + seconds
    looks = 0
    while looks < _QUIET_LOOKS:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(_ALL, number)
        if quiet():
            looks += 1
            continue
        looks = 0
        if time.monotonic() > deadline:
            return False
        time.sleep(_PAUSE)
    return True

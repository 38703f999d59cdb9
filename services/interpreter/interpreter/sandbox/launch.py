"""From warden to user code: the last steps in a forked child."""

# `os` and not `pathlib`: it has the calls by descriptor, and this is done many times a second.
# ruff: noqa: PTH120, PTH208

from __future__ import annotations

import contextlib
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, NoReturn

from interpreter.limits import Limits
from interpreter.sandbox import folder, identity, rlimits, seccomp

_FAILED: Final = 70


@dataclass(frozen=True)
class Place:
    """A box, as its processes see it."""

    who: identity.Identity
    top: str
    limits: Limits

    @property
    def work(self) -> str:
        """Where user code starts."""
        return f"{self.top}/{folder.WORK}"

    @property
    def temporary(self) -> str:
        """Its TMPDIR."""
        return f"{self.top}/{folder.TEMPORARY}"

    @property
    def plots(self) -> str:
        """Where figures are saved."""
        return f"{self.top}/{folder.PLOTS}"

    def environment(self) -> dict[str, str]:
        """All that user code finds in its environment."""
        return {
            "HOME": self.work,
            "LANG": "C.UTF-8",
            "MPLBACKEND": "agg",
            "MPLCONFIGDIR": f"{self.temporary}/matplotlib",
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
            "PATH": f"{os.path.dirname(sys.executable)}:/usr/local/bin:/usr/bin:/bin",
            "PYTHONDONTWRITEBYTECODE": "1",
            "TMPDIR": self.temporary,
        }


def start(place: Place, descriptors: Mapping[int, int], body: Callable[[], None]) -> int:
    """Fork, become the user under all limits, run `body` there and exit; the child's pid.

    `descriptors` maps the child's numbers, from 0 on without a gap, to ours; it has no others.
    """
    pid = os.fork()
    if not pid:
        _become(place, descriptors, body)
    return pid


def _become(place: Place, descriptors: Mapping[int, int], body: Callable[[], None]) -> NoReturn:
    code = _FAILED
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        _place_descriptors(descriptors)
        # First visible, then the user: in the other order the watch could meet a process that it cannot look into.
        identity.show_memory()
        identity.become_user(place.who)
        rlimits.apply(place.limits)
        identity.forbid_new_privileges()
        seccomp.install()
        os.chdir(place.work)
        os.environ.clear()
        os.environ.update(place.environment())
        body()
        code = 0
    except BaseException:  # noqa: BLE001 - nothing may return into the warden's code
        traceback.print_exc()
    finally:
        os._exit(code)


def _place_descriptors(descriptors: Mapping[int, int]) -> None:
    # First out of the way of each other, then to their places, then everything else away: the box's channel to the
    # server among it.
    high = max(descriptors.values()) + len(descriptors) + 1
    for number, fd in descriptors.items():
        os.dup2(fd, high + number)
    for number in descriptors:
        os.dup2(high + number, number)
    for name in os.listdir("/proc/self/fd"):
        if int(name) >= len(descriptors):
            with contextlib.suppress(OSError):  # the listing's own
                os.close(int(name))

"""Users without names: two fresh ones for each box, so that the kernel keeps boxes apart.

The warden has the real and saved uid of its own and the effective uid of the user code. By the kernel's rule (a signal
is allowed where the sender's real or effective uid is the receiver's real or saved one) it can end every process of
the box and none of these can touch it; the same holds for ptrace. What it does with files it does with the rights of
the user code, so that a symlink laid out by that code leads nowhere that the code could not go itself.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from dataclasses import dataclass
from typing import Final

FIRST_UID: Final = 100_000
_LAST_UID: Final = 2_000_000_000

_PR_SET_DUMPABLE: Final = 4
_PR_SET_CHILD_SUBREAPER: Final = 36
_PR_SET_NO_NEW_PRIVS: Final = 38
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Identity:
    """The two users of a box."""

    user: int
    """Runs the code and owns its files."""
    warden: int
    """Watches over it."""

    @classmethod
    def number(cls, count: int) -> Identity:
        """The pair of the box with that serial number; none comes again before a thousand million boxes."""
        pairs = (_LAST_UID - FIRST_UID) // 2
        user = FIRST_UID + 2 * (count % pairs)
        return cls(user=user, warden=user + 1)


def _prctl(option: int, value: int) -> None:
    # Five arguments always: the kernel refuses some options where the unused ones are not zero.
    if _libc.prctl(option, *(ctypes.c_ulong(argument) for argument in (value, 0, 0, 0))) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl {option}: {os.strerror(number)}")


def become_warden(identity: Identity) -> None:
    """Give up root for good; needs SETUID and SETGID. No group stays."""
    os.setgroups([])
    os.setresgid(identity.user, identity.user, identity.user)
    os.setresuid(identity.warden, identity.user, identity.warden)
    forbid_new_privileges()


def become_user(identity: Identity) -> None:
    """From warden to user, which needs no privilege and cannot be undone."""
    os.setresuid(identity.user, identity.user, identity.user)


def become_plain(user: int, group: int) -> None:
    """Give up root for an ordinary user."""
    os.setgroups([])
    os.setresgid(group, group, group)
    os.setresuid(user, user, user)
    forbid_new_privileges()


def forbid_new_privileges() -> None:
    """No program started from here on gains rights by its file's mode or capabilities."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def hide_memory() -> None:
    """No other process of the same user may look into this one."""
    _prctl(_PR_SET_DUMPABLE, 0)


def show_memory() -> None:
    """The process's own entries in /proc belong to its user again, after a change of user."""
    _prctl(_PR_SET_DUMPABLE, 1)


def adopt_orphans() -> None:
    """Processes whose parent ends become children of this one, so that they are collected when they end.

    gVisor refuses it to all but the container's init, which collects them there.
    """
    with contextlib.suppress(OSError):
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)

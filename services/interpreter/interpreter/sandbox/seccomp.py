"""A seccomp filter, written as BPF: system calls that user code does not need and could do harm with.

It is a list of what is refused, since numpy, pandas and whatever a user imports call what they will. Sockets are
refused whole, but for a connected pair of streams, which asyncio needs; io_uring, which could open sockets past the
filter, is refused too. What outlives its process or counts to nobody is refused so that limits and clean-up stay
complete: System V and POSIX queues, memfd, large pipes, pages given to pipes, descriptors on their way through a
socket, attributes of files, watches of files, threads with open files of their own.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_ALLOW: Final = 0x7FFF0000
_ERRNO: Final = 0x00050000
_KILL_PROCESS: Final = 0x80000000

_LOAD: Final = 0x20
_AND: Final = 0x54
_EQUAL: Final = 0x15
_GREATER_EQUAL: Final = 0x35
_RETURN: Final = 0x06

_OFFSET_NUMBER: Final = 0
_OFFSET_ARCH: Final = 4
_OFFSET_ARGS: Final = 16

_X32_BIT: Final = 0x40000000
_NAMESPACE_FLAGS: Final = 0x7E020000
_CLONE_FILES: Final = 0x400
_CLONE_THREAD: Final = 0x10000
_CLOSE_RANGE_UNSHARE: Final = 2
_AF_UNIX: Final = 1
_SOCK_STREAM: Final = 1
_SOCK_TYPE_MASK: Final = 0xF
_F_SETPIPE_SZ: Final = 1031
_PR_SET_DUMPABLE: Final = 4
_S_IFMT: Final = 0xF000
_S_IFCHR: Final = 0x2000
_S_IFBLK: Final = 0x6000
_ANY_BIT: Final = 0xFFFFFFFF

_PR_SET_SECCOMP: Final = 22
_SECCOMP_MODE_FILTER: Final = 2


@dataclass(frozen=True)
class Machine:
    """An architecture's mark in the filter's data, and its column in the table of numbers."""

    audit: int
    column: int


MACHINES: Final = {"x86_64": Machine(0xC000003E, 0), "aarch64": Machine(0xC00000B7, 1)}

# System call -> its number on x86_64 and on aarch64, None where it does not exist.
NUMBERS: Final[dict[str, tuple[int | None, int | None]]] = {
    "_sysctl": (156, None),
    "accept": (43, 202),
    "accept4": (288, 242),
    "acct": (163, 89),
    "add_key": (248, 217),
    "adjtimex": (159, 171),
    "bind": (49, 200),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "clock_adjtime": (305, 266),
    "clock_settime": (227, 112),
    "clone": (56, 220),
    "clone3": (435, 435),
    "close_range": (436, 436),
    "connect": (42, 203),
    "create_module": (174, None),
    "delete_module": (176, 106),
    "fanotify_init": (300, 262),
    "fcntl": (72, 25),
    "finit_module": (313, 273),
    "fsconfig": (431, 431),
    "fsetxattr": (190, 7),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "init_module": (175, 105),
    "inotify_add_watch": (254, 27),
    "inotify_init": (253, None),
    "inotify_init1": (294, 26),
    "io_setup": (206, 0),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "ioperm": (173, None),
    "iopl": (172, None),
    "kcmp": (312, 272),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "listen": (50, 201),
    "lookup_dcookie": (212, 18),
    "lsetxattr": (189, 6),
    "mbind": (237, 235),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "migrate_pages": (256, 238),
    "mknod": (133, None),
    "mknodat": (259, 33),
    "modify_ldt": (154, None),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "move_pages": (279, 239),
    "mq_notify": (244, 184),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    "msgctl": (71, 187),
    "msgget": (68, 186),
    "msgrcv": (70, 188),
    "msgsnd": (69, 189),
    "name_to_handle_at": (303, 264),
    "nfsservctl": (180, 42),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "personality": (135, 92),
    "pidfd_getfd": (438, 438),
    "pivot_root": (155, 41),
    "prctl": (157, 167),
    "process_madvise": (440, 440),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "semctl": (66, 191),
    "semget": (64, 190),
    "semop": (65, 193),
    "semtimedop": (220, 192),
    "sendmmsg": (307, 269),
    "sendmsg": (46, 211),
    "sendto": (44, 206),
    "set_mempolicy": (238, 237),
    "setdomainname": (171, 162),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "setsockopt": (54, 208),
    "settimeofday": (164, 170),
    "setxattr": (188, 5),
    "setxattrat": (463, 463),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "shmget": (29, 194),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "sysfs": (139, None),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "uselib": (134, None),
    "userfaultfd": (323, 282),
    "ustat": (136, None),
    "vhangup": (153, 58),
    "vmsplice": (278, 75),
}

# Refused by their arguments, below.
_BY_ARGUMENT: Final = ("clone", "close_range", "fcntl", "mknod", "mknodat", "prctl", "sendto", "socketpair")
# glibc falls back to clone, whose flags a filter can see; clone3's lie in memory, where it cannot look.
_ABSENT: Final = ("clone3",)
_NETWORK: Final = ("accept", "accept4", "bind", "connect", "listen", "sendmmsg", "sendmsg", "setsockopt", "socket")
# As on file systems without them, which every program that copies files knows.
_ATTRIBUTES: Final = ("fsetxattr", "lsetxattr", "setxattr", "setxattrat")


def _op(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _refuse(number: int) -> bytes:
    return _op(_RETURN, _ERRNO | number)


def _argument(index: int, *, high: bool = False) -> bytes:
    """Load half of an argument; both architectures are little-endian."""
    return _op(_LOAD, _OFFSET_ARGS + 8 * index + (4 if high else 0))


def _when(number: int | None, body: Iterable[bytes]) -> list[bytes]:
    """Run `body` for that system call alone; it ends in a return."""
    instructions = list(body)
    return [] if number is None else [_op(_EQUAL, number, 0, len(instructions)), *instructions]


def _refuse_if(argument: int, mask: int, value: int, code: int) -> list[bytes]:
    return [_argument(argument), _op(_AND, mask), _op(_EQUAL, value, 0, 1), _refuse(code), _op(_RETURN, _ALLOW)]


def _refuse_if_any(loads: Iterable[bytes], mask: int, code: int) -> list[bytes]:
    body: list[bytes] = []
    for load in loads:
        body += [load, _op(_AND, mask), _op(_EQUAL, 0, 1, 0), _refuse(code)]
    return [*body, _op(_RETURN, _ALLOW)]


def _clone() -> list[bytes]:
    """No new namespaces; and no thread with a table of open files of its own, which /proc shows elsewhere."""
    return [
        *(_argument(0), _op(_AND, _NAMESPACE_FLAGS), _op(_EQUAL, 0, 1, 0), _refuse(errno.EPERM)),
        *_refuse_if(0, _CLONE_THREAD | _CLONE_FILES, _CLONE_THREAD, errno.EPERM),
    ]


def _no_device(mode: int) -> list[bytes]:
    """Its mode is the argument of that number. gVisor of 2022 lets anyone make them."""
    load = (_argument(mode), _op(_AND, _S_IFMT))
    kinds = (_S_IFCHR, _S_IFBLK)
    return [
        *load,
        *(step for kind in kinds for step in (_op(_EQUAL, kind, 0, 1), _refuse(errno.EPERM))),
        _op(_RETURN, _ALLOW),
    ]


def _stream_pair_only() -> list[bytes]:
    return [
        _argument(0),
        _op(_EQUAL, _AF_UNIX, 0, 4),
        _argument(1),
        _op(_AND, _SOCK_TYPE_MASK),
        _op(_EQUAL, _SOCK_STREAM, 0, 1),
        _op(_RETURN, _ALLOW),
        _refuse(errno.EACCES),
    ]


def _answer(name: str) -> int:
    for names, number in ((_ABSENT, errno.ENOSYS), (_NETWORK, errno.EACCES), (_ATTRIBUTES, errno.EOPNOTSUPP)):
        if name in names:
            return number
    return errno.EPERM


def program(machine: Machine) -> bytes:
    """The filter's instructions."""
    number = {name: numbers[machine.column] for name, numbers in NUMBERS.items()}
    code = [
        _op(_LOAD, _OFFSET_ARCH),
        # Another architecture's calls have other numbers: the 32-bit ones of x86 would pass unseen.
        _op(_EQUAL, machine.audit, 1, 0),
        _op(_RETURN, _KILL_PROCESS),
        _op(_LOAD, _OFFSET_NUMBER),
        _op(_GREATER_EQUAL, _X32_BIT, 0, 1),
        _refuse(errno.ENOSYS),
    ]
    code += _when(number["clone"], _clone())
    code += _when(number["close_range"], _refuse_if(2, _CLOSE_RANGE_UNSHARE, _CLOSE_RANGE_UNSHARE, errno.EPERM))
    code += _when(number["mknod"], _no_device(1))
    code += _when(number["mknodat"], _no_device(2))
    code += _when(number["fcntl"], _refuse_if(1, _ANY_BIT, _F_SETPIPE_SZ, errno.EPERM))
    # A process that cannot be looked into could hold files that nobody counts.
    code += _when(number["prctl"], _refuse_if(0, _ANY_BIT, _PR_SET_DUMPABLE, errno.EPERM))
    code += _when(number["sendto"], _refuse_if_any([_argument(4), _argument(4, high=True)], _ANY_BIT, errno.EACCES))
    code += _when(number["socketpair"], _stream_pair_only())
    for name in sorted(NUMBERS.keys() - set(_BY_ARGUMENT)):
        code += _when(number[name], [_refuse(_answer(name))])
    return b"".join([*code, _op(_RETURN, _ALLOW)])


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def this_machine() -> Machine:
    """The architecture that we run on; KeyError names one that is not supported."""
    return MACHINES[platform.machine()]


def install() -> None:
    """Put the calling thread and all that it starts under the filter; needs no_new_privs."""
    code = program(this_machine())
    buffer = ctypes.create_string_buffer(code, len(code))
    argument = _Program(len(code) // 8, ctypes.cast(buffer, ctypes.c_void_p))
    libc = ctypes.CDLL(None, use_errno=True)
    mode = ctypes.c_ulong(_SECCOMP_MODE_FILTER)
    if libc.prctl(_PR_SET_SECCOMP, mode, ctypes.byref(argument), ctypes.c_ulong(0), ctypes.c_ulong(0)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"seccomp: {os.strerror(number)}")

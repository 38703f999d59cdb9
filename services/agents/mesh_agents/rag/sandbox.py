"""What the process that reads documents gives up before it looks at one.

Documents come from anywhere, and some are made to break the program that reads them. That process has no network,
starts no other, writes no file, and ends when it takes too long or too much memory.
"""

import contextlib
import ctypes
import os
import platform
import resource
import struct
from pathlib import Path
from typing import Final

SECONDS: Final = 20
"""Of the processor, for one call."""
MOST_OUTPUT: Final = 96 << 20
"""Bytes that one call answers."""
_MEMORY: Final = 1 << 30
_NO_NEW_PRIVILEGES: Final = 38
_SECCOMP: Final = 22
_FILTER: Final = 2
_ALLOW: Final = 0x7FFF0000
_REFUSE: Final = 0x00050001
"""With EPERM."""
_KILL: Final = 0x80000000
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
"""Instructions of the kernel's packet filters."""
_OTHER_ABI: Final = 0x40000000
"""Numbers from here on are those of x32."""

_ARCHITECTURES: Final = {
    "x86_64": (
        0xC000003E,
        # socket, connect, accept, sendto, bind, listen, socketpair, fork, vfork, execve, kill, ptrace, mount
        (41, 42, 43, 44, 49, 50, 53, 57, 58, 59, 62, 101, 165),
        # keyctl, unshare, open_by_handle_at, setns, process_vm_readv and _writev, bpf, execveat, io_uring_setup
        (250, 272, 304, 308, 310, 311, 321, 322, 425, 438),
    ),
    "aarch64": (
        0xC00000B7,
        # mount, unshare, ptrace, kill, socket, socketpair, bind, listen, accept, connect, sendto, keyctl, execve
        (40, 97, 117, 129, 198, 199, 200, 201, 202, 203, 206, 219, 221),
        # accept4, open_by_handle_at, setns, process_vm_readv and _writev, bpf, execveat, io_uring_setup, pidfd_getfd
        (242, 265, 268, 270, 271, 280, 281, 425, 438),
    ),
}
"""What the kernel calls a machine, and the numbers of the system calls that are refused."""


def enter() -> None:
    """Give it all up, for good.

    Raises:
        OSError: the kernel does not let it; nothing may be read then.

    """
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    # Where the container's memory ends, this process goes and not the API.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    _refuse_calls()


def _refuse_calls() -> None:
    architecture = _ARCHITECTURES.get(platform.machine())
    if architecture is None:
        raise OSError(f"no list of system calls for {platform.machine()}")
    audited, *numbers = architecture
    refused = [number for group in numbers for number in group]
    program = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, audited), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, 0)]
    program.append((_AT_LEAST, len(refused) + 1, 0, _OTHER_ABI))
    program += [(_EQUAL, len(refused) - at, 0, number) for at, number in enumerate(refused)]
    program += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _REFUSE)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
    head = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(program), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in ((_NO_NEW_PRIVILEGES, 1, 0, 0, 0), (_SECCOMP, _FILTER, ctypes.addressof(head), 0, 0)):
        if libc.prctl(*(ctypes.c_ulong(argument) for argument in arguments)):
            raise OSError(ctypes.get_errno(), f"prctl: {os.strerror(ctypes.get_errno())}")

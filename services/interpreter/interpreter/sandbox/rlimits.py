"""Limits that the kernel keeps by itself."""

from __future__ import annotations

import contextlib
import os
import resource
from pathlib import Path
from typing import Final

from interpreter.limits import Limits

_NICE: Final = 10


def apply(limits: Limits) -> None:
    """Set them for this process and all that it starts; what is lowered cannot be raised again."""
    for what, value in (
        (resource.RLIMIT_AS, limits.address_bytes),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, limits.cpu_seconds),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_NOFILE, limits.open_files),
        (resource.RLIMIT_NPROC, limits.processes),
    ):
        hard = resource.getrlimit(what)[1]
        lower = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(what, (lower, lower))
    # The server and the wardens come first when processors are short.
    os.nice(_NICE)
    with contextlib.suppress(OSError):  # gVisor may not have it
        # If memory runs out all the same, the kernel takes user code first.
        Path("/proc/self/oom_score_adj").write_text("1000")

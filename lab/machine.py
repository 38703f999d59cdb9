"""What the lab needs of the machine, checked before anything is made; each lack is named with its fix."""

from __future__ import annotations

import os
import platform
import re
import resource
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final


class LabError(RuntimeError):
    """The lab cannot do what was asked; the message says why and what to do."""


PROGRAMS: Final[Mapping[str, str]] = {
    "debootstrap": "debootstrap",
    "ip": "iproute2",
    "iptables": "iptables",
    "npm": "npm",
    "nsenter": "util-linux",
    "openssl": "openssl",
    "unshare": "util-linux",
}
"""Program -> Debian package."""

PROCESSORS: Final = ("x86_64",)
"""What the lab's layers are built for: wheels, libraries and the images' own architecture."""
STATIC_BUSYBOX: Final = Path("/bin/busybox")


def check_machine() -> None:
    """Raise one `LabError` that names everything missing."""
    lacks = []
    if platform.machine() not in PROCESSORS:
        lacks.append(
            f"one of the processors that the lab's images are built for ({', '.join(PROCESSORS)}); "
            f"this is {platform.machine()}: run the lab on another machine, or the tests without it (make unit)"
        )
    if os.geteuid() != 0:
        lacks.append("root: the lab makes network namespaces and runs Docker daemons; run it with sudo")
    packages = {package for program, package in PROGRAMS.items() if shutil.which(program) is None}
    # Debian's other busybox needs libraries, which an image of nothing else lacks.
    if not STATIC_BUSYBOX.exists() or b"/ld-linux" in STATIC_BUSYBOX.read_bytes():
        packages.add("busybox-static")
    if packages:
        names = " ".join(sorted(packages))
        lacks.append(f"programs: apt-get install -y --no-install-recommends {names}")
    if "overlay" not in Path("/proc/filesystems").read_text():
        lacks.append("overlayfs in the kernel: modprobe overlay")
    if lacks:
        raise LabError("this machine lacks\n" + "\n".join(f"  - {lack}" for lack in lacks))


_CAP_SYS_RESOURCE: Final = 24


def highest(limit: str) -> int | None:
    """The most of a process limit, such as `nofile`, that containers can have here; None: whatever is asked for.

    In some virtual machines not even root may raise a limit, and Docker then refuses to start the container.
    """
    capabilities = re.search(r"^CapEff:\s+(\w+)", Path("/proc/self/status").read_text(), re.MULTILINE)
    if capabilities is None or int(capabilities[1], 16) >> _CAP_SYS_RESOURCE & 1:
        return None
    hard = resource.getrlimit(getattr(resource, f"RLIMIT_{limit.upper()}"))[1]
    return None if hard == resource.RLIM_INFINITY else hard


def run(*command: str, check: bool = True, timeout: float = 60) -> str:
    """Run a short command and return what it prints; a failure is a `LabError` with the command's own words."""
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LabError(f"{' '.join(command)}: {error}") from error
    if check and result.returncode != 0:
        raise LabError(f"{' '.join(command)} failed: {(result.stderr or result.stdout).strip()}")
    return result.stdout


def succeeds(*command: str) -> bool:
    """Whether a short command exits with 0."""
    return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 0


def in_namespace(namespace: str, *command: str) -> Sequence[str]:
    """The command, run in a network namespace; not by `ip netns exec`, which hides the cgroups from a daemon."""
    return ("nsenter", f"--net=/var/run/netns/{namespace}", *command)

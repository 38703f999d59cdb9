"""The Docker that the nodes run: Debian 13's, from a root file system of its own, independent of this machine's.

Built once and cached in the lab's folder by the hash of its recipe. Each node has a mount namespace in which the `/usr`
of that file system replaces this machine's: all other paths are the same inside and outside, the daemons' mounts are
invisible outside, and they disappear with the node's last process.
"""

from __future__ import annotations

import fcntl
import hashlib
import inspect
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from lab.images.client import run
from lab.images.mirror import debian_mirror

SUITE: Final = "trixie"
PACKAGES: Final = ("containerd", "docker-cli", "docker.io", "iptables", "kmod", "procps", "runc", "runsc")
PATH: Final = "/usr/sbin:/usr/bin"
_RUNSC: Final = """#!/bin/sh
# runsc takes a network namespace that has /proc/sys/net/core/rmem_default for the host's and starts no network stack in
# it (isRootNS in runsc/sandbox/network.go). New kernels show that file in every namespace.
hidden='mount -t tmpfs -o ro none /proc/sys/net'
exec unshare --mount --propagation slave sh -euc "$hidden; exec /usr/libexec/runsc \\"\\$@\\"" runsc "$@"
"""
# x86_64 alone, as all of the lab's images: lab/machine.py refuses other processors.
_CLIENT: Final = """#!/bin/sh
# With its own libraries: this machine's may be too old for it.
usr=$(dirname "$(dirname "$(readlink -f "$0")")")/usr
libraries=$usr/lib/x86_64-linux-gnu
exec "$libraries/ld-linux-x86-64.so.2" --library-path "$libraries" "$usr/bin/docker" "$@"
"""
_UNUSED: Final = ("doc", "info", "locale", "man", "zoneinfo")
"""Folders of /usr/share that no daemon reads."""


def install(folder: Path, say: Callable[[str], None] = print) -> Path:
    """The root file system's `/usr`, built if the lab's folder does not have it."""
    recipe = f"{SUITE} {PACKAGES} {_RUNSC} {_CLIENT} {inspect.getsource(_fill)}"
    root = folder / f"docker-{hashlib.sha256(recipe.encode()).hexdigest()[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "docker.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.exists():
            say(f"Docker of Debian {SUITE}: 1 minute")
            unfinished = root.with_suffix(".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            _fill(unfinished)
            unfinished.rename(root)
    return root / "usr"


def client(folder: Path) -> Path:
    """Its `docker` command, which also runs outside the mount namespaces."""
    return install(folder).with_name("bin") / "docker"


def apart(usr: Path, *command: str) -> Sequence[str]:
    """The command in a mount namespace of its own, with this `/usr`."""
    # Mounts propagate in but not out, and the daemon finds a shared root, as on a host.
    modules = '[ ! -d /lib/modules ] || mount --bind /lib/modules "$0/lib/modules"'
    script = f'mount --make-rshared /; {modules}; mount --rbind "$0" /usr; exec "$@"'
    return ("unshare", "--mount", "--propagation", "slave", "sh", "-euc", script, str(usr), *command)


def beside(pid: int, *command: str) -> Sequence[str]:
    """The command in the mount namespace of a process that was started `apart`."""
    return ("nsenter", f"--mount=/proc/{pid}/ns/mnt", *command)


def _fill(root: Path) -> None:
    """Install the packages and keep what the daemons use."""
    whole = root / "whole"
    whole.mkdir(parents=True)
    mirror = debian_mirror()
    options = ("--variant=minbase", f"--include={','.join(PACKAGES)}")
    run("debootstrap", *options, SUITE, str(whole), *([mirror] if mirror else []))
    (whole / "usr").rename(root / "usr")
    shutil.rmtree(whole)
    # A mount point for the modules of this machine's kernel.
    (root / "usr/lib/modules").mkdir(exist_ok=True)
    for name in _UNUSED:
        shutil.rmtree(root / "usr/share" / name, ignore_errors=True)
    (root / "usr/bin/runsc").rename(root / "usr/libexec/runsc")
    _write_program(root / "usr/bin/runsc", _RUNSC)
    _write_program(root / "bin/docker", _CLIENT)


def _write_program(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(script)
    path.chmod(0o755)

"""Long-running processes of the lab: started by a pid file, ended by it, never by a name."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from lab.machine import LabError
from lab.places import RUN


def alive(pid_file: Path) -> bool:
    """Whether the process of a pid file runs."""
    return _pid(pid_file) is not None


def start(command: Sequence[str], pid_file: Path, log: Path, cwd: Path | None = None) -> None:
    """Start a process that outlives this one. Nothing happens where it runs already."""
    if alive(pid_file):
        return
    pid_file.parent.mkdir(parents=True, exist_ok=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        process = subprocess.Popen(
            command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
    # It outlives this process on purpose: Python should not warn of it when it forgets it. `_runs` waits for it.
    process.returncode = 0
    pid_file.write_text(f"{process.pid}\n")


def stop(pid_file: Path, seconds: float = 30) -> None:
    """Ask a process to end, insist after `seconds`, and return when it is gone."""
    if (pid := _pid(pid_file)) is not None:
        _signal(pid, signal.SIGTERM)
        if not wait_until(lambda: not _runs(pid), seconds):
            kill([pid])
    pid_file.unlink(missing_ok=True)


def kill(pids: Sequence[int]) -> None:
    """End processes at once and wait until they are gone."""
    for pid in pids:
        _signal(pid, signal.SIGKILL)
    if not wait_until(lambda: not any(_runs(pid) for pid in pids), 10):
        raise LabError(f"processes do not end: {', '.join(str(pid) for pid in pids if _runs(pid))}")


def wait_until(condition: Callable[[], bool], seconds: float, every: float = 0.05) -> bool:
    """Whether a condition comes true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(every)
    return True


def mentioning(path: Path) -> list[int]:
    """Processes with a path in their arguments: the daemons of a node, shims and sandboxes of its containers."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
    return [pid for pid in pids if pid != os.getpid() and _mentions(pid, path)]


def in_cgroup(parent: str) -> list[int]:
    """Processes in a cgroup or below it, in whatever hierarchies there are."""
    return sorted({pid for folder in cgroup_folders(parent) for pid in _members(folder)})


def cgroup_folders(parent: str) -> Iterator[Path]:
    """The folders of a cgroup: one with version 2, one for each controller with version 1."""
    top = Path("/sys/fs/cgroup")
    for root in (top, *(path for path in top.iterdir() if path.is_dir())):
        folder = root / parent.lstrip("/")
        if folder.is_dir():
            yield folder


def remove_cgroups(parent: str) -> None:
    """Take away a cgroup without processes, innermost first."""
    for top in list(cgroup_folders(parent)):
        below = sorted((path for path in top.rglob("*") if path.is_dir()), reverse=True)
        for folder in (*below, top):
            folder.rmdir()


def _members(folder: Path) -> Iterator[int]:
    for procs in folder.rglob("cgroup.procs"):
        try:
            yield from (int(line) for line in procs.read_text().split())
        except OSError:  # a group that went away, or of threads
            continue


def _pid(pid_file: Path) -> int | None:
    """The process of a pid file, if it still is one of ours: numbers are used again."""
    try:
        pid = int(pid_file.read_text())
    except (OSError, ValueError):
        return None
    return pid if _mentions(pid, RUN) else None


def _mentions(pid: int, path: Path) -> bool:
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return str(path).encode() in arguments


def _runs(pid: int) -> bool:
    """Whether a process runs; one that ended and was not waited for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    if state == "Z":
        _reap(pid)
        return False
    return True


def _reap(pid: int) -> None:
    """Wait for an ended child; others' children are theirs to wait for."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)

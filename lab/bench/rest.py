"""What an idle node uses, and how long it takes to become healthy after a power cut."""

from __future__ import annotations

import os
import time
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

from lab import daemons, processes, status
from lab.bench.places import Lab
from lab.machine import LabError
from lab.places import Node

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_MIB: Final = 1024 * 1024
_BOOT_SECONDS: Final = 600


def measure(lab: Lab, seconds: int) -> list[str]:
    """A table by node: memory and CPU time of the containers, and of Docker and its shims."""
    before = {name: _used(node) for name, node in lab.nodes.items()}
    time.sleep(seconds)
    lines = [
        "| node | containers | their memory, MiB | their processor time, s a minute | Docker's memory, MiB "
        "| Docker's processor time, s a minute |",
        "|---|---|---|---|---|---|",
    ]
    for name, node in lab.nodes.items():
        inside, outside = ((now - was) * 60 / seconds for now, was in zip(_used(node), before[name], strict=True))
        running = sum(state["State"]["Running"] for state in status.containers(node))
        lines.append(
            f"| {name} | {running} | {_held(processes.in_cgroup(daemons.cgroup(node)))} | {inside:.1f} "
            f"| {_held(_docker(node))} | {outside:.1f} |"
        )
    return [
        *lines,
        "",
        f"Over {seconds} s. Memory is the proportional share: pages that processes share are divided among them.",
    ]


def boot(lab: Lab) -> list[str]:
    """A table by node: seconds from the start of its daemons until Docker answers and until all is healthy."""
    lines = ["| node | Docker answers after, s | all healthy after, s |", "|---|---|---|"]
    for name, node in lab.nodes.items():
        daemons.crash(node)
        started = time.time()
        daemons.boot(node)
        answered = time.time() - started
        if not processes.wait_until(partial(_well, node, started), _BOOT_SECONDS, every=1):
            raise LabError(f"{name} did not get healthy: {', '.join(status.unhealthy(node))}")
        lines.append(f"| {name} | {answered:.0f} | {time.time() - started:.0f} |")
    return lines


def _well(node: Node, since: float) -> bool:
    """Whether all containers are healthy by probes that ended after `since`; until then Docker shows older results."""
    for state in status.containers(node):
        probes = state["State"].get("Health", {}).get("Log") or []
        if probes and datetime.fromisoformat(probes[-1]["End"]).timestamp() < since:
            return False
    return not status.unhealthy(node)


def _used(node: Node) -> tuple[float, float]:
    """Seconds of CPU time so far: of the containers, of Docker and its shims."""
    for folder in processes.cgroup_folders(daemons.cgroup(node)):
        if (folder / "cpu.stat").exists() and "usage_usec" in (text := (folder / "cpu.stat").read_text()):
            inside = int(text.partition("usage_usec ")[2].split()[0]) / 1e6
            break
        if (folder / "cpuacct.usage").exists():
            inside = int((folder / "cpuacct.usage").read_text()) / 1e9
            break
    else:
        raise LabError(f"{node.name} has no cgroup that counts processor time")
    return inside, sum(_processor_seconds(pid) for pid in _docker(node))


def _docker(node: Node) -> list[int]:
    inside = set(processes.in_cgroup(daemons.cgroup(node)))
    return [pid for pid in processes.mentioning(node.run) if pid not in inside]


def _processor_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _held(pids: list[int]) -> int:
    """MiB, each process' proportional share."""
    total = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total * 1024 // _MIB

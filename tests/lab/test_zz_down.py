"""`lab down` leaves nothing, and a lab that was killed half-way is cleared up by the next start.

They need the machine without a lab, and are skipped where one is up: `make lab-down`, then
`pytest tests/lab/test_zz_down.py`. Images are built first where the lab's folder has none.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.root import CHECKOUT
from lab import daemons, nodes, processes, status
from lab.machine import LabError, check_machine, run
from lab.places import RUN, Node
from lab.places import nodes as nodes_of
from tests.lab.conftest import FOLDER

pytestmark = [pytest.mark.lab, pytest.mark.engine, pytest.mark.rehearsal]

NAME = "thanos"
"""Its stack needs no other."""
START = 1200
"""Seconds for a start that may have to build images first."""


def lab(*words: str, seconds: float = START) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*words), cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=seconds)


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "lab", "--folder", str(FOLDER), *words]


@pytest.fixture
def bare(pulumi: Path) -> Iterator[set[str]]:
    """A machine without a lab, and what is there of it all the same."""
    try:
        check_machine()
        with nodes.locked():
            pass
    except LabError as lack:
        pytest.skip(str(lack))
    if RUN.exists() or any(daemons.answers(node) for node in nodes_of(FOLDER)):
        pytest.skip("a lab is up; `make lab-down` takes it down")
    try:
        yield traces()
    finally:
        done = lab("down")
        assert done.returncode == 0, done.stderr


def traces() -> set[str]:
    """Everything on this machine that a lab may leave: a line for each thing."""
    found = {f"namespace {item['name']}" for item in json.loads(run("ip", "-json", "netns", "list") or "[]")}
    found |= {f"interface {item['ifname']}" for item in json.loads(run("ip", "-json", "link", "show"))}
    found |= {f"route {line}" for line in run("ip", "route", "show").splitlines()}
    found |= {f"rule {line}" for line in run("iptables-save").splitlines() if line.startswith("-")}
    mounts = (line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines())
    found |= {f"mount {path}" for path in mounts if Path(path).is_relative_to(RUN) or Path(path).is_relative_to(FOLDER)}
    found |= {f"process {line}" for line in map(words_of, pids()) if line}
    for node in nodes_of(FOLDER):
        found |= {f"cgroup {folder}" for folder in processes.cgroup_folders(daemons.cgroup(node))}
        found |= {f"file {path}" for path in left_by(node)}
    found |= {f"file {path}" for path in (RUN, FOLDER / "stacks", FOLDER / "tailnet.json") if path.exists()}
    return found


def pids() -> list[int]:
    """Processes that name a folder of the lab."""
    return [*processes.mentioning(RUN), *processes.mentioning(FOLDER)]


def words_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def left_by(node: Node) -> Iterator[Path]:
    """What belongs to containers; images and their layers are a cache and stay."""
    for name in ("containers", "volumes", "network"):
        yield from (node.docker_root / name).glob("*")
    yield from (path for path in node.data_root.glob("*") if path != node.docker_root)


def test_down_leaves_nothing(bare: set[str]) -> None:
    up = lab("up", NAME)
    assert up.returncode == 0, up.stderr
    (node,) = (node for node in nodes_of(FOLDER) if node.name == NAME)
    assert status.containers(node)
    assert status.unhealthy(node) == []
    assert traces() > bare

    down = lab("down", seconds=180)
    assert (down.returncode, down.stderr) == (0, "")
    assert traces() - bare == set()
    # Once more is nothing wrong.
    assert lab("down", seconds=60).returncode == 0


@pytest.mark.parametrize("at", ["while it starts", "while it deploys"])
def test_a_lab_that_was_killed_is_cleared_up_by_the_next_start(bare: set[str], at: str) -> None:
    (node,) = (node for node in nodes_of(FOLDER) if node.name == NAME)

    def reached() -> bool:
        if at == "while it starts":
            return node.run.exists()
        return daemons.answers(node) and len(status.containers(node)) > 10

    started = subprocess.Popen(
        command("up", NAME), cwd=CHECKOUT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        assert processes.wait_until(lambda: reached() or started.poll() is not None, START, every=0.2)
        assert started.poll() is None, "it ended before it could be killed"
    finally:
        # The command, the engine and the providers; and a daemon, as where memory ran out.
        os.killpg(started.pid, signal.SIGKILL)
        started.wait()
    daemons_pid = node.run / "dockerd.pid"
    if daemons_pid.exists():
        processes.kill([int(daemons_pid.read_text())])

    again = lab("up", NAME)
    assert again.returncode == 0, again.stderr
    assert status.unhealthy(node) == []
    known = json.loads(
        (FOLDER / "stacks" / "state" / ".pulumi" / "stacks" / "agentic-mesh" / f"{NAME}.json").read_text()
    )
    ids = {resource.get("id") for resource in known["checkpoint"]["latest"]["resources"]}
    assert {state["Name"] for state in status.containers(node) if state["Id"] not in ids} == set()


def test_a_lab_whose_state_is_gone_is_cleared_up_by_the_next_start(bare: set[str]) -> None:
    """As where `down` was killed half-way: containers are there, and nobody knows of them any more."""
    up = lab("up", NAME)
    assert up.returncode == 0, up.stderr
    (node,) = (node for node in nodes_of(FOLDER) if node.name == NAME)
    old = {state["Id"] for state in status.containers(node)}
    run("rm", "-r", str(FOLDER / "stacks"))

    again = lab("up", NAME)
    assert again.returncode == 0, again.stderr
    assert "clearing away what a killed lab left" in again.stderr
    assert old.isdisjoint(state["Id"] for state in status.containers(node))
    assert status.unhealthy(node) == []

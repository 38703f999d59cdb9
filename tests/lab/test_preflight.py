"""A host that lacks something stops the deploy early, by name and with the fix, before anything is touched."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from engine.outcome import Outcome
from engine.root import CHECKOUT
from lab import daemons, link, processes
from lab.docker_containers import asking_file
from render.preflight import LEAST_FREE_GIB
from tests.lab.mesh import PREFIX, Mesh

pytestmark = [pytest.mark.lab, pytest.mark.engine, pytest.mark.rehearsal]

NODE = "thanos"
PROBES = ("host", "sysctl", "gvisor", "gpu")
GIB = 1024**3
EARLY = 180
"""Seconds within which the deploy has to say what is missing; a probe is waited for 60 s."""
NO_DRIVER = (
    "nvidia-container-cli: initialization error: load library failed: libnvidia-ml.so.1: "
    "cannot open shared object file: no such file or directory"
)
"""What NVIDIA's toolkit says where the driver is not installed."""


@pytest.fixture
def first_day(mesh: Mesh) -> Iterator[Mesh]:
    """A node on which no probe has looked yet; afterwards one that lacks nothing, and has everything deployed."""
    node = mesh.node(NODE)
    settings = {key: mesh.setting(NODE, key) for key in ("allowUnencryptedData", "hostCpus")}
    for probe in PROBES:
        mesh.docker(NODE).remove_container(f"{PREFIX}-preflight-{probe}", force=True)
    mesh.operate("refresh", NODE)
    try:
        yield mesh
    finally:
        link.bind_early(node)
        link.give_address(node)
        mesh.configure(NODE, **settings)
        if daemons.host_programs(node).exists() or not knows_gvisor(mesh):
            for program in daemons.host_programs(node).glob("*"):
                program.unlink()
            daemons.restart_docker(node)
        asking_file(mesh.session.folder, node.host).unlink(missing_ok=True)
        with mesh.fixing(NODE):
            mesh.up(NODE)


def knows_gvisor(mesh: Mesh) -> bool:
    return "runsc" in mesh.docker(NODE).info()["Runtimes"]


@contextlib.contextmanager
def full_disk(mesh: Mesh) -> Iterator[None]:
    """Less free space below the data root than the preflight wants."""
    ballast = mesh.node(NODE).folder / "ballast"
    fs = os.statvfs(ballast.parent)
    try:
        with ballast.open("wb") as file:
            wanted = fs.f_bavail * fs.f_frsize - LEAST_FREE_GIB * GIB + GIB // 2
            if wanted > 0:
                os.posix_fallocate(file.fileno(), 0, wanted)
        yield
    finally:
        ballast.unlink()


@contextlib.contextmanager
def without_toolkit(mesh: Mesh) -> Iterator[None]:
    """Docker is asked for the card as on a real host, and here it has nobody who could give it."""
    asking = asking_file(mesh.session.folder, mesh.node(NODE).host)
    asking.touch()
    yield
    asking.unlink()


@contextlib.contextmanager
def without_driver(mesh: Mesh) -> Iterator[None]:
    """A stand-in of the toolkit, which Docker knows by the program that it calls; it says what the real one says."""
    node = mesh.node(NODE)
    programs = daemons.host_programs(node)
    programs.mkdir(exist_ok=True)
    hook = programs / "nvidia-container-runtime-hook"
    hook.write_text(f'#!/bin/sh\necho "{NO_DRIVER}" >&2\nexit 1\n')
    hook.chmod(0o755)
    daemons.restart_docker(node)
    with without_toolkit(mesh):
        yield


def refused(mesh: Mesh) -> dict[str, str]:
    """What a deploy says that fails in the preflight alone, by probe; nothing else was made, changed or restarted."""
    before = untouched(mesh)
    outcome: Outcome = mesh.stacks.operate("up", NODE)
    print(f"lab: refused after {outcome.seconds:.0f} s: {outcome.errors}")
    assert not outcome.passed
    assert outcome.seconds < EARLY
    said = dict(error.split(": ", 1) for error in outcome.errors)
    begin = f"{NODE}-preflight-"
    assert all(resource.startswith(begin) for resource in said), outcome.errors
    assert untouched(mesh) == before
    assert not {name for names in mesh.unhealthy().values() for name in names if "preflight" not in name}
    return {resource.removeprefix(begin): error for resource, error in said.items()}


def untouched(mesh: Mesh) -> dict[tuple[str, str], tuple[str, str]]:
    """Id and start of every container but the probes, on both nodes."""
    return {
        (node, name): identity
        for node in mesh.names()
        for name, identity in mesh.identities(node).items()
        if "-preflight-" not in name
    }


def log(mesh: Mesh) -> str:
    return bytes(mesh.docker(NODE).logs(f"{PREFIX}-preflight-host")).decode()


def diagnosis(mesh: Mesh) -> str:
    """What a person sees who asks why."""
    command = [sys.executable, "-m", "scripts.diagnose", "--stack", NODE, "--host", mesh.node(NODE).host]
    result = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=120)
    assert result.returncode == 1
    return result.stdout


def test_everything_that_the_host_itself_lacks_is_said_at_once(first_day: Mesh) -> None:
    """LUKS, CPUs, disk, address, gVisor and toolkit in one deploy; one more without a fix is no way past it."""
    mesh = first_day
    node = mesh.node(NODE)
    many = (os.cpu_count() or 1) + 1
    mesh.configure(NODE, allowUnencryptedData=False, hostCpus=many)
    link.take_address(node)
    daemons.restart_docker(node, gvisor=False)
    assert not knows_gvisor(mesh)
    fixes = {
        f"the data root {node.data_root} is not on a LUKS volume": "scripts/prepare-node.sh --data-device DEVICE",
        "Docker keeps its data outside the encrypted volume": f"set data-root to {node.data_root}/docker in",
        f"the host has {many - 1} CPUs, the services count on {many}": (
            f"pulumi config set agentic-mesh:hostCpus {many - 1} --stack {NODE}"
        ),
        f"only {LEAST_FREE_GIB - 1} GiB free in {node.data_root}": f"free space: {LEAST_FREE_GIB} GiB at least",
        f"the host does not answer at its tailnet address {node.address}": "docs/runbooks/first-day.md, step 4",
    }
    with full_disk(mesh), without_toolkit(mesh):
        for _ in range(2):
            said = refused(mesh)
            assert said.keys() == {"host", "gvisor", "gpu"}
            assert "container failed to be in healthy state" in said["host"]
            assert "runsc" in said["gvisor"]
            assert 'could not select device driver "nvidia" with capabilities: [[gpu utility]]' in said["gpu"]
            findings = found(mesh)
            assert findings.keys() == fixes.keys()
            assert all(fixes[missing] in fix for missing, fix in findings.items())
        report = diagnosis(mesh)
        for missing, fix in findings.items():
            assert f"MISSING: {missing}" in report
            assert f"fix: {fix}" in report


def found(mesh: Mesh) -> dict[str, str]:
    """What the host probe found missing, and its fixes."""
    lines = log(mesh).splitlines()
    return {
        missing.removeprefix("MISSING: "): fix.removeprefix("  fix: ")
        for missing, fix in zip(lines[::2], lines[1::2], strict=True)
    }


def test_a_finding_that_is_fixed_while_the_deploy_waits_lets_it_go_on(first_day: Mesh) -> None:
    mesh = first_day
    node = mesh.node(NODE)
    link.take_address(node)
    process = mesh.stacks.process("up", NODE)
    try:
        assert processes.wait_until(lambda: "MISSING: " in written(mesh), 60, every=1), "the probe says nothing"
    finally:
        link.give_address(node)
    output, errors = process.communicate(timeout=EARLY)
    assert '"errors": []' in output, (output, errors)
    assert written(mesh).splitlines()[-1] == "nothing is missing any more"


def written(mesh: Mesh) -> str:
    """The host probe's log, once there is one."""
    there = f"{PREFIX}-preflight-host" in mesh.containers(NODE)
    return log(mesh) if there else ""


def test_a_host_that_cannot_bind_early_and_has_no_driver(first_day: Mesh) -> None:
    mesh = first_day
    link.bind_early(mesh.node(NODE), possible=False)
    with without_driver(mesh):
        said = refused(mesh)
    assert said.keys() == {"sysctl", "gpu"}
    assert "cannot assign requested address" in said["sysctl"]
    assert "libnvidia-ml.so.1: cannot open shared object file" in said["gpu"]

"""The Docker of the nodes: Debian 13's, apart from this machine, set up as a prepared host's."""

import os
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from lab import docker_root
from lab.places import Node
from lab.session import Session
from topology.images import IMAGES

pytestmark = [pytest.mark.lab, pytest.mark.engine]


@pytest.fixture
def client(lab_nodes: tuple[Node, ...]) -> Iterator[docker.DockerClient]:
    client = docker.DockerClient(base_url=lab_nodes[0].host)
    yield client
    client.close()


@pytest.fixture
def image(session: Session) -> str:
    return session.images[IMAGES["busybox"].reference]


def test_its_programs_and_mounts_are_its_own(lab_nodes: tuple[Node, ...], client: docker.DockerClient) -> None:
    assert int(client.version()["Version"].partition(".")[0]) >= 26
    for node in lab_nodes:
        for daemon in ("containerd", "dockerd"):
            root = Path("/proc") / (node.run / f"{daemon}.pid").read_text().strip() / "root"
            assert os.path.samestat((root / "usr").stat(), docker_root.install(node.folder).stat())
    # Without the daemons nobody has to unmount anything.
    folder = lab_nodes[0].folder
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    assert not [point for point in points if Path(point).is_relative_to(folder)]


def test_gvisor_is_set_up_as_on_a_prepared_host(client: docker.DockerClient, image: str) -> None:
    """By no argument: with its default platform, cgroups and its own network stack."""
    runtime = client.info()["Runtimes"]["runsc"]
    assert (runtime["path"], runtime.get("runtimeArgs")) == ("/usr/bin/runsc", None)
    started = client.containers.run(image, ["sleep", "600"], runtime="runsc", detach=True, mem_limit="64m")
    try:
        assert b"gVisor" in started.exec_run(["dmesg"]).output
        # Linux has 65536.
        assert b"mtu 65522" in started.exec_run(["ip", "address", "show", "lo"]).output
    finally:
        started.remove(force=True)


def test_a_tmpfs_has_the_mode_that_was_asked_for_at_every_start(client: docker.DockerClient, image: str) -> None:
    """runc before 1.1.8 made the folder at the first start, and gave the tmpfs its mode at the second."""
    command = ["sleep", "600"]
    started = client.containers.run(image, command, tmpfs={"/made/here": "mode=1777,size=1m"}, detach=True)
    try:
        for _ in range(2):
            assert started.exec_run(["stat", "-c", "%a", "/made/here"]).output == b"1777\n"
            started.restart(timeout=0)
    finally:
        started.remove(force=True)

"""The node exporter is told to measure the host, and each disk of it once."""

import re

import pytest

from tests.unit.program import Program


def arguments(program: Program) -> dict[str, str]:
    words = program.app("node-exporter").inputs["command"]
    return {name: value for name, _, value in (word.partition("=") for word in words)}


def test_the_network_is_that_of_the_host_s_first_process(program: Program) -> None:
    assert arguments(program)["--path.procfs"] == "/tmp/proc"
    start = program.app("node-exporter").inputs["entrypoints"]
    assert "ln -sfn /host/proc/1/net net" in start[2]
    # By netlink it would ask its own container's network.
    assert "--no-collector.netdev.netlink" in arguments(program)


def test_the_root_file_system_is_the_host_s_and_is_only_read(program: Program) -> None:
    told, inputs = arguments(program), program.app("node-exporter").inputs
    assert (told["--path.rootfs"], told["--path.sysfs"]) == ("/host", "/host/sys")
    [mount] = [volume for volume in inputs["volumes"] if volume.get("hostPath")]
    assert (mount["hostPath"], mount["containerPath"], mount["readOnly"]) == ("/", "/host", True)
    assert (inputs["user"], inputs["capabilities"]) == ("65534:65534", {"drops": ["ALL"]})


def test_the_host_s_sockets_are_hidden(program: Program) -> None:
    # Connecting to a socket needs no writable mount, and some of /run are open to every user of the host.
    assert "/host/run" in program.app("node-exporter").inputs["tmpfs"]


@pytest.mark.parametrize(
    ("mount", "counted"),
    [
        ("/", True),
        ("/srv/agentic-mesh", True),
        ("/boot/efi", True),
        ("/runtime", True),
        ("/run/user/1000", False),
        ("/var/lib/docker/overlay2/x/merged", False),
        ("/srv/agentic-mesh/docker/containers/x/mounts/shm", False),
        ("/srv/agentic-mesh/docker/volumes/agentic-mesh-redis-data/_data", False),
    ],
)
def test_a_disk_counts_once(program: Program, mount: str, counted: bool) -> None:
    excluded = arguments(program)["--collector.filesystem.mount-points-exclude"]
    assert (re.match(excluded, mount) is None) is counted

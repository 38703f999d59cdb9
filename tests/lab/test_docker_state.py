"""The lab's docker provider compares as the real one does, without any Docker.

What differs was asked of the real provider (kreuzwerker/terraform-provider-docker 4.5.0) with the same values.
"""

from typing import Any, Final

import pytest

from lab.docker_containers import Container
from lab.docker_schema import CONTAINER, NETWORK, VOLUME
from lab.docker_state import container_state, network_state, volume_state

HEALTH: Final = {"tests": ["CMD", "a", "b"], "interval": "5s", "timeout": "3s", "startPeriod": "2m0s", "retries": 3.0}
ASKED: Final[dict[str, Any]] = {
    "capabilities": {"drops": ["ALL"]},
    "command": ["sleep", "1000"],
    "cpus": "0.5",
    "dns": ["127.0.0.1"],
    "healthcheck": HEALTH,
    "hosts": [{"host": "b", "ip": "10.0.0.3"}],
    "image": "sha256:1",
    "init": True,
    "labels": [{"label": "a", "value": "1"}, {"label": "b", "value": "2"}],
    "logDriver": "json-file",
    "logOpts": {"max-size": "10m"},
    "memory": 32.0,
    "memorySwap": 32.0,
    "name": "app",
    "restart": "unless-stopped",
    "securityOpts": ["no-new-privileges=true"],
    "sysctls": {"net.ipv4.ip_forward": "0"},
    "tmpfs": {"/tmp": "rw"},
    "ulimits": [{"name": "nproc", "soft": 512.0, "hard": 512.0}],
    "user": "1000:1000",
}
INSPECTED: Final[dict[str, Any]] = {
    "Name": "/app",
    "Image": "sha256:1",
    "Platform": "linux",
    "State": {"Running": True, "ExitCode": 0},
    "Config": {
        "Cmd": ["sleep", "1000"],
        "Entrypoint": None,
        "Hostname": "0123456789ab",
        "Image": "sha256:1",
        "User": "1000:1000",
        "WorkingDir": "/srv",
        "Healthcheck": {
            "Test": ["CMD", "a", "b"],
            "Interval": 5 * 10**9,
            "Timeout": 3 * 10**9,
            "StartPeriod": 120 * 10**9,
            "Retries": 3,
        },
    },
    "HostConfig": {
        "CapAdd": None,
        "CapDrop": ["ALL"],
        "Dns": ["127.0.0.1"],
        "ExtraHosts": ["b:10.0.0.3"],
        "Init": True,
        "IpcMode": "private",
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m"}},
        "Memory": 32 << 20,
        "MemorySwap": 32 << 20,
        "MemoryReservation": 0,
        "NanoCpus": 500_000_000,
        "NetworkMode": "bridge",
        "RestartPolicy": {"Name": "unless-stopped", "MaximumRetryCount": 0},
        "Runtime": "runc",
        "SecurityOpt": ["no-new-privileges=true"],
        "ShmSize": 64 << 20,
        "Sysctls": {"net.ipv4.ip_forward": "0"},
        "Tmpfs": {"/tmp": "rw"},
        "Ulimits": [{"Name": "nproc", "Soft": 512, "Hard": 512}],
    },
    "NetworkSettings": {"Networks": {}, "Ports": {}},
}


def state(given: dict[str, Any] = ASKED) -> dict[str, Any]:
    return {**given, **container_state(INSPECTED, given)}


def test_the_right_forms_are_no_change() -> None:
    assert list(CONTAINER.changes(state(), ASKED)) == []


@pytest.mark.parametrize(
    ("news", "changed", "replaces"),
    [
        ({"memory": 48.0, "memorySwap": 48.0}, ["memory", "memorySwap"], []),
        ({"memory": None, "memorySwap": None}, ["memory", "memorySwap"], []),
        ({"memorySwap": None}, ["memorySwap"], []),
        ({"cpus": "0.50"}, ["cpus"], ["cpus"]),
        ({"healthcheck": {**HEALTH, "startPeriod": "120s"}}, ["healthcheck"], []),
        ({"healthcheck": {**HEALTH, "tests": ["CMD", "b", "a"]}}, ["healthcheck"], []),
        ({"labels": [{"label": "b", "value": "2"}, {"value": "1", "label": "a"}]}, [], []),
        ({"labels": [{"label": "a", "value": "2"}]}, ["labels"], ["labels"]),
        ({"command": ["1000", "sleep"]}, ["command"], ["command"]),
        ({"tmpfs": {"/tmp": "rw,size=2m"}}, ["tmpfs"], []),
        ({"dns": None}, ["dns"], ["dns"]),
        ({"ulimits": None}, ["ulimits"], ["ulimits"]),
        ({"capabilities": None}, ["capabilities"], ["capabilities"]),
        ({"logOpts": None}, ["logOpts"], ["logOpts"]),
        ({"restart": None}, ["restart"], []),
        ({"waitTimeout": 60.0}, [], []),
        ({"waitTimeout": 61.0}, ["waitTimeout"], []),
        ({"networkMode": "none"}, ["networkMode"], ["networkMode"]),
        ({"memoryReservation": 16.0}, ["memoryReservation"], []),
        # Computed, or a suppressed difference: taking them away changes nothing.
        ({"command": None}, [], []),
        ({"healthcheck": None}, [], []),
        ({"init": None}, [], []),
        ({"securityOpts": None}, [], []),
        ({"user": None}, [], []),
        ({"labels": None}, [], []),
        ({"runtime": "runc"}, [], []),
    ],
    ids=repr,
)
def test_one_change(news: dict[str, Any], changed: list[str], replaces: list[str]) -> None:
    wanted = {key: value for key, value in {**ASKED, **news}.items() if value is not None}
    found = Container().changes(ASKED, wanted, state())
    assert found == changed
    assert [name for name in found if name not in Container.in_place] == replaces


def test_a_set_is_taken_from_the_plan_and_seen_by_the_first_refresh() -> None:
    given = {**ASKED, "capabilities": {"drops": ["all"]}}
    read = container_state(INSPECTED, given)
    assert "capabilities" not in CONTAINER.after_create(given, read)
    assert list(CONTAINER.changes({**given, **read}, given)) == ["capabilities"]


def test_networks_and_volumes() -> None:
    inspected = {
        "Name": "n",
        "Labels": {"a": "b"},
        "Driver": "bridge",
        "Internal": False,
        "Attachable": False,
        "Ingress": False,
        "EnableIPv6": False,
        "Scope": "local",
        "Options": {},
        "IPAM": {"Driver": "default", "Options": None, "Config": [{"Subnet": "10.0.0.0/24", "Gateway": "10.0.0.1"}]},
    }
    asked = {"name": "n", "labels": [{"label": "a", "value": "b"}]}
    with_gateway = {**asked, "ipamConfigs": [{"subnet": "10.0.0.0/24", "gateway": "10.0.0.1"}]}
    found = network_state(inspected)
    assert list(NETWORK.changes(found, asked)) == []
    assert list(NETWORK.changes(found, with_gateway)) == []
    # Docker 29 shows the gateway that it chose.
    assert list(NETWORK.changes(found, {**asked, "ipamConfigs": [{"subnet": "10.0.0.0/24"}]})) == ["ipamConfigs"]

    options = {"type": "none", "o": "bind", "device": "/srv"}
    there = volume_state({"Name": "v", "Labels": None, "Driver": "local", "Options": options, "Mountpoint": "/m"})
    assert list(VOLUME.changes(there, {"name": "v", "driverOpts": options})) == []
    assert list(VOLUME.changes(there, {"name": "v"})) == ["driverOpts"]

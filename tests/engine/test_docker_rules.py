from typing import Any

import pytest

from engine.docker_rules import docker_failures
from engine.wire import UNKNOWN

HEALTH = {"tests": ["CMD", "true"], "interval": "5s", "timeout": "3s", "retries": 3, "startPeriod": "1m30s"}


def container(**values: Any) -> dict[str, str]:
    inputs = {"image": "busybox:1", "name": "app"} | values
    return {f.property: f.reason for f in docker_failures("docker:index/container:Container", inputs)}


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"name": UNKNOWN, "uploads": UNKNOWN, "wait": UNKNOWN, "memory": UNKNOWN},
        {"readOnly": True},
        {"uploads": [{"file": "/config/a", "content": UNKNOWN}], "start": False, "mustRun": False},
        {"wait": True, "healthcheck": HEALTH},
        {"memory": 512, "memorySwap": 512, "restart": "unless-stopped"},
        {"memory": 512, "memorySwap": -1},
        {"volumes": [{"volumeName": "data", "containerPath": "/data"}, {"hostPath": "/srv", "containerPath": "/srv"}]},
        {"networksAdvanced": [{"name": "mesh", "ipv4Address": "10.231.0.2"}]},
        {"ports": [{"internal": 8000, "external": 8000, "ip": "100.64.1.1"}]},
        {"hosts": [{"host": "qdrant", "ip": "10.231.0.3"}, {"host": "host", "ip": "host-gateway"}]},
    ],
)
def test_what_docker_takes_passes(values: dict[str, Any]) -> None:
    assert container(**values) == {}


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ({"name": "a"}, "name"),
        ({"name": "an app"}, "name"),
        ({"readOnly": True, "uploads": [{"file": "/a", "content": "b"}]}, "uploads"),
        ({"uploads": [{"file": "/a", "content": "b", "source": "c"}]}, "uploads[0]"),
        ({"wait": True}, "wait"),
        ({"wait": True, "healthcheck": HEALTH, "start": False, "mustRun": False}, "wait"),
        ({"start": False}, "mustRun"),
        ({"healthcheck": HEALTH | {"tests": ["curl", "-f", "/"]}}, "healthcheck.tests"),
        ({"healthcheck": HEALTH | {"tests": []}}, "healthcheck.tests"),
        ({"healthcheck": HEALTH | {"interval": "5 seconds"}}, "healthcheck.interval"),
        ({"memory": 4, "memorySwap": 4}, "memory"),
        ({"memory": 512, "memorySwap": 256}, "memorySwap"),
        ({"restart": "sometimes"}, "restart"),
        ({"command": ["sh", ""]}, "command"),
        ({"volumes": [{"volumeName": "data", "containerPath": "data"}]}, "volumes[0].containerPath"),
        ({"mounts": [{"target": "/data", "type": "folder"}]}, "mounts[0].type"),
        ({"networksAdvanced": [{"name": "mesh", "ipv4Address": "10.231.0"}]}, "networksAdvanced[0].ipv4Address"),
        ({"ports": [{"internal": 80, "ip": "tailnet"}]}, "ports[0].ip"),
        ({"ports": [{"internal": 80, "external": 70000}]}, "ports[0].external"),
        ({"hosts": [{"host": "qdrant", "ip": "qdrant"}]}, "hosts[0].ip"),
    ],
)
def test_what_docker_refuses_is_named(values: dict[str, Any], where: str) -> None:
    assert list(container(**values)) == [where]


def network(more: dict[str, Any] | None = None, **config: Any) -> list[str]:
    inputs = {"ipamConfigs": [config], **(more or {})}
    return [f.property for f in docker_failures("docker:index/network:Network", inputs)]


def test_networks() -> None:
    assert network(subnet="10.231.0.0/29", gateway="10.231.0.1") == []
    assert network(subnet="10.231.0.1/29") == ["ipamConfigs[0].subnet"]
    assert network(subnet="10.231.0.0/29", gateway="10.231.1.1") == ["ipamConfigs[0].gateway"]


def test_a_network_is_read_back_with_the_router_that_docker_chose() -> None:
    inhibit = {"com.docker.network.bridge.inhibit_ipv4": "true"}
    assert network(subnet="10.231.0.0/29") == ["ipamConfigs[0].gateway"]
    assert network({"internal": True}, subnet="10.231.0.0/29") == ["ipamConfigs[0].gateway"]
    # That one has none.
    assert network({"internal": True, "options": inhibit}, subnet="10.231.0.0/29") == []
    assert network(subnet="fd00:0::/64", gateway="fd00::1") == ["ipamConfigs[0].subnet"]


def test_volume_names_follow_the_daemon() -> None:
    assert [f.property for f in docker_failures("docker:index/volume:Volume", {"name": "v"})] == ["name"]


def test_a_build_needs_its_files(tmp_path: Any) -> None:
    def build(context: str) -> list[str]:
        return [f.property for f in docker_failures("docker:index/image:Image", {"build": {"context": context}})]

    assert build(f"{tmp_path}/nothing") == ["build.context"]
    assert build(str(tmp_path)) == ["build.dockerfile"]
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    assert build(str(tmp_path)) == []

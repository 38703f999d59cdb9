"""What the lab's Docker provider finds changed right after a creation, and after a refresh.

The right-hand side is what the real provider found: pulumi-docker 5.1 on kreuzwerker/terraform-provider-docker 4.5.0,
asked the same over its protocol (Create, Diff, Read, Diff) on Docker 20.10, 2026-11-28.
"""

from collections.abc import Iterator
from typing import Any, Final

import docker
import pytest

from lab.docker_containers import Container
from lab.docker_provider import Network
from lab.places import Node
from lab.provider import Resource, Values
from lab.session import Session
from topology.images import IMAGES

pytestmark = [pytest.mark.lab]

NAME: Final = "lab-read-back"
HEALTH: Final = {"tests": ["CMD", "true"], "interval": "5s", "timeout": "3s", "startPeriod": "2m0s", "retries": 3}
WITH_CHECK: Final = "lab-read-back:health"
"""An image with a health check of its own."""
USUAL: Final = {
    "capabilities": {"drops": ["ALL"]},
    "cpus": "0.5",
    "dns": ["127.0.0.1"],
    "healthcheck": HEALTH,
    "hosts": [{"host": "b", "ip": "10.0.0.3"}, {"host": "a", "ip": "10.0.0.4"}],
    "init": True,
    "logDriver": "json-file",
    "logOpts": {"max-size": "10m", "max-file": "3"},
    "memory": 32.0,
    "memorySwap": 32.0,
    "mustRun": True,
    "readOnly": True,
    "restart": "unless-stopped",
    "securityOpts": ["no-new-privileges=true"],
    "sysctls": {"net.ipv4.ip_forward": "0"},
    "tmpfs": {"/tmp": "rw,nosuid,nodev,noexec,mode=1777,size=1m"},
    "ulimits": [{"name": "nproc", "soft": 512.0, "hard": 512.0}, {"name": "nofile", "soft": 1024.0, "hard": 1024.0}],
    "user": "1000:1000",
}


@pytest.fixture
def config(session: Session, lab_nodes: tuple[Node, ...]) -> Iterator[Values]:
    client = docker.APIClient(base_url=lab_nodes[0].host)
    yield {"host": lab_nodes[0].host, "folder": str(session.folder), "images": dict(session.images)}
    for container in client.containers(all=True, filters={"name": NAME}):
        client.remove_container(container["Id"], force=True)
    for network in client.networks(names=[NAME]):
        client.remove_network(network["Id"])
    client.close()


@pytest.fixture
def image(config: Values) -> str:
    client = docker.APIClient(base_url=config["host"])
    identifier = str(client.inspect_image(config["images"][IMAGES["busybox"].reference])["Id"])
    client.close()
    return identifier


def found(resource: Resource, config: Values, inputs: Values) -> tuple[list[str], list[str]]:
    """The properties that differ after the creation, and after a refresh."""
    identifier, outputs = resource.create(config, inputs)
    state = {**inputs, **outputs}
    first = resource.changes(inputs, inputs, state)
    seen = resource.read(config, identifier, dict(inputs), state)
    assert seen
    return first, resource.changes(seen[0], inputs, {**state, **seen[1]})


NOTHING: Final[tuple[list[str], list[str]]] = ([], [])


def both(*names: str) -> tuple[list[str], list[str]]:
    return list(names), list(names)


def refreshed(name: str) -> tuple[list[str], list[str]]:
    """A set is taken from the plan when it is made."""
    return [], [name]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, NOTHING),
        (USUAL, NOTHING),
        ({"start": False, "mustRun": False, "networkMode": "none", "memory": 16.0, "memorySwap": 16.0}, NOTHING),
        ({"cpus": "2"}, both("cpus")),
        ({"cpus": "2.0"}, NOTHING),
        ({"cpus": "0.05"}, both("cpus")),
        ({"memory": 16.0}, both("memorySwap")),
        ({"memory": 16.0, "memorySwap": -1.0}, NOTHING),
        ({"healthcheck": {**HEALTH, "startPeriod": "120s"}}, both("healthcheck")),
        ({"healthcheck": {"tests": ["NONE"]}}, NOTHING),
        ({"capabilities": {"drops": ["all"], "adds": ["chown"]}}, refreshed("capabilities")),
        ({"platform": "linux/amd64"}, both("platform")),
        ({"securityOpts": ["no-new-privileges=true"], "pidMode": "host"}, refreshed("securityOpts")),
        ({"securityOpts": ["no-new-privileges=true", "label=disable"], "pidMode": "host"}, NOTHING),
        ({"securityOpts": ["systempaths=unconfined"]}, refreshed("securityOpts")),
        ({"hosts": [{"host": "b", "ip": "fd00::1"}]}, refreshed("hosts")),
        ({"ports": [{"internal": 90.0, "external": 9090.0, "ip": "127.0.0.1", "protocol": "UDP"}]}, both("ports")),
        ({"ports": [{"internal": 90.0}]}, NOTHING),
        (
            {
                "ports": [
                    {"internal": 90.0, "external": 9090.0, "ip": "127.0.0.1"},
                    {"internal": 80.0, "external": 9091.0, "ip": "127.0.0.1"},
                ]
            },
            NOTHING,
        ),
        ({"stopTimeout": 0.0}, NOTHING),
        ({"stopTimeout": 20.0, "stopSignal": "SIGINT"}, NOTHING),
        ({"workingDir": "/tmp/"}, both("workingDir")),
        ({"shmSize": 0.0}, both("shmSize")),
        ({"shmSize": 128.0}, NOTHING),
        # The daemon adds what its own settings have of the same driver.
        ({"logDriver": "json-file", "logOpts": {"max-size": "10m"}}, both("logOpts")),
        ({"cpuShares": 512.0, "cpuSet": "0-1", "restart": "on-failure", "maxRetryCount": 3.0}, NOTHING),
        ({"envs": ["B=2", "A=1"], "labels": [{"label": "b", "value": "2"}, {"label": "a", "value": "1"}]}, NOTHING),
    ],
    ids=repr,
)
def test_containers(config: Values, image: str, values: dict[str, Any], expected: object) -> None:
    inputs = {"image": image, "name": NAME, "command": ["sleep", "1000"], **values}
    assert found(Container(), config, inputs) == expected


@pytest.mark.parametrize(
    ("check", "expected"),
    [
        (HEALTH, NOTHING),
        # What is missing the image fills in, so that a container without a health check is never left alone.
        ({"tests": ["CMD", "true"], "interval": "5s"}, both("healthcheck")),
        ({"tests": ["NONE"]}, both("healthcheck")),
        ({**HEALTH, "tests": ["NONE"]}, NOTHING),
    ],
)
def test_an_image_with_a_health_check(config: Values, image: str, check: dict[str, Any], expected: object) -> None:
    client = docker.APIClient(base_url=config["host"])
    made = client.create_container(image, command=["true"])["Id"]
    try:
        repository, tag = WITH_CHECK.split(":")
        changes = ["HEALTHCHECK --interval=60s --timeout=10s --start-period=5s --retries=10 CMD true"]
        identifier = client.commit(made, repository=repository, tag=tag, changes=changes)["Id"]
        inputs = {"image": identifier, "name": NAME, "command": ["sleep", "1000"], "healthcheck": check}
        assert found(Container(), config, inputs) == expected
    finally:
        client.remove_container(made, force=True)
        for container in client.containers(all=True, filters={"name": NAME}):
            client.remove_container(container["Id"], force=True)
        client.remove_image(WITH_CHECK, force=True)
        client.close()


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"driver": "bridge", "ipamConfigs": [{"subnet": "10.197.0.0/24", "gateway": "10.197.0.1"}]},
        {
            "internal": True,
            "ipamConfigs": [{"subnet": "10.197.0.0/24"}],
            "options": {"com.docker.network.bridge.inhibit_ipv4": "true"},
            "labels": [{"label": "a", "value": "b"}],
        },
    ],
    ids=repr,
)
def test_networks(config: Values, values: dict[str, Any]) -> None:
    assert found(Network(), config, {"name": NAME, **values}) == NOTHING


def test_what_was_stopped_is_started_and_with_ports_replaced(config: Values, image: str) -> None:
    port = {"internal": 90.0, "external": 9090.0, "ip": "127.0.0.1"}
    client = docker.APIClient(base_url=config["host"])
    for more, differs in (({}, ["mustRun"]), ({"ports": [port]}, ["mustRun", "ports"])):
        inputs: Values = {"image": image, "name": NAME, "command": ["sleep", "1000"], "mustRun": True, **more}
        identifier, outputs = Container().create(config, inputs)
        client.stop(identifier, timeout=0)
        seen = Container().read(config, identifier, dict(inputs), {**inputs, **outputs})
        assert seen
        assert Container().changes(seen[0], inputs, {**inputs, **seen[1]}) == differs
        Container().delete(config, identifier, inputs, {})
    client.close()

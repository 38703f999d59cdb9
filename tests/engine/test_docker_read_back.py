"""A plan refuses what the real Docker provider reads back in another form: each `up` would change it again."""

from typing import Any

import pytest

from components.platform.containers import go_duration, processors
from engine.docker_forms import capability_text, cpus_text, duration_text, nano_cpus, nanoseconds
from engine.docker_rules import docker_failures
from engine.wire import UNKNOWN

HEALTH = {"tests": ["CMD", "true"], "interval": "30s", "timeout": "3s", "startPeriod": "2m0s", "retries": 3}
ID = "f" * 64


def container(values: dict[str, Any]) -> dict[str, str]:
    inputs = {"image": "busybox:1", "name": "app"} | values
    return {f.property: f.reason for f in docker_failures("docker:index/container:Container", inputs)}


@pytest.mark.parametrize(
    ("values", "where", "says"),
    [
        ({"name": "/app"}, "name", "write 'app'"),
        ({"cpus": "2"}, "cpus", "write '2.0'"),
        ({"cpus": "0.50"}, "cpus", "write '0.5'"),
        ({"cpus": "10.0"}, "cpus", "write '10.'"),
        ({"cpus": "0.05"}, "cpus", "take a rounder one"),
        ({"memory": 16}, "memorySwap", "read back as 32"),
        ({"memory": 16, "memorySwap": 0}, "memorySwap", "read back as 32"),
        ({"shmSize": 0}, "shmSize", "64"),
        ({"healthcheck": HEALTH | {"startPeriod": "120s"}}, "healthcheck.startPeriod", "write '2m0s'"),
        ({"healthcheck": HEALTH | {"interval": "60s"}}, "healthcheck.interval", "write '1m0s'"),
        ({"healthcheck": HEALTH | {"timeout": "1h"}}, "healthcheck.timeout", "write '1h0m0s'"),
        ({"healthcheck": HEALTH | {"startInterval": "1000ms"}}, "healthcheck.startInterval", "write '1s'"),
        ({"healthcheck": HEALTH | {"interval": "0s"}}, "healthcheck.interval", "the health check of the image"),
        ({"healthcheck": {**HEALTH, "retries": None}}, "healthcheck.retries", "the health check of the image"),
        ({"capabilities": {"adds": ["NET_ADMIN"]}}, "capabilities.adds[0]", "write 'CAP_NET_ADMIN'"),
        ({"capabilities": {"drops": ["all"]}}, "capabilities.drops[0]", "write 'ALL'"),
        ({"networkMode": "default"}, "networkMode", "write 'bridge'"),
        ({"pidMode": "container:other"}, "pidMode", "write the id"),
        ({"platform": "linux/amd64"}, "platform", "write 'linux'"),
        ({"securityOpts": ["systempaths=unconfined"]}, "securityOpts", "is not read back"),
        ({"securityOpts": ["no-new-privileges=true"], "pidMode": "host"}, "securityOpts", "label=disable"),
        ({"hosts": [{"host": "qdrant", "ip": "fd00::1"}]}, "hosts[0].ip", "only IPv4"),
        ({"dns": ["fd00:0::1"]}, "dns[0]", "write 'fd00::1'"),
        ({"ports": [{"internal": 1, "external": 1, "ip": "::0001"}]}, "ports[0].ip", "write '::1'"),
        ({"ports": [{"internal": 1, "external": 1, "protocol": "UDP"}]}, "ports[0].protocol", "write 'udp'"),
        ({"sysctls": {"net.ipv4.conf.eth0.forwarding": "0"}}, "sysctls.net.ipv4.conf.eth0.forwarding", "one interface"),
        ({"workingDir": "/srv/app/"}, "workingDir", "write '/srv/app'"),
        ({"gpus": '"device=0"'}, "gpus", "device=0,1"),
        ({"gpus": "2"}, "gpus", "deviceRequests"),
        (
            {
                "mounts": [
                    {"target": "/a", "type": "volume", "volumeOptions": {"labels": [{"label": "a", "value": "b"}]}}
                ]
            },
            "mounts[0].volumeOptions.labels",
            "are not read back",
        ),
    ],
)
def test_another_form_is_refused_with_the_right_one(values: dict[str, Any], where: str, says: str) -> None:
    found = container(values)
    assert list(found) == [where]
    assert says in found[where]


@pytest.mark.parametrize(
    "values",
    [
        {"cpus": "2.0", "memory": 16, "memorySwap": 16, "shmSize": 1024, "healthcheck": HEALTH},
        {"cpus": UNKNOWN, "memory": UNKNOWN, "memorySwap": UNKNOWN, "healthcheck": UNKNOWN, "hosts": UNKNOWN},
        {"memory": 16, "memorySwap": UNKNOWN, "healthcheck": HEALTH | {"interval": UNKNOWN}},
        {"capabilities": {"drops": ["ALL"], "adds": ["CAP_CHOWN", UNKNOWN]}},
        {"networkMode": "none", "ipcMode": f"container:{ID}", "platform": "linux", "stopTimeout": 20},
        {"securityOpts": ["no-new-privileges=true", "label=disable"], "pidMode": "host"},
        {"sysctls": {"net.ipv4.ip_forward": "0"}, "workingDir": "/", "gpus": "device=0,1"},
        {"hosts": [{"host": "host", "ip": "host-gateway"}], "dns": ["127.0.0.1"]},
    ],
)
def test_the_right_form_passes(values: dict[str, Any]) -> None:
    assert container(values) == {}


@pytest.mark.parametrize("seconds", [0, 1, 59, 60, 61, 120, 3599, 3600, 86400])
def test_the_program_writes_durations_as_they_are_read_back(seconds: int) -> None:
    assert go_duration(seconds) == duration_text(seconds * 10**9)
    assert nanoseconds(go_duration(seconds)) == seconds * 10**9


@pytest.mark.parametrize("number", [0.25, 0.5, 1, 1.5, 2, 3.7, 8, 10, 12, 20, 64, 100, 128])
def test_the_program_writes_processors_as_they_are_read_back(number: float) -> None:
    assert processors(number) == cpus_text(nano_cpus(str(number)))


@pytest.mark.parametrize(
    ("text", "printed"), [("250ms", "250ms"), ("1.5s", "1.5s"), ("1500ms", "1.5s"), ("100us", "100µs"), ("1ns", "1ns")]
)
def test_short_durations(text: str, printed: str) -> None:
    assert duration_text(nanoseconds(text)) == printed


def test_capabilities_as_the_client_sends_them() -> None:
    assert [capability_text(name) for name in ("all", "chown", "CAP_CHOWN")] == ["ALL", "CAP_CHOWN", "CAP_CHOWN"]

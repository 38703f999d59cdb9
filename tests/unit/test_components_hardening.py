"""Hardening of every container that runs; exceptions are the topology's waivers and nothing else."""

from typing import Any

import pytest

from tests.unit.mocks import Registered
from tests.unit.program import Program, labels
from tests.unit.samples import graph_of
from topology.model import Rule, Service

# The exceptions, by hand: each has a reason in the table.
WRITABLE_ROOT = {"edge"}
ROOT = {"interpreter", "crowdsec", "litellm", "log-shipper", "backup"}
CAPABILITIES = {
    "interpreter": ["CAP_SETUID", "CAP_SETGID"],
    "log-shipper": ["CAP_DAC_READ_SEARCH"],
    "backup": ["CAP_DAC_READ_SEARCH"],
    "crowdsec": ["CAP_DAC_READ_SEARCH"],
}
PREFLIGHT_CAPABILITIES = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER"]
EXECUTABLE_TMP = {"vllm", "comfyui", "interpreter"}
HOST_PATHS = {"node-exporter", "log-shipper"}
LOGGING = {"max-size": "10m", "max-file": "3", "labels": "agentic-mesh.service,agentic-mesh.part"}


def service_of(container: Registered) -> str:
    """The service whose app it is, else nothing."""
    return labels(container)["service"] if labels(container)["part"] == "app" else ""


def rows(program: Program) -> dict[str, Service]:
    return {s.name: s for s in graph_of(program.stack).on(program.stack)}


def test_none_is_privileged_or_near_the_host(program: Program) -> None:
    for container in program.containers.values():
        assert container.inputs["privileged"] is False, container.name
        for space in ("pidMode", "ipcMode", "usernsMode", "cgroupnsMode"):
            assert space not in container.inputs, (container.name, space)
        mode = container.inputs.get("networkMode")
        assert mode == ("none" if container in program.loaders else None), container.name


def test_all_capabilities_are_dropped_and_only_the_table_s_are_added(program: Program) -> None:
    for container in program.containers.values():
        expected: dict[str, Any] = {"drops": ["ALL"]}
        added = CAPABILITIES.get(service_of(container), [])
        if container.inputs["name"] == "agentic-mesh-preflight-host":
            added = PREFLIGHT_CAPABILITIES
        if added:
            expected["adds"] = added
        assert container.inputs["capabilities"] == expected, container.name
        assert container.inputs["securityOpts"] == ["no-new-privileges=true"], container.name


def test_the_root_is_read_only_unless_waived(program: Program) -> None:
    for container in program.running:
        writable = service_of(container) in WRITABLE_ROOT
        assert container.inputs["readOnly"] is not writable, container.name


def test_nobody_runs_as_root_unless_waived(program: Program) -> None:
    for container in program.running:
        root = service_of(container) in ROOT or container.inputs["name"] == "agentic-mesh-preflight-host"
        assert container.inputs["user"].startswith("0:") is root, container.name
    for service in rows(program).values():
        assert program.app(service.name).inputs["user"] == service.user


def test_proxies_have_users_of_their_own(program: Program) -> None:
    """Process limits count by user."""
    users = [c.inputs["user"] for c in program.running if labels(c)["part"] in ("proxy", "gateway")]
    assert len(set(users)) == len(users)
    assert not set(users) & {s.user for s in rows(program).values()}


def test_proxies_forward_no_packets(program: Program) -> None:
    for container in program.running:
        if labels(container)["part"] in ("proxy", "gateway"):
            assert container.inputs["sysctls"] == {"net.ipv4.ip_forward": "0"}, container.name


def test_memory_processors_processes_and_logs_are_limited(program: Program) -> None:
    for container in program.running:
        inputs = container.inputs
        assert inputs["memory"] > 0, container.name
        assert inputs["memorySwap"] == inputs["memory"], container.name
        assert float(inputs["cpus"]) > 0, container.name
        limits = {limit["name"]: limit for limit in inputs["ulimits"]}
        assert {"nproc", "nofile"} <= limits.keys(), container.name
        assert all(limit["soft"] == limit["hard"] > 0 for limit in limits.values()), container.name
        assert (inputs["logDriver"], inputs["logOpts"]) == ("json-file", LOGGING)
    for service in rows(program).values():
        assert program.app(service.name).inputs["memory"] == service.memory_mib
        assert float(program.app(service.name).inputs["cpus"]) == service.cpus


def test_they_come_back_after_a_crash_and_a_boot(program: Program) -> None:
    for container in program.running:
        assert container.inputs["restart"] == "unless-stopped", container.name
        assert container.inputs["mustRun"] is True, container.name
        assert container.inputs["init"] is True, container.name


def test_only_gateways_look_names_up(program: Program) -> None:
    for container in program.running:
        expected = None if labels(container)["part"] == "gateway" else ["127.0.0.1"]
        assert container.inputs.get("dns") == expected, container.name


def test_what_is_writable_is_not_executable_unless_waived(program: Program) -> None:
    for container in program.running:
        for path, options in container.inputs.get("tmpfs", {}).items():
            flags = options.split(",")
            executable = service_of(container) in EXECUTABLE_TMP and path == "/tmp"
            assert ("exec" in flags) is executable, container.name
            assert ("noexec" in flags) is not executable, container.name
            assert {"nosuid", "nodev"} <= set(flags), container.name
            assert any(flag.startswith("size=") for flag in flags), container.name


def test_the_lists_above_are_the_table_s_waivers() -> None:
    """So that a new waiver is a change that somebody reads twice."""
    services = {s.name: s for stack in ("thanos", "oracle1") for s in graph_of(stack).on(stack)}

    def waived(rule: Rule) -> set[str]:
        return {name for name, service in services.items() if service.waived(rule)}

    assert waived(Rule.READ_ONLY_ROOT) == WRITABLE_ROOT
    assert waived(Rule.NON_ROOT) == ROOT
    assert waived(Rule.CAPABILITY) == CAPABILITIES.keys()
    assert waived(Rule.WRITABLE_EXEC) == EXECUTABLE_TMP
    assert waived(Rule.HOST_MOUNT) == HOST_PATHS


def test_host_paths_are_read_only_looks_of_exporters_and_never_the_socket(program: Program) -> None:
    for container in program.containers.values():
        for mount in container.inputs.get("volumes", []):
            if "hostPath" in mount:
                preflight = container.inputs["name"] == "agentic-mesh-preflight-host"
                assert preflight or service_of(container) in HOST_PATHS, container.name
                assert preflight or mount["readOnly"] is True, container.name
                assert "docker.sock" not in mount["hostPath"], container.name
                assert "/var/run" not in mount["hostPath"], container.name


def test_loaders_would_harm_nobody_if_somebody_started_them(program: Program) -> None:
    for loader in program.loaders:
        assert loader.inputs["mustRun"] is False
        assert loader.inputs["memory"] <= 16
        assert len(loader.inputs["volumes"]) == 1


@pytest.mark.parametrize("stack", ["thanos", "oracle1"])
def test_limits_of_a_node_add_up(stack: str, request: pytest.FixtureRequest) -> None:
    """The architecture's GPU box and small cloud VM: 128 GiB and 32 GiB are what the containers may take at most."""
    program: Program = request.getfixturevalue(stack)
    total = sum(container.inputs["memory"] for container in program.running) / 1024
    assert total < {"thanos": 128, "oracle1": 32}[stack]

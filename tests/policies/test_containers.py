"""What a container must and must not be."""

from typing import Any

import pytest

from policies import gpu, hardening, isolation, networks, ports, subject, volumes
from policies.subject import CONTAINER
from policies.values import UNKNOWN, ResourceRule
from tests.policies.samples import DATA_ROOT, container, labels, loader

_SOCKET = "/var/run/docker.sock"
_ROOT_SEEN_AS_NOBODY: dict[str, Any] = {
    "user": "65534:65534",
    "capabilities": {"drops": ["ALL"]},
    "volumes": [{"hostPath": "/", "containerPath": "/host", "readOnly": True}],
}


def found(rule: ResourceRule, props: dict[str, Any]) -> list[str]:
    return list(rule(CONTAINER, props))


VIOLATIONS = [
    (isolation.not_privileged, {"privileged": True}, "privileged is true"),
    (isolation.not_privileged, {"privileged": UNKNOWN}, "not known"),
    (isolation.not_privileged, {"devices": [{"hostPath": "/dev/sda"}]}, "opens devices"),
    (isolation.not_privileged, {"deviceCgroupRules": ["c 1:1 rwm"]}, "opens devices"),
    (isolation.no_host_namespace, {"networkMode": "host"}, "networkMode is host"),
    (isolation.no_host_namespace, {"networkMode": "container:abc"}, "container:abc"),
    (isolation.no_host_namespace, {"networkMode": UNKNOWN}, "not known"),
    (isolation.no_host_namespace, {"pidMode": "host"}, "pidMode is host"),
    (isolation.no_host_namespace, {"pidMode": "container:abc"}, "pidMode is container:abc"),
    (isolation.no_host_namespace, {"ipcMode": "host"}, "shm_size"),
    (isolation.no_host_namespace, {"usernsMode": "host"}, "usernsMode is host"),
    (isolation.no_host_namespace, {"cgroupnsMode": "host"}, "cgroupnsMode is host"),
    (
        isolation.no_docker_socket,
        {"volumes": [{"hostPath": _SOCKET, "containerPath": "/s", "readOnly": True}]},
        _SOCKET,
    ),
    (isolation.no_docker_socket, {"volumes": [{"volumeName": "v", "containerPath": _SOCKET}]}, _SOCKET),
    (isolation.no_docker_socket, {"mounts": [{"type": "bind", "source": "/run/", "target": "/x"}]}, "/run/"),
    (isolation.no_docker_socket, {"mounts": [{"type": "bind", "source": "/", "target": "/host"}]}, "mounts /"),
    *(
        (isolation.no_docker_socket, {**_ROOT_SEEN_AS_NOBODY, **changes}, "mounts /")
        for changes in (
            {"user": None},
            {"user": "0:65534"},
            {"user": "65534:999"},
            {"user": "nobody:nogroup"},
            {"groupAdds": ["999"]},
            {"capabilities": {"drops": ["ALL"], "adds": ["CAP_DAC_READ_SEARCH"]}},
            {"capabilities": None},
            {"volumes": [{"hostPath": "/", "containerPath": "/host"}]},
            {"mounts": [{"type": "bind", "source": "/", "target": "/writable"}]},
        )
    ),
    (isolation.few_capabilities, {"capabilities": None}, "does not drop"),
    (isolation.few_capabilities, {"capabilities": {"drops": ["NET_RAW"]}}, "does not drop"),
    (isolation.few_capabilities, {"capabilities": {"drops": ["ALL"], "adds": ["CAP_SYS_ADMIN"]}}, "CAP_SYS_ADMIN"),
    (isolation.few_capabilities, {"capabilities": {"drops": ["ALL"], "adds": UNKNOWN}}, "not known"),
    (isolation.no_new_privileges, {"securityOpts": None}, "no-new-privileges=true"),
    (isolation.no_new_privileges, {"securityOpts": ["no-new-privileges=true", "seccomp=unconfined"]}, "seccomp"),
    (hardening.read_only_root, {"readOnly": None}, "read_only is not set"),
    (hardening.read_only_root, {"readOnly": UNKNOWN}, "not known"),
    (hardening.non_root, {"user": None}, "user is not set"),
    (hardening.non_root, {"user": "0:1000"}, "user is 0:1000"),
    (hardening.non_root, {"user": "root"}, "user is root"),
    (hardening.non_root, {"user": UNKNOWN}, "not known"),
    (hardening.no_exec_tmpfs, {"tmpfs": {"/tmp": "rw,exec"}}, "/tmp"),
    (hardening.no_exec_tmpfs, {"tmpfs": UNKNOWN}, "not known"),
    (hardening.limits, {"memory": None}, "memory is not set"),
    (hardening.limits, {"memory": 0.0}, "memory is 0"),
    (hardening.limits, {"cpus": None}, "cpus is not set"),
    (hardening.limits, {"cpus": "0"}, "cpus is 0"),
    (hardening.limits, {"ulimits": None}, "no limit of processes"),
    (hardening.limits, {"ulimits": [{"name": "nproc", "soft": 0.0, "hard": -1.0}]}, "no limit of processes"),
    (hardening.restarts, {"restart": None}, "restart is not set"),
    (hardening.restarts, {"restart": "on-failure"}, "restart is on-failure"),
    (hardening.log_rotation, {"logDriver": None}, "log_driver is not set"),
    (hardening.log_rotation, {"logOpts": {"max-size": "10m"}}, "no max-file"),
    (hardening.log_rotation, {"logOpts": None}, "no max-size"),
    (networks.no_outside_resolver, {"dns": None}, "dns is not set"),
    (networks.no_outside_resolver, {"dns": ["127.0.0.1", "9.9.9.9"]}, "9.9.9.9"),
    (networks.no_outside_resolver, {"dns": UNKNOWN}, "not known"),
    (ports.published_ports, {"ports": [{"internal": 1.0, "external": 8000.0, "ip": "100.64.1.2"}]}, "publishes 8000"),
    (ports.published_ports, {"ports": UNKNOWN}, "publishes"),
    (ports.published_ports, {"publishAllPorts": True}, "publish_all_ports"),
    (gpu.gpu_for_gpu_services, {"deviceRequests": [{"driver": "nvidia"}]}, "asks for a GPU"),
    (gpu.gpu_for_gpu_services, {"deviceRequests": UNKNOWN}, "asks for a GPU"),
    (gpu.gpu_for_gpu_services, {"gpus": "all"}, "asks for a GPU"),
    (gpu.gpu_for_gpu_services, {"runtime": "nvidia"}, "asks for a GPU"),
    (gpu.gpu_for_gpu_services, {"envs": ["NVIDIA_VISIBLE_DEVICES=0"]}, "asks for a GPU"),
    (volumes.read_only_binds, {"volumes": [{"hostPath": "/etc", "containerPath": "/etc"}]}, "can write to /etc"),
    (volumes.read_only_binds, {"volumes": [{"hostPath": "/etc", "readOnly": True}]}, "mounts /etc"),
    (volumes.read_only_binds, {"mounts": [{"type": "bind", "source": "/etc", "target": "/e"}]}, "can write to /etc"),
    (volumes.read_only_binds, {"volumes": [{"containerPath": "/data"}]}, "a mounted path is not set"),
    (volumes.read_only_binds, {"volumes": UNKNOWN}, "not known"),
    (subject.labelled, {"labels": None}, "agentic-mesh.part is not set"),
    (subject.labelled, {"labels": UNKNOWN}, "agentic-mesh.part is not set"),
    (subject.labelled, {"labels": labels(service="kong", part="app")}, "agentic-mesh.node is not set"),
    (subject.labelled, {"labels": labels(service="kong", part="other", node="n")}, "agentic-mesh.part is other"),
    (subject.labelled, {"labels": labels(service="new", part="app", node="n")}, "topology/ does not know"),
    (subject.labelled, {"labels": labels(service="kong", part="gateway", node="n")}, "labelled as the gateway"),
]


@pytest.mark.parametrize(("rule", "changes", "what"), VIOLATIONS)
def test_an_app_that_breaks_a_rule(rule: ResourceRule, changes: dict[str, Any], what: str) -> None:
    props = container()
    props.update(changes)
    messages = found(rule, {key: value for key, value in props.items() if value is not None})
    assert messages[0].startswith("agentic-mesh-kong: ")
    assert what in messages[0]


def test_the_host_s_root_may_be_looked_at_by_nobody_without_capabilities() -> None:
    assert found(isolation.no_docker_socket, {**container(), **_ROOT_SEEN_AS_NOBODY}) == []


@pytest.mark.parametrize("kind", ["service:Service", "plugin:Plugin"])
def test_programs_run_in_containers_alone(kind: str) -> None:
    assert len(list(isolation.only_containers(f"docker:index/{kind}", {"name": "more"}))) == 1
    assert list(isolation.only_containers(CONTAINER, container())) == []


class TestWaivers:
    def test_a_capability_is_for_the_service_that_the_topology_gives_it(self) -> None:
        capabilities = {"drops": ["ALL"], "adds": ["CAP_DAC_READ_SEARCH"]}
        assert not found(isolation.few_capabilities, container("app", "log-shipper", capabilities=capabilities))
        assert found(isolation.few_capabilities, container("app", "redis", capabilities=capabilities))

    def test_a_capability_of_another_name_is_not_waived(self) -> None:
        capabilities = {"drops": ["ALL"], "adds": ["SYS_PTRACE"]}
        assert found(isolation.few_capabilities, container("app", "log-shipper", capabilities=capabilities))

    @pytest.mark.parametrize("part", ["proxy", "loader", "gateway"])
    def test_waivers_are_for_the_app_alone(self, part: str) -> None:
        capabilities = {"drops": ["ALL"], "adds": ["DAC_READ_SEARCH"]}
        assert found(isolation.few_capabilities, container(part, "log-shipper", capabilities=capabilities))
        if part != "loader":
            assert found(hardening.non_root, container(part, "log-shipper", user="0:0"))
            assert found(hardening.read_only_root, container(part, "edge", readOnly=False))

    def test_root_and_a_writable_root_where_the_topology_says_why(self) -> None:
        assert not found(hardening.non_root, container("app", "litellm", user="0:0"))
        assert not found(hardening.read_only_root, container("app", "edge", readOnly=False))

    def test_exec_for_the_path_that_is_waived(self) -> None:
        options = {"tmpfs": {"/tmp": "rw,exec"}}
        assert not found(hardening.no_exec_tmpfs, container("app", "interpreter", "thanos", **options))
        other = {"tmpfs": {"/other": "rw,exec"}}
        assert found(hardening.no_exec_tmpfs, container("app", "interpreter", "thanos", **other))

    def test_host_mounts_of_exporters_are_read_only(self) -> None:
        mount = {"hostPath": "/", "containerPath": "/host"}
        read = container("app", "node-exporter", volumes=[{**mount, "readOnly": True}])
        assert not found(volumes.read_only_binds, read)
        assert found(volumes.read_only_binds, container("app", "node-exporter", volumes=[mount]))


class TestLoaders:
    @pytest.mark.parametrize(
        ("changes", "what"),
        [
            ({"start": None}, "start is not set"),
            ({"start": True}, "start is true"),
            ({"mustRun": None}, "mustRun is not set"),
            ({"networkMode": None}, "with a network"),
        ],
    )
    def test_they_never_start(self, changes: dict[str, Any], what: str) -> None:
        messages = found(hardening.restarts, loader(**changes))
        assert len(messages) == 1
        assert what in messages[0]

    def test_they_are_excused_from_nothing_else(self) -> None:
        assert found(isolation.not_privileged, loader(privileged=True))
        assert found(isolation.few_capabilities, loader(capabilities=None))
        assert found(isolation.no_docker_socket, loader(volumes=[{"hostPath": _SOCKET}]))
        assert found(ports.published_ports, loader(ports=[{"external": 1.0}]))


class TestHealth:
    @pytest.mark.parametrize("part", ["proxy", "gateway", "preflight"])
    @pytest.mark.parametrize(
        "changes",
        [
            {"healthcheck": None},
            {"healthcheck": {"tests": ["NONE"]}},
            {"healthcheck": {"tests": ["CMD"]}},
            {"healthcheck": UNKNOWN},
            {"wait": None},
            {"wait": UNKNOWN},
            {"waitTimeout": None},
        ],
    )
    def test_proxies_report_it_and_deploys_wait(self, part: str, changes: dict[str, Any]) -> None:
        assert len(found(hardening.health, container(part, **changes))) == 1

    def test_apps_need_none(self) -> None:
        assert not found(hardening.health, container())


class TestTheProbeOfTheDataRoot:
    mount = ({"hostPath": DATA_ROOT, "containerPath": DATA_ROOT},)

    def test_it_may_make_folders_there(self) -> None:
        capabilities = {"drops": ["ALL"], "adds": ["CAP_CHOWN"]}
        probe = container("preflight", "preflight", user="0:0", capabilities=capabilities, volumes=[*self.mount])
        for rule in (hardening.non_root, isolation.few_capabilities, volumes.read_only_binds):
            assert not found(rule, probe)

    def test_other_probes_may_not(self) -> None:
        capabilities = {"drops": ["ALL"], "adds": ["CAP_CHOWN"]}
        assert found(hardening.non_root, container("preflight", "preflight", user="0:0"))
        assert found(isolation.few_capabilities, container("preflight", "preflight", capabilities=capabilities))

    def test_it_gets_no_further_capability(self) -> None:
        capabilities = {"drops": ["ALL"], "adds": ["CAP_SYS_ADMIN"]}
        probe = container("preflight", "preflight", capabilities=capabilities, volumes=[*self.mount])
        assert found(isolation.few_capabilities, probe)

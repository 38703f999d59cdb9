"""Configuration reaches containers as files of loaders that never start; a changed file replaces who reads it."""

import json
import re
from typing import Any

import pytest
import yaml

from components.platform.containers import go_duration
from render.envoy import gateway_config, sidecar_config
from tests.unit import envoy
from tests.unit.program import VOLUME, Program, labels, uploads
from tests.unit.samples import NETWORKS, graph_of
from topology.model import Instance

PROXY_FILES = {
    f"/etc/agentic-mesh/{file}" for file in ("envoy.json", "tls/key.pem", "tls/certificate.pem", "tls/ca.pem")
}


def test_only_loaders_that_never_start_take_uploads(program: Program) -> None:
    for container in program.containers.values():
        never_started = container.inputs.get("start") is False
        assert bool(container.inputs.get("uploads")) is never_started, container.name
        assert (labels(container)["part"] == "loader") is never_started, container.name


def test_who_reads_files_is_replaced_with_their_loader(program: Program) -> None:
    """The label holds the loader's id, which a new content changes."""
    readers = [c for c in program.running if labels(c)["part"] in ("app", "proxy", "gateway")]
    reading = [c for c in readers if any(v.get("volumeName") in program.filled for v in c.inputs.get("volumes", []))]
    for reader in reading:
        loader = program.loader_of(reader)
        assert labels(reader)["config-version"] == f"{loader.name}-id", reader.name
        assert any(urn.endswith(f"::{loader.name}") for urn in reader.depends_on), reader.name
    assert len(reading) == len(program.loaders)
    assert [c.name for c in readers if c not in reading and "config-version" in labels(c)] == []


def test_configuration_is_mounted_read_only_where_the_loader_put_it(program: Program) -> None:
    for reader in program.running:
        for mount in reader.inputs.get("volumes", []):
            if mount.get("volumeName") in program.filled:
                assert mount["readOnly"] is True, reader.name
                [filled] = program.filled[mount["volumeName"]].inputs["volumes"]
                assert filled["containerPath"] == mount["containerPath"], reader.name
                paths = uploads(program.filled[mount["volumeName"]])
                assert all(path.startswith(f"{mount['containerPath']}/") for path in paths), reader.name


def test_each_proxy_runs_the_configuration_of_its_instance(program: Program) -> None:
    graph = graph_of(program.stack)
    for service in graph.on(program.stack):
        files = uploads(program.loader_of(program.proxy(service.name)))
        assert files.keys() == PROXY_FILES
        config = json.loads(files["/etc/agentic-mesh/envoy.json"])
        assert config == sidecar_config(graph, NETWORKS, Instance(service.name, program.stack))
    files = uploads(program.loader_of(program.proxy("gateway")))
    assert json.loads(files["/etc/agentic-mesh/envoy.json"]) == gateway_config(graph, NETWORKS, program.stack)


def test_published_ports_and_listeners_of_the_gateway_agree(program: Program) -> None:
    gateway = program.proxy("gateway")
    config = json.loads(uploads(program.loader_of(gateway))["/etc/agentic-mesh/envoy.json"])
    outside = {number for host, number in envoy.places(config) if host == NETWORKS.gateway_outside}
    assert {int(port["internal"]) for port in gateway.inputs["ports"]} == outside
    assert gateway.inputs["networksAdvanced"] == [
        {"name": "agentic-mesh-outside", "ipv4Address": NETWORKS.gateway_outside},
        {"name": "agentic-mesh", "ipv4Address": NETWORKS.gateway_mesh},
    ]


def test_structured_files_are_well_formed(program: Program) -> None:
    for loader in program.loaders:
        for path, content in uploads(loader).items():
            if path.endswith(".json"):
                assert json.loads(content), path
            elif path.endswith((".yaml", ".yml", ".yaml.local")):
                assert isinstance(yaml.safe_load(content), dict), path


def test_commands_name_files_that_are_there(program: Program) -> None:
    """A path below /config in a command or in the environment has to be one of the loader's files, or their folder."""
    named = 0
    for name, app in program.apps.items():
        files = uploads(program.loader_of(app)) if "config-version" in labels(app) else {}
        words = [*app.inputs.get("command", []), *app.inputs.get("entrypoints", []), *app.inputs.get("envs", [])]
        for word in words:
            for path in _config_paths(word):
                named += 1
                assert any(file == path or file.startswith(f"{path}/") for file in files) or path == "/config", (
                    name,
                    path,
                )
    assert named > 5


def _config_paths(word: str) -> list[str]:
    return re.findall(r"/config(?:/[\w./-]+)?", word)


def test_data_volumes_lie_below_the_data_root_and_outlive_a_destroy(program: Program) -> None:
    data = {r.inputs["name"]: r for r in program.mocks.of(VOLUME) if r.inputs["name"] not in program.filled}
    services = graph_of(program.stack).on(program.stack)
    assert data.keys() == {f"agentic-mesh-{s.name}-{v.name}" for s in services for v in s.volumes}
    for volume in data.values():
        assert volume.inputs["driverOpts"]["device"].startswith("/srv/agentic-mesh/")
        assert volume.inputs["driverOpts"]["o"] == "bind"
        assert volume.retain_on_delete, volume.name
    devices = [volume.inputs["driverOpts"]["device"] for volume in data.values()]
    assert len(set(devices)) == len(devices)


def test_services_mount_their_own_volumes_and_read_others_only_where_the_table_says(program: Program) -> None:
    graph = graph_of(program.stack)
    for service in graph.on(program.stack):
        mounts = {m["volumeName"]: m for m in program.app(service.name).inputs.get("volumes", []) if "volumeName" in m}
        mounts = {name: m for name, m in mounts.items() if name not in program.filled}
        own = {f"agentic-mesh-{service.name}-{v.name}": v.path for v in service.volumes}
        read = {
            f"agentic-mesh-{r.service}-{r.volume}": r.path
            for r in graph.reads(service, program.stack)
            if r.service != service.name
        }
        assert {name: m["containerPath"] for name, m in mounts.items() if not m.get("readOnly")} == own, service.name
        assert {name: m["containerPath"] for name, m in mounts.items() if m.get("readOnly")} == read, service.name


def test_the_settings_place_models_and_vectors(titan: Program) -> None:
    found = [r.inputs for r in titan.mocks.of(VOLUME) if "driverOpts" in r.inputs]
    devices = {inputs["name"]: inputs["driverOpts"]["device"] for inputs in found}
    assert devices["agentic-mesh-vllm-models"] == "/data/m"
    assert devices["agentic-mesh-vllm-cache"] == "/data/vllm-cache"


def test_the_deploy_waits_for_each_proxy_as_long_as_its_app_may_take(program: Program) -> None:
    for service in graph_of(program.stack).on(program.stack):
        proxy = program.proxy(service.name)
        assert proxy.inputs["wait"] is True
        assert proxy.inputs["waitTimeout"] >= service.start_seconds
        assert proxy.inputs["healthcheck"]["startPeriod"] == go_duration(service.start_seconds)
        assert "wait" not in program.app(service.name).inputs
    assert program.proxy("gateway").inputs["waitTimeout"] >= 300


def test_a_proxy_follows_its_app_and_no_service_waits_for_another(program: Program) -> None:
    names = [s.name for s in graph_of(program.stack).on(program.stack)]
    for name in names:
        proxy, app = program.proxy(name), program.app(name)
        assert any(urn.endswith(f"::{name}-pod-app") for urn in proxy.depends_on)
        for container in (proxy, app):
            others = {
                urn.rpartition("::")[2] for urn in container.depends_on if urn.endswith(("-pod-app", "-proxy-envoy"))
            }
            assert others <= {f"{name}-pod-app"}, container.name


def test_every_container_waits_for_the_preflight(program: Program) -> None:
    probes = {name for name in program.containers if "-preflight-" in name}
    expected = {"host", "sysctl"} | ({"gvisor", "gpu"} if program.stack == "thanos" else set())
    assert probes == {f"agentic-mesh-preflight-{probe}" for probe in expected}
    for container in program.running:
        if labels(container)["part"] != "preflight":
            waited = {urn.rpartition("::")[2] for urn in container.depends_on}
            assert {f"{program.stack}-preflight-{probe}" for probe in expected} <= waited, container.name


@pytest.mark.parametrize(
    ("probe", "expected"),
    [
        ("host", {"ip": "100.64.1.1", "internal": 8080, "external": 15099}),
        ("sysctl", {"ip": "100.127.255.254", "internal": 8080, "external": 15100}),
    ],
)
def test_probes_publish_where_they_find_out(thanos: Program, probe: str, expected: dict[str, Any]) -> None:
    container = thanos.containers[f"agentic-mesh-preflight-{probe}"]
    assert container.inputs["ports"] == [expected]
    assert container.inputs["wait"] is True
    assert container.inputs["healthcheck"]["tests"] == ["CMD", "test", "-f", "/tmp/ok"]


def test_the_preflight_makes_the_folder_of_every_data_volume(program: Program) -> None:
    script = program.containers["agentic-mesh-preflight-host"].inputs["command"][-1]
    for volume in program.mocks.of(VOLUME):
        if volume.inputs["name"] not in program.filled:
            assert f"mkdir -p {volume.inputs['driverOpts']['device']} " in script


def test_every_probe_asks_for_what_docker_before_25_refuses(program: Program) -> None:
    checks = [c.inputs["healthcheck"] for name, c in program.containers.items() if "-preflight-" in name]
    assert {check.get("startInterval") for check in checks} == {"1s"}


def test_redis_loads_none_of_its_image_s_modules(oracle1: Program) -> None:
    """The image's entry point would load all of them (`tests/contracts/upstream/redis.yaml`)."""
    redis = oracle1.app("redis").inputs
    assert redis["entrypoints"] == ["sh", "-c", 'umask 077; exec "$0" "$@"', "redis-server"]
    assert redis["command"] == ["/config/redis.conf"]

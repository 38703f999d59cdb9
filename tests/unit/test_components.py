"""Every service's component as the engine sees it, against the architecture's tables: both programs, end to end."""

from tests.unit.program import CONTAINER, NETWORK, ROOT, Program, labels
from tests.unit.samples import NETWORKS, graph_of
from topology.images import BUILDS, IMAGES
from topology.model import Instance

# By hand: a component's type is part of every URN below it, so that a changed one replaces the whole service.
TYPES = {
    "thanos": {
        "vllm": "inference:Vllm",
        "qdrant": "vectors:Qdrant",
        "qdrant-witness": "vectors:QdrantWitness",
        "embeddings": "inference:Embeddings",
        "whisper": "inference:Whisper",
        "comfyui": "inference:ComfyUI",
        "interpreter": "inference:Interpreter",
        "ocr": "inference:Ocr",
        "gpu-exporter": "monitoring:GpuExporter",
    },
    "oracle1": {
        "edge": "edge:Edge",
        "crowdsec": "edge:CrowdSec",
        "kong": "gateway:Kong",
        "agents": "agents:Agents",
        "litellm": "routing:LiteLLM",
        "embeddings-cpu": "inference:EmbeddingsCpu",
        "n8n": "automation:N8n",
        "n8n-worker": "automation:N8nWorker",
        "n8n-runners": "automation:N8nRunners",
        "redis": "data:Redis",
        "redis-exporter": "monitoring:RedisExporter",
        "postgres": "data:Postgres",
        "postgres-exporter": "monitoring:PostgresExporter",
        "qdrant-replica": "vectors:QdrantReplica",
        "prometheus": "monitoring:Prometheus",
        "alertmanager": "monitoring:Alertmanager",
        "grafana": "monitoring:Grafana",
        "victorialogs": "monitoring:VictoriaLogs",
    },
}
EVERYWHERE = {
    "node-exporter": "monitoring:NodeExporter",
    "blackbox-exporter": "monitoring:BlackboxExporter",
    "log-shipper": "monitoring:LogShipper",
    "backup": "backup:Backup",
}
# The architecture's ports, on the node's tailnet address; the cluster's peers and metrics are between nodes.
PUBLISHED = {
    "thanos": {8000, 8001, 8002, 8003, 8004, 8005, 6333} | {6335, 6336, 6338, 15090},
    "oracle1": {3000, 5678, 6334, 8000, 8080, 8081, 9090} | {9093, 8082, 9427, 9428, 6337},
}
ADDRESS = {"thanos": "100.64.1.1", "oracle1": "100.64.1.2"}
ON_THE_CARD = {"vllm", "embeddings", "whisper", "comfyui", "ocr", "gpu-exporter"}


def test_each_service_is_a_component_with_one_pod(program: Program) -> None:
    expected = TYPES[program.stack] | EVERYWHERE
    found = {r.name: r for r in program.mocks.registered if r.name in expected}
    assert {name: r.typ for name, r in found.items()} == {
        name: f"agentic-mesh:{kind}" for name, kind in expected.items()
    }
    pods = {r.name: r.parent for r in program.mocks.of("agentic-mesh:mesh:Pod")}
    assert pods.keys() == {f"{name}-pod" for name in expected}
    for name, kind in expected.items():
        assert pods[f"{name}-pod"].endswith(f"agentic-mesh:{kind}::{name}")


def test_a_pod_is_an_app_and_its_proxy_on_a_network_of_two(program: Program) -> None:
    graph = graph_of(program.stack)
    networks = {r.inputs["name"]: r.inputs for r in program.mocks.of(NETWORK)}
    for service in graph.on(program.stack):
        addresses = NETWORKS.pod(service.slot)
        network = f"agentic-mesh-pod-{service.name}"
        assert networks[network]["ipamConfigs"] == [{"subnet": addresses.subnet}]
        assert program.app(service.name).inputs["networksAdvanced"] == [
            {"name": network, "ipv4Address": addresses.app},
        ]
        assert program.proxy(service.name).inputs["networksAdvanced"] == [
            {"name": network, "ipv4Address": addresses.sidecar},
            {"name": "agentic-mesh", "ipv4Address": addresses.mesh},
        ]


def test_internal_networks_are_shut_off_from_host_and_world(program: Program) -> None:
    for network in program.mocks.of(NETWORK):
        kind = network.inputs["labels"][0]["value"]
        internal = network.inputs.get("internal", False)
        assert internal is (kind in ("pod", "mesh")), network.name
        if internal:
            assert network.inputs["options"] == {"com.docker.network.bridge.inhibit_ipv4": "true"}, network.name
        else:
            assert network.inputs["options"]["com.docker.network.bridge.enable_icc"] == "false", network.name


def test_the_way_to_the_tailnet_takes_its_packets(program: Program) -> None:
    [outside] = [n for n in program.mocks.of(NETWORK) if n.inputs["name"] == "agentic-mesh-outside"]
    assert outside.inputs["options"]["com.docker.network.driver.mtu"] == "1280"


def test_the_gateway_publishes_the_architecture_s_ports_on_the_tailnet_address_alone(program: Program) -> None:
    ports = program.proxy("gateway").inputs["ports"]
    tailnet = [p for p in ports if p["ip"] == ADDRESS[program.stack]]
    assert {p["external"] for p in tailnet} == PUBLISHED[program.stack]
    assert all(p["internal"] == p["external"] for p in tailnet)
    public = [p for p in ports if p not in tailnet]
    assert public == (
        [{"ip": "0.0.0.0", "internal": 10443, "external": 443}] if program.stack == "oracle1" else []  # noqa: S104
    )


def test_nothing_else_publishes_but_the_preflight(program: Program) -> None:
    publishing = {labels(c)["part"] for c in program.containers.values() if c.inputs.get("ports")}
    assert publishing == {"gateway", "preflight"}


def test_the_card_is_requested_by_its_services_and_the_preflight_and_nobody_else(program: Program) -> None:
    wanted = {
        f"agentic-mesh-{name}" for name in (ON_THE_CARD | {"preflight-gpu"} if program.stack == "thanos" else set())
    }
    asking = {name: c for name, c in program.containers.items() if c.inputs.get("deviceRequests")}
    assert asking.keys() == wanted
    for container in asking.values():
        [request] = container.inputs["deviceRequests"]
        assert (request["driver"], request["deviceIds"]) == ("nvidia", ["0"])
        assert {"gpu", "utility"} <= set(request["capabilities"])
    assert not any(c.inputs.get("gpus") or c.inputs.get("devices") for c in program.containers.values())


def test_foreign_code_and_its_probe_run_under_gvisor(program: Program) -> None:
    under = {name for name, c in program.containers.items() if c.inputs.get("runtime")}
    assert under == (
        {"agentic-mesh-interpreter", "agentic-mesh-preflight-gvisor"} if program.stack == "thanos" else set()
    )
    assert {program.containers[name].inputs["runtime"] for name in under} <= {"runsc"}


def test_images_are_by_digest_and_their_name_stands_in_a_label(program: Program) -> None:
    graph = graph_of(program.stack)
    for service in graph.on(program.stack):
        app = program.app(service.name)
        built = service.image in BUILDS
        reference = f"agentic-mesh/{service.image}:local" if built else IMAGES[service.image].reference
        assert labels(app)["image"] == reference
        assert app.inputs["image"] == f"sha256:{program.stack}-images-{service.image}"
    assert {c.inputs["image"] for c in program.containers.values() if labels(c)["part"] in ("proxy", "gateway")} == {
        f"sha256:{program.stack}-images-envoy"
    }
    pulled = {r.inputs["name"]: r.inputs for r in program.mocks.of("docker:index/remoteImage:RemoteImage")}
    used = {s.image for s in graph.on(program.stack)} | {"envoy", "busybox"}
    assert pulled.keys() == {IMAGES[key].reference for key in used - BUILDS.keys()}
    assert {image["platform"] for image in pulled.values()} == {"linux/amd64"}
    built_from = {r.inputs["build"]["context"] for r in program.mocks.of("docker:index/image:Image")}
    assert built_from == {str(ROOT / BUILDS[key]) for key in used & BUILDS.keys()}


def test_callees_are_mapped_to_the_own_proxy(program: Program) -> None:
    graph = graph_of(program.stack)
    for service in graph.on(program.stack):
        mapped = program.app(service.name).inputs.get("hosts", [])
        assert {entry["ip"] for entry in mapped} <= {NETWORKS.pod(service.slot).sidecar}, service.name
        calls = graph.calls(Instance(service.name, program.stack))
        assert {c.to for c in calls} <= {entry["host"] for entry in mapped}, service.name
        if not service.calls and not service.egress and service.name != "prometheus":
            assert mapped == [], service.name


def test_every_resource_has_a_provider_that_was_made_for_it(program: Program) -> None:
    for resource in program.mocks.registered:
        package = resource.typ.partition(":")[0]
        if package not in ("pulumi", "agentic-mesh"):
            assert f"pulumi:providers:{package}::" in resource.provider, resource.name


def test_docker_resources_land_on_the_host_of_the_settings(thanos: Program, oracle1: Program) -> None:
    for program in (thanos, oracle1):
        [docker] = program.mocks.of("pulumi:providers:docker")
        assert docker.inputs["host"] == "unix:///var/run/docker.sock"


def test_containers_carry_who_they_are(program: Program) -> None:
    for container in program.containers.values():
        found = labels(container)
        assert found["node"] == program.stack
        assert found["part"] in ("app", "proxy", "gateway", "loader", "preflight"), container.name
        assert found["service"] in container.inputs["name"], container.name
        assert found["image"], container.name


def test_the_plan_asks_no_provider_for_anything(program: Program) -> None:
    """A plan without accounts has nobody to ask; the foundation's stack is the engine's own business."""
    expected = ["pulumi:pulumi:readStackOutputs"] if program.stack == "oracle1" else []
    assert [call.token for call in program.mocks.calls] == expected


def test_both_programs_make_a_bounded_number_of_resources(thanos: Program, oracle1: Program) -> None:
    assert 150 < len(thanos.mocks.registered) < 400
    assert 250 < len(oracle1.mocks.registered) < 600
    assert len(thanos.mocks.of(CONTAINER)) == len(thanos.containers)


def test_what_failed_to_get_healthy_is_made_and_waited_for_again(program: Program) -> None:
    """The provider waits at the creation alone: without it the next deploy would let pass what is still broken."""
    waited = {name: c for name, c in program.containers.items() if c.inputs.get("wait")}
    assert {labels(c)["part"] for c in waited.values()} == {"preflight", "proxy", "gateway"}
    for name, container in waited.items():
        assert container.replace_on_changes == ("#initerror",), name
        # Two of one name there cannot be.
        assert container.delete_before_replace, name

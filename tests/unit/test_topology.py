"""The service table against the architecture's own tables, and the questions to the graph over it."""

import pytest

from tests.unit.samples import FOUR, NODES, ORACLE1, THANOS, graph_of, pods
from topology.catalog import SERVICES
from topology.egress import Outside, outside
from topology.graph import GATEWAY, METRICS, Graph, start_order, with_egress, with_ports
from topology.images import BUILDS, IMAGES, for_architecture
from topology.model import Edge, Instance, Port, Protocol, Rule
from topology.network import METRICS_PORT
from topology.routes import QDRANT_SHARDS, Route, route
from topology.secrets import SECRETS

TWO = Graph(SERVICES, NODES)
WIDE = Graph(SERVICES, FOUR)

# By hand from the architecture's two placement tables, and from the table of containers that extends them.
ARCHITECTURE = (
    # service, node, port, resource
    ("vllm", "thanos", 8000, "GPU"),
    ("qdrant", "thanos", 6333, "RAM"),
    ("embeddings", "thanos", 8001, "GPU"),
    ("whisper", "thanos", 8002, "GPU"),
    ("comfyui", "thanos", 8003, "GPU"),
    ("interpreter", "thanos", 8004, "CPU"),
    ("n8n", "oracle1", 5678, "CPU"),
    ("agents", "oracle1", 8080, "CPU"),
    ("kong", "oracle1", 8000, "CPU"),
    ("redis", "oracle1", 6379, "RAM"),
    ("qdrant-replica", "oracle1", 6334, "RAM"),
    ("prometheus", "oracle1", 9090, "CPU"),
    ("grafana", "oracle1", 3000, "CPU"),
    ("litellm", "oracle1", 8081, "CPU"),
)
CONTAINERS = (
    ("ocr", "thanos", 8005, "GPU"),
    ("postgres", "oracle1", 5432, "RAM"),
    ("alertmanager", "oracle1", 9093, "CPU"),
    ("victorialogs", "oracle1", 9428, "CPU"),
)
PUBLIC = {"edge": 443}
EACH_NODE = {"node-exporter", "blackbox-exporter", "log-shipper", "backup"}
SUPPORT = {
    "thanos": {"qdrant-witness", "gpu-exporter"},
    "oracle1": {"edge", "crowdsec", "embeddings-cpu", "n8n-worker", "n8n-runners"}
    | {"redis-exporter", "postgres-exporter"},
}


@pytest.mark.parametrize("row", ARCHITECTURE + CONTAINERS, ids=lambda row: row[0])
def test_a_row_of_the_architecture(row: tuple[str, str, int, str]) -> None:
    name, node, number, resource = row
    service = TWO.service(name)
    assert TWO.instances(name) == (Instance(name, node),)
    assert service.ports[0].number == number
    assert service.resource == resource


def test_the_table_has_these_rows_and_no_others() -> None:
    rows = {node: {name for name, at, *_ in ARCHITECTURE + CONTAINERS if at == node} for node in SUPPORT}
    for node, support in SUPPORT.items():
        assert {s.name for s in TWO.on(node)} == rows[node] | support | EACH_NODE


def test_only_the_edge_is_public() -> None:
    assert {s.name: s.public_port for s in SERVICES if s.public_port is not None} == PUBLIC


def test_a_card_is_wanted_by_these_services_and_they_run_beside_it() -> None:
    wanted = {s.name for s in SERVICES if s.gpu is not None}
    assert wanted == {"vllm", "embeddings", "whisper", "comfyui", "ocr", "gpu-exporter"}
    assert {s.role for s in SERVICES if s.gpu is not None} == {"gpu"}
    assert [s.name for s in SERVICES if s.gpu is not None and s.gpu.takes_rest] == ["vllm"]


def test_only_foreign_code_runs_under_gvisor() -> None:
    assert {s.name: s.runtime for s in SERVICES if s.runtime} == {"interpreter": "runsc"}


def test_each_port_of_the_architecture_is_published_for_operators_unless_it_is_a_database() -> None:
    for name, node, number, _ in ARCHITECTURE + CONTAINERS:
        closed = name in ("redis", "postgres")
        assert (number in TWO.direct_ports(node)) is not closed, name


@pytest.mark.parametrize(
    ("service", "callers"),
    [
        ("vllm", {"litellm", "blackbox-exporter"}),
        ("qdrant", {"agents", "backup", "qdrant-replica", "qdrant-witness"}),
        ("qdrant-replica", {"agents", "qdrant", "qdrant-witness"}),
        ("interpreter", {"agents"}),
        ("redis", {"agents", "kong", "litellm", "n8n", "n8n-worker", "redis-exporter"}),
        ("postgres", {"agents", "backup", "litellm", "n8n", "n8n-worker", "postgres-exporter"}),
        ("kong", {"edge"}),
        ("edge", {GATEWAY}),
        ("embeddings-cpu", {"agents", "litellm"}),
        ("grafana", set()),
        ("victorialogs", {"log-shipper"}),
    ],
)
def test_callers(service: str, callers: set[str]) -> None:
    assert set(TWO.callers(service)) == callers


def test_the_fallback_may_be_called_by_whom_it_stands_in_for() -> None:
    for service in SERVICES:
        for call in service.calls:
            if call.fallback:
                assert service.name in TWO.callers(call.fallback)


def test_inbound_and_outbound_are_the_two_sides_of_each_edge() -> None:
    for edge in WIDE.edges:
        assert edge in WIDE.inbound(edge.callee)
        assert edge in WIDE.outbound(edge.caller)
    assert sum(len(WIDE.inbound(i)) for i in _everyone(WIDE)) == len(WIDE.edges)
    assert sum(len(WIDE.outbound(i)) for i in _everyone(WIDE)) == len(WIDE.edges)


def _everyone(graph: Graph) -> list[Instance]:
    return [*pods(graph), *(Instance(GATEWAY, node.name) for node in graph.nodes)]


def test_crossing_edges_are_those_between_nodes_and_no_database_is_among_them() -> None:
    crossing = TWO.crossing()
    assert {e.callee.node for e in crossing} == {"thanos", "oracle1"}
    assert all(e.caller.node != e.callee.node for e in crossing)
    assert {e.callee.service for e in crossing} & {"redis", "postgres", "kong", "edge", "prometheus"} == set()
    assert set(crossing) == {e for e in TWO.edges if e.caller.node != e.callee.node}


def test_the_paths_of_an_edge_are_the_callers_own_or_else_the_ports() -> None:
    assert _edge(TWO, "litellm", "oracle1", "vllm", "thanos").routes == ("GET,POST /v1/",)
    assert _edge(TWO, "agents", "oracle1", "qdrant", "thanos").routes == ()
    scrape = next(e for e in TWO.inbound(Instance("vllm", "thanos")) if e.port == METRICS)
    assert scrape.routes == ("GET /stats/prometheus", "GET /metrics")


def _edge(graph: Graph, caller: str, at: str, callee: str, there: str) -> Edge:
    [found] = [
        e for e in graph.edges if (e.caller, e.callee) == (Instance(caller, at), Instance(callee, there))
    ]  # fmt: skip
    return found


def test_backup_reads_the_data_of_its_own_node_alone() -> None:
    assert {e.callee for e in TWO.outbound(Instance("backup", "thanos"))} == {Instance("qdrant", "thanos")}
    assert {e.callee for e in TWO.outbound(Instance("backup", "oracle1"))} == {Instance("postgres", "oracle1")}
    seen = {
        node: {(r.service, r.volume) for r in TWO.reads(TWO.service("backup"), node)} for node in ("thanos", "oracle1")
    }
    # Qdrant is backed up by snapshots that the jobs ask for, not by its files.
    assert seen["thanos"] == set()
    assert ("postgres", "data") in seen["oracle1"]
    assert ("n8n", "data") in seen["oracle1"]
    assert ("embeddings-cpu", "models") not in seen["oracle1"]


def test_reads_of_other_services_are_their_own_row_s() -> None:
    [read] = TWO.reads(TWO.service("crowdsec"), "oracle1")
    assert (read.service, read.volume) == ("edge", "logs")


def test_prometheus_may_scrape_every_pod_and_gateway_and_nobody_else_may() -> None:
    scrapes = [e for e in TWO.edges if e.port == METRICS]
    assert {e.caller for e in scrapes} == {Instance("prometheus", "oracle1")}
    assert {e.callee for e in scrapes} == set(_everyone(TWO))
    assert {e.number for e in scrapes} == {METRICS_PORT}


def test_without_prometheus_nobody_scrapes() -> None:
    assert [e for e in Graph(SERVICES, (THANOS,)).edges if e.port == METRICS] == []
    fewer = tuple(s for s in SERVICES if s.name not in ("prometheus", "grafana"))
    assert [e for e in Graph(fewer, NODES).edges if e.port == METRICS] == []


def test_callees_come_before_their_callers() -> None:
    order = start_order(SERVICES)
    assert sorted(order) == sorted(s.name for s in SERVICES)
    for service in SERVICES:
        for call in service.calls:
            if not call.peer:
                assert order.index(call.to) < order.index(service.name), (call.to, service.name)


def test_what_a_node_publishes() -> None:
    published = TWO.published("thanos")
    assert set(published) == {8000, 8001, 8002, 8003, 8004, 8005, 6333, 6335, 6336, 6338, METRICS_PORT}
    assert published[6333] == ((Instance("qdrant", "thanos"), TWO.service("qdrant").port("api")),)
    scraped = {instance.service for instance, port in published[METRICS_PORT] if port is None}
    assert scraped == {s.name for s in TWO.on("thanos")} | {GATEWAY}
    control = TWO.published("oracle1")
    assert set(control) == {3000, 5678, 6334, 6337, 8000, 8080, 8081, 8082, 9090, 9093, 9427, 9428}
    assert METRICS_PORT not in control


def test_a_node_publishes_no_database_even_when_a_second_control_node_exists() -> None:
    """Called from another control node, it has to be published there, by identity as ever, but never for operators."""
    assert not {5432, 6379} & set(TWO.published("oracle1"))
    assert {5432, 6379} <= set(WIDE.published("oracle1"))
    assert not {5432, 6379} & set(WIDE.direct_ports("oracle1"))


def test_a_setting_moves_the_published_port_and_leaves_the_callers_alone() -> None:
    moved = Graph(with_ports(SERVICES, {"vllm": 18000}), NODES)
    assert 8000 not in moved.published("thanos")
    assert [i.service for i, _ in moved.published("thanos")[18000]] == ["vllm"]
    edge = _edge(moved, "litellm", "oracle1", "vllm", "thanos")
    assert (edge.number, edge.tailnet) == (8000, 18000)
    assert 18000 in moved.direct_ports("thanos")


def test_egress_of_a_node_is_by_exact_name_and_port() -> None:
    alerts = {"email": "you@example.com", "smtpHost": "smtp.example.com"}
    webhook = "https://hooks.example.com/x"
    graph = graph_of("oracle1", n8nHosts=["api.example.com"], alerts=alerts, alertWebhook=webhook)
    egress = graph.egress("oracle1")
    assert egress[Outside("api.anthropic.com")] == ("litellm",)
    assert egress[Outside("openrouter.ai")] == ("litellm",)
    assert egress[Outside("api.example.com")] == ("n8n", "n8n-worker")
    assert egress[Outside("hooks.example.com")] == ("alertmanager",)
    assert egress[Outside("smtp.example.com", 465)] == ("alertmanager",)
    assert egress[Outside("agentic-mesh-backup-oracle1.s3.dualstack.eu-central-1.amazonaws.com")] == ("backup",)
    assert graph.proxied("oracle1")[Outside("huggingface.co")] == ("embeddings-cpu",)
    assert graph.proxied("oracle1")[Outside("*.hf.co")] == ("embeddings-cpu",)
    assert Outside("huggingface.co") not in egress
    assert not any("*" in outside.host or outside.host.startswith("@") for outside in egress)


def test_gateways_tell_two_ports_of_an_outside_host_apart() -> None:
    web, mail = outside("mail.example.com"), outside("mail.example.com:465")
    assert (web.port, mail.port) == (443, 465)
    assert web.sni == "mail.example.com"
    assert web.sni != mail.sni
    assert web.name != mail.name
    assert (mail.host, web.host) == ("mail.example.com", "mail.example.com")


def test_who_has_no_egress_calls_nobody_outside() -> None:
    reaching = {name for names in graph_of("oracle1").egress("oracle1").values() for name in names}
    assert reaching == {"backup", "blackbox-exporter", "crowdsec", "litellm"}
    proxied = {name for names in graph_of("thanos").proxied("thanos").values() for name in names}
    assert proxied == {"vllm", "embeddings", "whisper"}
    thanos = {name for names in graph_of("thanos").egress("thanos").values() for name in names}
    assert "interpreter" not in thanos


def test_groups_are_replaced_and_doubles_dropped() -> None:
    groups = {"backup-store": ("s3.example.com",), "model-hub": ("a.example.com", "a.example.com"), "n8n": ()}
    table = with_egress(SERVICES, {**groups, "alerts": (), "public-edge": ()})
    by_name = {s.name: s.egress for s in table}
    assert {s.name: s.proxied for s in table}["vllm"] == ("a.example.com",)
    assert by_name["n8n"] == ()


@pytest.mark.parametrize("node", ["thanos", "titan"])
def test_a_second_gpu_node_is_more_instances_of_the_same_rows(node: str) -> None:
    assert Instance("vllm", node) in WIDE.instances("vllm")
    stateful = set() if node == "thanos" else {"qdrant", "qdrant-witness"}
    assert {s.name for s in WIDE.on(node)} == {s.name for s in TWO.on("thanos")} - stateful
    callers = {e.caller for e in WIDE.inbound(Instance("vllm", node)) if e.port == "api"}
    assert {c for c in callers if c.service == "litellm"} == {
        Instance("litellm", "oracle1"),
        Instance("litellm", "oracle2"),
    }
    assert set(WIDE.published(node)) == set(TWO.published("thanos")) - ({6333, 6335, 6336, 6338} if stateful else set())


def test_what_keeps_state_runs_once() -> None:
    for service in SERVICES:
        instances = WIDE.instances(service.name)
        assert len(instances) == 1 or not service.single, service.name
    assert [i.node for i in WIDE.instances("qdrant")] == ["thanos"]
    assert [i.node for i in WIDE.instances("postgres")] == ["oracle1"]
    assert {i.node for i in WIDE.instances("agents")} == {"oracle1", "oracle2"}
    assert WIDE.calls(Instance("backup", "titan")) == ()


def test_every_node_s_rows_are_on_each_of_four_nodes() -> None:
    for name in EACH_NODE:
        assert {i.node for i in WIDE.instances(name)} == {n.name for n in FOUR}


def test_three_nodes_with_one_gateway_to_the_world() -> None:
    three = Graph(SERVICES, FOUR[:3])
    assert {e.callee.node for e in three.crossing() if e.callee.service == "embeddings"} == {"thanos", "titan"}
    edges = [e for e in three.edges if e.callee.service == "edge" and e.port != METRICS]
    assert [e.caller for e in edges] == [Instance(GATEWAY, "oracle1")]


def test_questions_about_strangers_are_errors() -> None:
    with pytest.raises(KeyError):
        TWO.service("nobody")
    with pytest.raises(KeyError, match="service 'vllm' has no port 'peer'"):
        TWO.service("vllm").port("peer")
    assert TWO.inbound(Instance("nobody", "thanos")) == ()


def test_names_of_an_instance() -> None:
    instance = Instance("vllm", "thanos")
    assert instance.host == "vllm.thanos"
    assert instance.sni == "vllm.thanos.agentic-mesh"
    assert instance.identity == "spiffe://agentic-mesh/thanos/vllm"


def test_ports_of_a_port() -> None:
    assert (Port(number=1).app_port, Port(number=1, target=2).app_port) == (1, 2)
    assert (Port(number=1).tailnet_port, Port(number=1, published=2).tailnet_port) == (1, 2)
    assert TWO.service("qdrant-replica").port("peer").app_port == 6335


def test_every_peer_of_the_vector_cluster_may_fetch_shards_from_the_others_at_their_own_rest_port() -> None:
    """A peer names itself by its own port: the one that others call has to be the one that it listens on."""
    peers = [s for s in SERVICES if s.name.startswith("qdrant")]
    assert len(peers) == 3
    for peer in peers:
        rest = peer.port("api")
        assert rest.number == rest.app_port == peer.probe.port
        others = {other.name for other in peers} - {peer.name}
        assert {call.to for call in peer.calls if call.port == "api" and call.routes == QDRANT_SHARDS} == others
        assert "/qdrant/snapshots" in {volume.path for volume in peer.volumes}


def test_each_image_of_the_table_is_there_and_each_that_is_there_is_used() -> None:
    used = {s.image for s in SERVICES}
    used |= {for_architecture(key, architecture) for key in used for architecture in ("amd64", "arm64")}
    assert used <= IMAGES.keys() | BUILDS.keys()
    assert (IMAGES.keys() | BUILDS.keys()) - used == {"envoy", "busybox"}
    assert not IMAGES.keys() & BUILDS.keys()


def test_every_image_has_a_digest_but_one_that_no_source_at_hand_gives() -> None:
    """It may become fewer: a digest is resolved where a registry can be asked, and never invented."""
    assert {key for key, image in IMAGES.items() if not image.pinned} == {"vlagent"}


def test_waivers_say_why_and_name_what_they_waive() -> None:
    for service in SERVICES:
        for waiver in service.waivers:
            assert len(waiver.reason.split()) >= 4, service.name
            assert bool(waiver.value) is (waiver.rule in (Rule.CAPABILITY, Rule.WRITABLE_EXEC)), service.name


def test_root_is_waived_exactly_where_a_service_runs_as_root() -> None:
    assert {s.name for s in SERVICES if s.user.startswith("0:")} == {
        s.name for s in SERVICES if s.waived(Rule.NON_ROOT)
    }


def test_host_mounts_are_waived_and_read_only_looks_never_at_the_socket() -> None:
    assert {s.name for s in SERVICES if s.host_mounts} == {s.name for s in SERVICES if s.waived(Rule.HOST_MOUNT)}
    assert not any("docker.sock" in m.source for s in SERVICES for m in s.host_mounts)


def test_each_service_has_limits_and_a_probe_of_its_app() -> None:
    for service in SERVICES:
        assert service.memory_mib >= 64, service.name
        assert service.cpus > 0, service.name
        assert service.processes >= 64, service.name
        assert 60 <= service.start_seconds <= 3600, service.name
        assert service.probe.path is None or service.probe.path.startswith("/"), service.name


def test_databases_are_known_by_identity_alone() -> None:
    assert {s.name for s in SERVICES for p in s.ports if p.protocol is Protocol.TCP} == {"edge", "redis", "postgres"}


def test_apps_that_leave_routes_open_have_an_allow_list() -> None:
    listed = {s.name for s in SERVICES for p in s.ports if p.routes}
    models = {"vllm", "embeddings", "embeddings-cpu", "whisper", "ocr"}
    assert listed == models | {"interpreter", "agents", "litellm", "victorialogs", "qdrant-witness"}


def covers(wide: Route, narrow: Route) -> bool:
    """Whether the one lets through all that the other does."""
    path = narrow.path == wide.path or (wide.path.endswith("/") and narrow.path.startswith(wide.path))
    return path and (not wide.methods or (bool(narrow.methods) and set(narrow.methods) <= set(wide.methods)))


def test_callers_ask_for_routes_that_the_port_lets_them_have() -> None:
    """What is outside of the port's own list was never meant for callers."""
    for service in SERVICES:
        for call in service.calls:
            allowed = [route(entry) for entry in TWO.service(call.to).port(call.port).routes]
            for entry in call.routes:
                covered = any(covers(wide, route(entry)) for wide in allowed)
                assert not allowed or covered, (service.name, call.to, entry)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("/v1/", Route("/v1/")),
        ("GET /health", Route("/health", ("GET",))),
        ("GET,POST /v1/", Route("/v1/", ("GET", "POST"))),
    ],
)
def test_a_route_is_read(entry: str, expected: Route) -> None:
    assert route(entry) == expected


@pytest.mark.parametrize("entry", ["", "v1/", "get /v1/", "GET  /v1/", "GET, POST /v1/", "GET", "/v1/?a=b", "GET /a b"])
def test_what_is_no_route_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match="no route; write it like"):
        route(entry)


def test_secrets_go_to_services_of_the_table() -> None:
    assert {reader for s in SECRETS for reader in s.readers} <= {s.name for s in SERVICES}


def test_graphs_of_one_node() -> None:
    assert Graph(SERVICES, (ORACLE1,)).crossing() == ()
    assert {i.node for i in pods(Graph(SERVICES, (ORACLE1,)))} == {"oracle1"}
    assert Graph(SERVICES, (THANOS,)).instances("kong") == ()

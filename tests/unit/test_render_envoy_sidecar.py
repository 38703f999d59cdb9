"""Each pod's proxy lets in whom the graph says, reaches whom the graph says, and nothing else."""

import json
import re
from typing import Any

import pytest

from render.envoy import sidecar_config
from render.envoy.sidecar import callee_names
from tests.unit import envoy
from tests.unit.samples import FOUR, NETWORKS, graph_of, pods
from topology.catalog import SERVICES
from topology.egress import outside
from topology.graph import GATEWAY, METRICS, Graph
from topology.model import Instance, Protocol, Service
from topology.network import EGRESS_PORT, FORWARD_PORT, METRICS_PORT, PodAddresses

LOOPBACK = "127.0.0.1"
ADMIN, HEALTH = (LOOPBACK, 9901), (LOOPBACK, 9902)
OPERATORS = "spiffe://agentic-mesh/operator/*"
GRAPHS = {
    "thanos": graph_of("thanos", domain="mesh.example.org"),
    "oracle1": graph_of(
        "oracle1",
        n8nHosts=["api.example.com"],
        alerts={"smtpHost": "mail.example.com"},
        alertWebhook="https://hooks.example.com/x",
    ),
}
PODS = [instance for node, graph in GRAPHS.items() for instance in pods(graph) if instance.node == node]


class Sidecar:
    """A pod's proxy and what it is made from."""

    def __init__(self, instance: Instance, graph: Graph | None = None) -> None:
        self.instance = instance
        self.graph = graph or GRAPHS[instance.node]
        self.service: Service = self.graph.service(instance.service)
        self.pod: PodAddresses = NETWORKS.pod(self.service.slot)
        self.config: dict[str, Any] = sidecar_config(self.graph, NETWORKS, instance)
        self.listeners = envoy.listeners(self.config)
        self.clusters = envoy.clusters(self.config)

    def chain(self, listener: str) -> envoy.Config:
        """The only filter chain of a listener."""
        [chain] = self.listeners[listener]["filter_chains"]
        return dict(chain)


@pytest.fixture(params=PODS, ids=lambda instance: instance.host)
def sidecar(request: pytest.FixtureRequest) -> Sidecar:
    return Sidecar(request.param)


def test_it_lets_in_exactly_the_callers_of_the_graph(sidecar: Sidecar) -> None:
    inbound = sidecar.graph.inbound(sidecar.instance)
    for port in sidecar.service.ports:
        http = port.protocol is not Protocol.TCP
        expected = {
            e.caller.identity: frozenset(e.routes if http else ()) for e in inbound if e.port == port.name
        }  # fmt: skip
        if port.direct:
            expected[OPERATORS] = frozenset(port.routes if http else ())
        assert envoy.callers(sidecar.chain(f"in-{port.name}")) == expected
    scrapers = {e.caller.identity: frozenset(e.routes) for e in inbound if e.port == METRICS}
    assert envoy.callers(sidecar.chain(METRICS)) == scrapers
    assert scrapers


def test_it_listens_where_it_must_and_nowhere_else(sidecar: Sidecar) -> None:
    """Never on every address: who reaches an address is what the networks decide."""
    pod, graph = sidecar.pod, sidecar.graph
    expected = {ADMIN, HEALTH, (pod.mesh, METRICS_PORT)}
    expected |= {(pod.mesh, port.number) for port in sidecar.service.ports}
    expected |= {(pod.sidecar, graph.service(c.to).port(c.port).number) for c in graph.calls(sidecar.instance)}
    expected |= {(pod.sidecar, METRICS_PORT) for e in graph.outbound(sidecar.instance) if e.port == METRICS}
    expected |= {(pod.sidecar, outside(entry).port) for entry in sidecar.service.egress}
    if sidecar.service.proxied:
        expected.add((pod.sidecar, FORWARD_PORT))
    assert sorted(envoy.places(sidecar.config)) == sorted(expected)


def test_whoever_comes_in_shows_a_certificate_of_the_mesh(sidecar: Sidecar) -> None:
    for name, listener in sidecar.listeners.items():
        host, _ = envoy.place(listener["address"])
        tls = envoy.of_type(listener, "DownstreamTlsContext")
        assert len(tls) == (1 if host == sidecar.pod.mesh else 0), name
        for context in tls:
            assert context["require_client_certificate"] is True
            common = context["common_tls_context"]
            assert common["validation_context"]["trusted_ca"] == {"filename": "/etc/agentic-mesh/tls/ca.pem"}
            # As a client Envoy offers 1.2 at most unless it is told, so that both ends say both.
            limits = {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"}
            assert common["tls_params"] == limits


def test_whoever_shows_none_is_let_go_and_takes_up_no_connection_of_the_app(sidecar: Sidecar) -> None:
    for name, listener in sidecar.listeners.items():
        for chain in listener["filter_chains"]:
            if "transport_socket" in chain:
                assert chain["transport_socket_connect_timeout"] == "10s", name
                for proxy in envoy.of_type(chain, "TcpProxy"):
                    assert proxy["upstream_connect_mode"] == "ON_DOWNSTREAM_TLS_HANDSHAKE", name
                    # Who is no caller does not get that far.
                    tls = chain["transport_socket"]["typed_config"]["common_tls_context"]["validation_context"]
                    named = {next(iter(n["matcher"].values())) for n in tls["match_typed_subject_alt_names"]}
                    assert named == {identity.rstrip("*") for identity in envoy.callers(chain)}, name


def test_the_admin_interface_answers_prometheus_one_path_and_nobody_else(sidecar: Sidecar) -> None:
    to_admin = [
        route
        for manager in envoy.of_type(sidecar.config, "HttpConnectionManager")
        for host in manager["route_config"]["virtual_hosts"]
        for route in host["routes"]
        if route["route"]["cluster"] == "admin"
    ]
    assert [route["match"] for route in to_admin] == [{"path": "/stats/prometheus"}]
    assert envoy.endpoints(sidecar.clusters["admin"]) == [(0, ADMIN)]


def test_no_default_time_limit_cuts_a_stream(sidecar: Sidecar) -> None:
    managers = envoy.of_type(sidecar.config, "HttpConnectionManager")
    for manager in managers:
        if manager["stat_prefix"] != "health":
            assert manager["stream_idle_timeout"] == "0s"
            wanted = "CONNECT" if manager["stat_prefix"] == "forward-proxy" else "websocket"
            assert {"upgrade_type": wanted} in manager["upgrade_configs"]
    routes = [found["route"] for found in envoy.objects(sidecar.config) if isinstance(found.get("route"), dict)]
    assert routes
    assert {route["timeout"] for route in routes} == {"0s"}
    assert {proxy["idle_timeout"] for proxy in envoy.of_type(sidecar.config, "TcpProxy")} <= {"0s"}
    assert len(managers) > 1


def test_callers_cannot_forge_who_they_are(sidecar: Sidecar) -> None:
    for name, listener in sidecar.listeners.items():
        for manager in envoy.of_type(listener, "HttpConnectionManager"):
            inbound = name == METRICS or name.startswith("in-")
            expected = "SANITIZE_SET" if inbound else "SANITIZE"
            if name != "health":
                assert manager["forward_client_cert_details"] == expected, name


def test_authorization_comes_before_the_app_and_after_nothing_but_the_health_check(sidecar: Sidecar) -> None:
    for name in [METRICS, *(f"in-{p.name}" for p in sidecar.service.ports if p.protocol is not Protocol.TCP)]:
        [manager] = envoy.of_type(sidecar.chain(name), "HttpConnectionManager")
        filters = [f["name"].rpartition(".")[2] for f in manager["http_filters"]]
        assert filters == ([] if name == METRICS else ["health_check"]) + ["rbac", "router"], name


def test_escaped_slashes_are_refused_where_paths_decide(sidecar: Sidecar) -> None:
    for name in [METRICS, *(f"in-{p.name}" for p in sidecar.service.ports if p.protocol is not Protocol.TCP)]:
        [manager] = envoy.of_type(sidecar.chain(name), "HttpConnectionManager")
        decides = any(envoy.callers(sidecar.chain(name)).values())
        action = manager["path_with_escaped_slashes_action"]
        assert action == ("REJECT_REQUEST" if decides or name == METRICS else "KEEP_UNCHANGED"), name
        assert (manager["normalize_path"], manager["merge_slashes"]) == (True, True)


def test_it_reaches_exactly_the_callees_of_the_graph_by_their_identity(sidecar: Sidecar) -> None:
    reached: set[tuple[str, str, int]] = set()
    for name, cluster in sidecar.clusters.items():
        if name.startswith("to-"):
            ends = envoy.endpoints(cluster)
            contexts = envoy.of_type(cluster, "UpstreamTlsContext")
            assert len(ends) == len(contexts), name
            for (_, (host, number)), context in zip(ends, contexts, strict=True):
                [identity] = envoy.expected_identities({"x": context})
                reached.add((identity, host, number))
    expected = {
        (e.callee.identity, _place(sidecar, e.callee), e.number) for e in sidecar.graph.outbound(sidecar.instance)
    }
    assert reached == expected


def _place(sidecar: Sidecar, callee: Instance) -> str:
    """The callee's proxy on the own node, the own gateway for all others."""
    if callee.node != sidecar.instance.node or callee.service == GATEWAY:
        return NETWORKS.gateway_mesh
    return NETWORKS.pod(sidecar.graph.service(callee.service).slot).mesh


def test_each_tls_context_asks_for_the_name_of_the_identity_it_expects(sidecar: Sidecar) -> None:
    for name, cluster in sidecar.clusters.items():
        if name.startswith("to-"):
            for context in envoy.of_type(cluster, "UpstreamTlsContext"):
                [identity] = envoy.expected_identities({"x": context})
                _, node, service = identity.removeprefix("spiffe://").split("/")
                assert context["sni"] == f"{service}.{node}.agentic-mesh"


def test_the_app_finds_each_callee_by_the_names_that_are_mapped_to_the_proxy(sidecar: Sidecar) -> None:
    hosts = {
        domain.partition(":")[0]
        for name, listener in sidecar.listeners.items()
        if name.startswith("out-")
        for found in envoy.objects(listener)
        for domain in found.get("domains", ())
    }
    tcp = {c.to for c in sidecar.graph.calls(sidecar.instance) if _protocol(sidecar, c.to, c.port) is Protocol.TCP}
    names = set(callee_names(sidecar.graph, sidecar.instance))
    assert hosts | tcp | {outside(entry).host for entry in sidecar.service.egress} == names


def _protocol(sidecar: Sidecar, service: str, port: str) -> Protocol:
    return sidecar.graph.service(service).port(port).protocol


def test_a_callee_that_is_down_is_not_called(sidecar: Sidecar) -> None:
    for name, cluster in sidecar.clusters.items():
        if name.startswith("to-") and not name.endswith(METRICS):
            assert cluster["health_checks"], name
            assert cluster["common_lb_config"] == {"healthy_panic_threshold": {"value": 0}}, name


def test_the_way_out_is_by_exact_name_to_the_own_gateway(sidecar: Sidecar) -> None:
    entries = [outside(entry) for entry in sidecar.service.egress]
    for entry in entries:
        chain = envoy.server_names(sidecar.listeners[f"egress-{entry.port}"])[entry.host]
        [proxy] = envoy.of_type(chain, "TcpProxy")
        cluster = sidecar.clusters[proxy["cluster"]]
        assert envoy.endpoints(cluster) == [(0, (NETWORKS.gateway_mesh, EGRESS_PORT))]
        [context] = envoy.of_type(cluster, "UpstreamTlsContext")
        assert context["sni"] == entry.sni
        assert envoy.expected_identities(cluster) == {f"spiffe://agentic-mesh/{sidecar.instance.node}/gateway"}
    out = [name for name in sidecar.listeners if name.startswith("egress")]
    assert sum(len(sidecar.listeners[name]["filter_chains"]) for name in out) == len(entries)
    assert len([name for name in sidecar.clusters if name.startswith("egress")]) == len(entries)


def test_the_forward_proxy_takes_connect_alone_and_hands_it_to_the_own_gateway(sidecar: Sidecar) -> None:
    assert ("forward-proxy" in sidecar.listeners) is bool(sidecar.service.proxied)
    if not sidecar.service.proxied:
        return
    [manager] = envoy.of_type(sidecar.listeners["forward-proxy"], "HttpConnectionManager")
    [host] = manager["route_config"]["virtual_hosts"]
    assert [found["match"] for found in host["routes"]] == [{"connect_matcher": {}}]
    assert manager["upgrade_configs"] == [{"upgrade_type": "CONNECT"}]
    cluster = sidecar.clusters[host["routes"][0]["route"]["cluster"]]
    assert envoy.endpoints(cluster) == [(0, (NETWORKS.gateway_mesh, EGRESS_PORT))]
    [context] = envoy.of_type(cluster, "UpstreamTlsContext")
    assert context["sni"] == f"gateway.{sidecar.instance.node}.agentic-mesh"
    assert envoy.expected_identities(cluster) == {f"spiffe://agentic-mesh/{sidecar.instance.node}/gateway"}


def test_addresses_are_fixed_so_that_it_starts_at_once(sidecar: Sidecar) -> None:
    assert {cluster["type"] for cluster in sidecar.clusters.values()} == {"STATIC"}


def test_it_asks_its_app_as_the_table_says(sidecar: Sidecar) -> None:
    probe = sidecar.clusters["probe"]
    assert envoy.endpoints(probe) == [(0, (sidecar.pod.app, sidecar.service.probe.port))]
    [check] = probe["health_checks"]
    path = sidecar.service.probe.path
    assert ("tcp_health_check" in check) is (path is None)
    if path is not None:
        assert check["http_health_check"]["path"] == path
    [health] = envoy.of_type(sidecar.listeners["health"], "HealthCheck")
    assert health["cluster_min_healthy_percentages"] == {"probe": {"value": 100}}


def test_ports_lead_to_the_app(sidecar: Sidecar) -> None:
    for port in sidecar.service.ports:
        assert envoy.endpoints(sidecar.clusters[f"app-{port.name}"]) == [(0, (sidecar.pod.app, port.app_port))]
    if sidecar.service.metrics:
        ends = envoy.endpoints(sidecar.clusters["app-metrics"])
        assert ends == [(0, (sidecar.pod.app, sidecar.service.metrics.port))]
    assert ("app-metrics" in sidecar.clusters) is (sidecar.service.metrics is not None)


def test_each_request_and_connection_leaves_a_line_with_its_caller(sidecar: Sidecar) -> None:
    for name, listener in sidecar.listeners.items():
        if name != "health":
            logs = envoy.of_type(listener, "StdoutAccessLog")
            assert logs, name
            for log in logs:
                fields = log["log_format"]["json_format"]
                assert fields["caller"] == "%DOWNSTREAM_PEER_URI_SAN%"
                assert not any("COOKIE" in f or "AUTHORIZATION" in f.upper() for f in fields.values())


def test_it_is_plain_json_with_a_bound_on_connections(sidecar: Sidecar) -> None:
    assert json.loads(json.dumps(sidecar.config)) == sidecar.config
    [bound] = envoy.of_type(sidecar.config["overload_manager"], "DownstreamConnectionsConfig")
    assert 0 < bound["max_active_downstream_connections"] <= 65536


def test_the_fallback_has_a_lower_priority() -> None:
    agents = Sidecar(Instance("agents", "oracle1"))
    assert envoy.endpoints(agents.clusters["to-qdrant-api"]) == [
        (0, (NETWORKS.gateway_mesh, 6333)),
        (1, (NETWORKS.pod(33).mesh, 6334)),
    ]


def test_every_instance_of_a_callee_is_reached_and_told_apart() -> None:
    litellm = Sidecar(Instance("litellm", "oracle1"), Graph(SERVICES, FOUR))
    cluster = litellm.clusters["to-vllm-api"]
    assert [priority for priority, _ in envoy.endpoints(cluster)] == [0, 0]
    assert envoy.expected_identities(cluster) == {
        "spiffe://agentic-mesh/thanos/vllm",
        "spiffe://agentic-mesh/titan/vllm",
    }
    chosen = [
        end["metadata"]["filter_metadata"]["envoy.transport_socket_match"]["instance"]
        for group in cluster["load_assignment"]["endpoints"]
        for end in group["lb_endpoints"]
    ]
    assert chosen == [match["match"]["instance"] for match in cluster["transport_socket_matches"]]
    assert "outlier_detection" in cluster


def test_two_callees_on_one_port_are_told_apart_by_name() -> None:
    witness = Sidecar(Instance("qdrant-replica", "oracle1"))
    agents = Sidecar(Instance("n8n", "oracle1"))
    for sidecar, number in ((witness, 6335), (agents, 8080)):
        hosts = [f for f in envoy.objects(sidecar.listeners[f"out-{number}"]) if "domains" in f]
        for host in hosts:
            assert host["domains"] == [host["name"], f"{host['name']}:{number}"]


def test_members_of_the_cluster_speak_http2_to_the_app() -> None:
    qdrant = Sidecar(Instance("qdrant", "thanos"))
    assert envoy.of_type(qdrant.clusters["app-peer"], "HttpProtocolOptions")
    assert not envoy.of_type(qdrant.clusters["app-api"], "HttpProtocolOptions")


def test_the_edge_takes_clients_addresses_from_the_gateway_alone() -> None:
    edge = Sidecar(Instance("edge", "oracle1"))
    assert envoy.callers(edge.chain("in-public")) == {"spiffe://agentic-mesh/oracle1/gateway": frozenset()}
    assert envoy.of_type(edge.listeners["in-public"]["listener_filters"], "ProxyProtocol")
    assert envoy.of_type(edge.clusters["app-public"], "ProxyProtocolUpstreamTransport")
    others = [Sidecar(instance) for instance in PODS if instance.service != "edge"]
    assert not any(envoy.of_type(other.config, "ProxyProtocol") for other in others)


@pytest.mark.parametrize(
    ("port", "method", "path", "again"),
    [
        (8081, "GET", "/v1/models", True),
        (8081, "HEAD", "/v1/models", True),
        (8081, "POST", "/v1/chat/completions", False),
        (6333, "GET", "/collections", True),
        (6333, "POST", "/collections/documents/points/query", True),
        (6333, "POST", "/collections/documents/points/search/batch", True),
        (6333, "POST", "/collections/documents/points/scroll", True),
        (6333, "POST", "/collections/documents/points/delete", False),
        (6333, "POST", "/collections/documents/points", False),
        (6333, "PUT", "/collections/documents/points/query", False),
        (6333, "DELETE", "/collections/documents", False),
        (8001, "POST", "/v1/embeddings", True),
        (8001, "POST", "/v1/embeddings/other", False),
    ],
)
def test_only_what_reads_is_sent_again_after_the_callee_may_have_seen_it(
    port: int, method: str, path: str, again: bool
) -> None:
    agents = Sidecar(Instance("agents", "oracle1"))
    routes = [f for f in envoy.objects(agents.listeners[f"out-{port}"]) if "retry_policy" in f.get("route", {})]

    def takes(match: envoy.Config) -> bool:
        there = "safe_regex" not in match or re.fullmatch(match["safe_regex"]["regex"], path) is not None
        return there and all(
            re.fullmatch(header["string_match"]["safe_regex"]["regex"], method) for header in match.get("headers", ())
        )

    retry_on = next(r for r in routes if takes(r["match"]))["route"]["retry_policy"]["retry_on"].split(",")
    assert ("reset" in retry_on) is again
    assert {"connect-failure", "refused-stream"} <= set(retry_on)

"""A node's gateway passes the mesh's TLS on by name, lets out whom the table says, and listens nowhere else."""

import json
from typing import Any

import pytest

from render.envoy import gateway_config
from tests.unit import envoy
from tests.unit.samples import FOUR, NETWORKS, NODES, ORACLE1, THANOS, graph_of
from topology.catalog import SERVICES
from topology.graph import GATEWAY, METRICS, Graph, with_ports
from topology.model import Instance, Node
from topology.network import EGRESS_PORT, METRICS_PORT

LOOPBACK = "127.0.0.1"
PUBLIC = 10443


class Gateway:
    """The gateway of a node, by default in the graph that the node's own stack plans."""

    def __init__(self, node: str, graph: Graph | None = None) -> None:
        self.node = node
        self.graph = graph or graph_of(node)
        self.config: dict[str, Any] = gateway_config(self.graph, NETWORKS, node)
        self.listeners = envoy.listeners(self.config)
        self.clusters = envoy.clusters(self.config)

    def behind(self, chain: envoy.Config) -> list[tuple[str, int]]:
        """Where a chain that passes connections on leads to."""
        [proxy] = envoy.of_type(chain, "TcpProxy")
        return [place for _, place in envoy.endpoints(self.clusters[proxy["cluster"]])]

    def mesh(self, instance: Instance) -> str:
        """The address of a pod's proxy, or of the gateway, on the inner network."""
        if instance.service == GATEWAY:
            return NETWORKS.gateway_mesh
        return NETWORKS.pod(self.graph.service(instance.service).slot).mesh


WIDE = Graph(SERVICES, FOUR)
MOVED = Graph(with_ports(SERVICES, {"vllm": 18000, "qdrant-replica": 16334}), NODES)
CASES = {
    "thanos": lambda: Gateway("thanos"),
    "oracle1": lambda: Gateway("oracle1"),
    "thanos of four": lambda: Gateway("thanos", WIDE),
    "oracle2 of four": lambda: Gateway("oracle2", WIDE),
    "thanos with other ports": lambda: Gateway("thanos", MOVED),
    "oracle1 with other ports": lambda: Gateway("oracle1", MOVED),
    "thanos alone": lambda: Gateway("thanos", Graph(SERVICES, (THANOS,))),
    "oracle1 alone": lambda: Gateway("oracle1", Graph(SERVICES, (ORACLE1,))),
}


@pytest.fixture(params=list(CASES))
def gateway(request: pytest.FixtureRequest) -> Gateway:
    return CASES[request.param]()


def test_published_ports_lead_by_name_to_the_pods_behind_them(gateway: Gateway) -> None:
    published = gateway.graph.published(gateway.node)
    names = {name for name in gateway.listeners if name.startswith("tailnet-")}
    assert names == {f"tailnet-{number}" for number in published}
    for number, targets in published.items():
        listener = gateway.listeners[f"tailnet-{number}"]
        assert envoy.place(listener["address"]) == (NETWORKS.gateway_outside, number)
        chains = envoy.server_names(listener)
        assert set(chains) == {instance.sni for instance, _ in targets}
        for instance, port in targets:
            inner = METRICS_PORT if port is None else port.number
            assert gateway.behind(chains[instance.sni]) == [(gateway.mesh(instance), inner)]


def test_connections_to_other_nodes_go_to_what_these_publish(gateway: Gateway) -> None:
    expected: dict[int, dict[str, tuple[str, int]]] = {METRICS_PORT: {}}
    for edge in gateway.graph.crossing():
        if edge.caller.node == gateway.node:
            address = gateway.graph.node(edge.callee.node).address
            expected.setdefault(edge.number, {})[edge.callee.sni] = (address, edge.tailnet)
            assert edge.tailnet in gateway.graph.published(edge.callee.node)
    assert {n for n in gateway.listeners if n.startswith("remote-")} == {f"remote-{number}" for number in expected}
    for number, remote in expected.items():
        listener = gateway.listeners[f"remote-{number}"]
        assert envoy.place(listener["address"]) == (NETWORKS.gateway_mesh, number)
        chains = envoy.server_names(listener)
        own = {f"gateway.{gateway.node}.agentic-mesh"} if number == METRICS_PORT else set()
        assert set(chains) == set(remote) | own
        for name, place in remote.items():
            assert gateway.behind(chains[name]) == [place]


def test_it_listens_nowhere_else(gateway: Gateway) -> None:
    expected = {(LOOPBACK, 9901), (LOOPBACK, 9902), (NETWORKS.gateway_mesh, METRICS_PORT)}
    expected |= {(NETWORKS.gateway_outside, number) for number in gateway.graph.published(gateway.node)}
    crossing = {e.number for e in gateway.graph.crossing() if e.caller.node == gateway.node}
    expected |= {(NETWORKS.gateway_mesh, number) for number in crossing}
    if gateway.graph.node(gateway.node).role == "control":
        expected.add((NETWORKS.gateway_outside, PUBLIC))
    if gateway.graph.egress(gateway.node) or gateway.graph.proxied(gateway.node):
        expected.add((NETWORKS.gateway_mesh, EGRESS_PORT))
    assert sorted(envoy.places(gateway.config)) == sorted(expected)


def test_tls_of_the_mesh_ends_at_the_sidecars(gateway: Gateway) -> None:
    """What passes by name is not opened: only its own metrics and the way out end their TLS here."""
    for name, listener in gateway.listeners.items():
        for chain in listener["filter_chains"]:
            names = chain.get("filter_chain_match", {}).get("server_names", [""])
            own = names == [f"gateway.{gateway.node}.agentic-mesh"] and "transport_socket" in chain
            opened = name == "egress" or (own and name == f"remote-{METRICS_PORT}")
            tls = envoy.of_type(chain, "DownstreamTlsContext")
            assert len(tls) == int(opened), (name, names)
            assert all(context["require_client_certificate"] for context in tls)


def test_its_own_metrics_are_for_prometheus_alone(gateway: Gateway) -> None:
    me = Instance(GATEWAY, gateway.node)
    chain = envoy.server_names(gateway.listeners[f"remote-{METRICS_PORT}"])[me.sni]
    scrapers = {e.caller.identity for e in gateway.graph.inbound(me) if e.port == METRICS}
    assert envoy.callers(chain) == {identity: frozenset({"GET /stats/prometheus"}) for identity in scrapers}
    routes = [found for found in envoy.objects(chain) if "route" in found]
    assert [(r["match"], r["route"]["cluster"]) for r in routes] == [({"path": "/stats/prometheus"}, "admin")]


def test_each_outside_host_is_open_to_those_of_the_table_and_nobody_else(gateway: Gateway) -> None:
    egress = gateway.graph.egress(gateway.node)
    proxied = gateway.graph.proxied(gateway.node)
    assert ("egress" in gateway.listeners) is bool(egress or proxied)
    if egress:
        chains = envoy.server_names(gateway.listeners["egress"])
        own = {Instance(GATEWAY, gateway.node).sni} if proxied else set()
        assert set(chains) == {host.sni for host in egress} | own
        for host, services in egress.items():
            chain = chains[host.sni]
            assert envoy.callers(chain) == {
                f"spiffe://agentic-mesh/{gateway.node}/{service}": frozenset() for service in services
            }
            assert gateway.behind(chain) == [(host.host, host.port)]
            # Nothing is connected to the outside before it is known who asks.
            assert chain["transport_socket_connect_timeout"] == "10s"
            [proxy] = envoy.of_type(chain, "TcpProxy")
            assert proxy["upstream_connect_mode"] == "ON_DOWNSTREAM_TLS_HANDSHAKE"


def test_only_outside_names_are_looked_up(gateway: Gateway) -> None:
    looked_up = {name for name, cluster in gateway.clusters.items() if cluster.get("type") != "STATIC"}
    by_name = {"outside-by-name"} if gateway.graph.proxied(gateway.node) else set()
    assert looked_up == {f"outside-{host.name}" for host in gateway.graph.egress(gateway.node)} | by_name


def test_the_forward_proxy_lets_its_services_out_to_their_names_and_nobody_else(gateway: Gateway) -> None:
    proxied = gateway.graph.proxied(gateway.node)
    inside = {name for name, listener in gateway.listeners.items() if "internal_listener" in listener}
    assert inside == {f"forward-proxy-{host.name}" for host in proxied}
    if not proxied:
        return
    chain = envoy.server_names(gateway.listeners["egress"])[Instance(GATEWAY, gateway.node).sni]
    expected = {
        f"spiffe://agentic-mesh/{gateway.node}/{service}": frozenset(
            host.authority for host, services in proxied.items() if service in services
        )
        for service in {name for services in proxied.values() for name in services}
    }
    assert envoy.callers(chain) == expected
    [manager] = envoy.of_type(chain, "HttpConnectionManager")
    assert [a["typed_config"]["log_format"]["json_format"]["setting"] for a in manager["access_log"]] == [
        "agentic-mesh:modelHub"
    ]
    for host in proxied:
        # TLS for the name of the entry alone, and the name that it says is the one that is dialled.
        chains = envoy.server_names(gateway.listeners[f"forward-proxy-{host.name}"])
        assert set(chains) == {host.host}
        [by_name] = envoy.of_type(chains[host.host], "FilterConfig")
        assert by_name["port_value"] == 443


def test_connections_have_no_time_limit(gateway: Gateway) -> None:
    proxies = envoy.of_type(gateway.config, "TcpProxy")
    assert proxies or len(gateway.graph.nodes) == 1
    assert {proxy["idle_timeout"] for proxy in proxies} <= {"0s"}
    for manager in envoy.of_type(gateway.config, "HttpConnectionManager"):
        assert manager["stat_prefix"] == "health" or manager["stream_idle_timeout"] == "0s"


def test_each_chain_leads_somewhere_and_each_cluster_is_led_to(gateway: Gateway) -> None:
    used = {
        found["cluster"]
        for found in envoy.objects(gateway.config["static_resources"]["listeners"])
        if "cluster" in found
    }
    assert used | {"admin"} == set(gateway.clusters)


def test_it_is_plain_json(gateway: Gateway) -> None:
    assert json.loads(json.dumps(gateway.config)) == gateway.config
    assert gateway.config["node"] == {"id": f"gateway.{gateway.node}", "cluster": GATEWAY}


def test_the_public_port_goes_to_the_edge_with_the_client_s_address() -> None:
    gateway = Gateway("oracle1")
    [chain] = gateway.listeners["public-443"]["filter_chains"]
    assert gateway.behind(chain) == [(NETWORKS.pod(20).mesh, 8443)]
    cluster = gateway.clusters["public-443"]
    [protocol] = envoy.of_type(cluster, "ProxyProtocolUpstreamTransport")
    assert protocol["config"] == {"version": "V2"}
    assert envoy.expected_identities(cluster) == {"spiffe://agentic-mesh/oracle1/edge"}
    [context] = envoy.of_type(cluster, "UpstreamTlsContext")
    assert context["sni"] == "edge.oracle1.agentic-mesh"


def test_a_gpu_node_has_no_public_port() -> None:
    assert not [name for name in Gateway("thanos").listeners if name.startswith("public")]


def test_a_published_port_is_the_setting_s_and_leads_to_the_service_s_own() -> None:
    gateway = Gateway("thanos", MOVED)
    chains = envoy.server_names(gateway.listeners["tailnet-18000"])
    assert gateway.behind(chains["vllm.thanos.agentic-mesh"]) == [(NETWORKS.pod(1).mesh, 8000)]
    other = Gateway("oracle1", MOVED)
    chains = envoy.server_names(other.listeners["remote-8000"])
    assert other.behind(chains["vllm.thanos.agentic-mesh"]) == [("100.64.1.1", 18000)]


def test_two_ports_of_one_outside_host_are_told_apart() -> None:
    config = {"alerts": {"smtpHost": "mail.example.com"}, "alertWebhook": "https://mail.example.com/hook"}
    gateway = Gateway("oracle1", graph_of("oracle1", **config))
    chains = envoy.server_names(gateway.listeners["egress"])
    assert gateway.behind(chains["mail.example.com"]) == [("mail.example.com", 443)]
    assert gateway.behind(chains["p465.mail.example.com"]) == [("mail.example.com", 465)]


def test_a_node_that_is_renamed_takes_its_names_along() -> None:
    graph = Graph(SERVICES, (Node(name="atlas", role="gpu", address="100.64.9.9"), ORACLE1))
    gateway = Gateway("oracle1", graph)
    chains = envoy.server_names(gateway.listeners["remote-8001"])
    assert gateway.behind(chains["embeddings.atlas.agentic-mesh"]) == [("100.64.9.9", 8001)]

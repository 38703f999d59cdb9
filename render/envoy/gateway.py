"""A node's gateway: passes the mesh's TLS by server name, and is the only way out."""

from collections.abc import Iterable, Sequence

from render.envoy.access import network_rbac
from render.envoy.forward import INTERNAL_LISTENERS, gateway_forward
from render.envoy.http import health_listener
from render.envoy.parts import (
    ADMIN_CLUSTER,
    HEALTH_PORT,
    TLS_INSPECTOR,
    Config,
    address,
    bootstrap,
    client_tls,
    cluster,
    endpoint,
    proxy_protocol,
    server_chain,
    tcp_proxy,
)
from render.envoy.sidecar import metrics_chain
from topology.egress import Outside
from topology.graph import GATEWAY, METRICS, Graph
from topology.model import Edge, Instance
from topology.network import EGRESS_PORT, METRICS_PORT, NodeNetworks

PUBLIC_PORT_OFFSET = 10000
"""The container's own port for a public one: it may not bind below 1024."""


def gateway_config(graph: Graph, networks: NodeNetworks, node: str) -> Config:
    """The gateway of one node."""
    listeners = [health_listener(HEALTH_PORT, None)]
    clusters = [ADMIN_CLUSTER]
    for step in (_from_tailnet, _to_other_nodes, _from_public, _to_outside):
        found = step(graph, networks, node)
        listeners += found[0]
        clusters += found[1]
    inside = any("internal_listener" in listener for listener in listeners)
    more = {"bootstrap_extensions": [INTERNAL_LISTENERS]} if inside else {}
    return bootstrap(node, GATEWAY, listeners, clusters, **more)


def _from_tailnet(graph: Graph, networks: NodeNetworks, node: str) -> tuple[list[Config], list[Config]]:
    """Published ports: each connection to the pod that its server name says."""
    listeners, clusters = [], []
    for number, targets in graph.published(node).items():
        name = f"tailnet-{number}"
        instances = [instance for instance, _ in targets]
        listeners.append(_by_server_name(name, networks.gateway_outside, number, instances))
        for instance, port in targets:
            if instance.service == GATEWAY:
                place = networks.gateway_mesh
            else:
                place = networks.pod(graph.service(instance.service).slot).mesh
            inner = port.number if port else METRICS_PORT
            clusters.append(cluster(f"{name}-{instance.host}", [endpoint(place, inner)]))
    return listeners, clusters


def _to_other_nodes(graph: Graph, networks: NodeNetworks, node: str) -> tuple[list[Config], list[Config]]:
    """The inner network's way to pods of other nodes, by the ports that those nodes publish."""
    by_port: dict[int, dict[Instance, Edge]] = {METRICS_PORT: {}}
    for edge in graph.crossing():
        if edge.caller.node == node:
            by_port.setdefault(edge.number, {})[edge.callee] = edge
    listeners, clusters = [], []
    for number, edges in sorted(by_port.items()):
        name = f"remote-{number}"
        listener = _by_server_name(name, networks.gateway_mesh, number, edges)
        if number == METRICS_PORT:
            listener["filter_chains"].append(_own_metrics(graph, node))
        listeners.append(listener)
        clusters += [
            cluster(f"{name}-{instance.host}", [endpoint(graph.node(instance.node).address, edge.tailnet)])
            for instance, edge in edges.items()
        ]
    return listeners, clusters


def _own_metrics(graph: Graph, node: str) -> Config:
    """The gateway's own statistics, beside the pods' of other nodes on the metrics port."""
    me = Instance(GATEWAY, node)
    scrapes = [edge for edge in graph.inbound(me) if edge.port == METRICS]
    match = {"filter_chain_match": {"server_names": [me.sni]}}
    return {**match, **metrics_chain(scrapes, None)}


def _by_server_name(name: str, host: str, number: int, instances: Iterable[Instance]) -> Config:
    chains = [
        {
            "filter_chain_match": {"server_names": [instance.sni]},
            "filters": [tcp_proxy(f"{name}-{instance.host}", f"{name}-{instance.host}")],
        }
        for instance in instances
    ]
    return {
        "name": name,
        "address": address(host, number),
        "listener_filters": [TLS_INSPECTOR],
        "filter_chains": chains,
    }


def _from_public(graph: Graph, networks: NodeNetworks, node: str) -> tuple[list[Config], list[Config]]:
    """Public connections to the edge, which ends their TLS; the client's address goes with them."""
    listeners, clusters = [], []
    for service in graph.on(node):
        if service.public_port is None:
            continue
        instance = Instance(service.name, node)
        port = service.ports[0]
        name = f"public-{service.public_port}"
        number = service.public_port + PUBLIC_PORT_OFFSET
        listeners.append(
            {
                "name": name,
                "address": address(networks.gateway_outside, number),
                "filter_chains": [{"filters": [tcp_proxy(name, name)]}],
            }
        )
        clusters.append(
            cluster(
                name,
                [endpoint(networks.pod(service.slot).mesh, port.number)],
                transport_socket=proxy_protocol(client_tls(instance.identity, instance.sni)),
            )
        )
    return listeners, clusters


def _to_outside(graph: Graph, networks: NodeNetworks, node: str) -> tuple[list[Config], list[Config]]:
    """One name, the services that may reach it, and nothing else; the name is looked up here."""
    chains, clusters = [], []
    for host, services in graph.egress(node).items():
        chains.append(_egress_chain(host, [Instance(s, node) for s in services]))
        clusters.append(
            {
                **cluster(f"outside-{host.name}", [endpoint(host.host, host.port)]),
                "type": "LOGICAL_DNS",
                "connect_timeout": "5s",
                "dns_lookup_family": "V4_PREFERRED",
                # Otherwise no listener opens while the resolver is down, not even those between the nodes.
                "wait_for_warm_on_init": False,
            }
        )
    inner: list[Config] = []
    if names := graph.proxied(node):
        chain, inner, more = gateway_forward(node, names)
        chains.insert(0, chain)
        clusters += more
    if not chains:
        return [], []
    listener = {
        "name": "egress",
        "address": address(networks.gateway_mesh, EGRESS_PORT),
        "listener_filters": [TLS_INSPECTOR],
        "filter_chains": chains,
    }
    return [listener, *inner], clusters


def _egress_chain(host: Outside, callers: Sequence[Instance]) -> Config:
    rules = {
        caller.host: {
            "permissions": [{"any": True}],
            "principals": [{"authenticated": {"principal_name": {"exact": caller.identity}}}],
        }
        for caller in callers
    }
    name = f"egress-{host.name}"
    filters = [network_rbac(rules, name), tcp_proxy(f"outside-{host.name}", name, guarded=True)]
    return {
        "filter_chain_match": {"server_names": [host.sni]},
        **server_chain(filters, callers=[{"exact": caller.identity} for caller in callers]),
    }

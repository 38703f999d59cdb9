"""Compares what an Envoy configuration lets in with what the graph allows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from policies.envoy import ANYONE, AUTHORITY, Caller, Chain, Config, chains
from policies.values import whole
from topology.graph import GATEWAY, METRICS, Graph
from topology.model import OPERATOR, TRUST_DOMAIN, Edge, Instance, Port, Protocol
from topology.network import EGRESS_PORT, METRICS_PORT

LOOPBACK: Final = "127.0.0.1"

Callers = frozenset[Caller]


def sidecar_problems(
    config: Config, graph: Graph, instance: Instance, *, mesh: frozenset[str], pod: frozenset[str]
) -> Iterator[str]:
    """What is wrong with the ways into a pod; `mesh` and `pod` are the proxy's addresses on those networks."""
    if not mesh:
        yield "its address on the mesh is not known, so that its ways in cannot be told from its ways out"
        return
    found: dict[int, Callers] = {}
    unguarded: set[int] = set()
    for chain in chains(config):
        if chain.address == LOOPBACK or chain.address in pod:
            continue  # its own health, and the ways out, which only the app reaches
        where = f"{chain.address}:{chain.port}"
        if chain.address not in mesh:
            yield f"it listens on {where}, which is none of its addresses"
        problem = _unguarded(chain)
        if problem:
            unguarded.add(chain.port)
            yield f"{where} {problem}"
        elif chain.callers is not None:
            found[chain.port] = found.get(chain.port, frozenset()) | chain.callers
    expected = expected_callers(graph, instance)
    for port in sorted((found.keys() | expected.keys()) - unguarded):
        yield from _differences(port, found.get(port, frozenset()), expected.get(port, frozenset()))


def gateway_problems(config: Config, graph: Graph, node: str, ports: Sequence[Any]) -> Iterator[str]:
    """What is wrong with the ways through a gateway; `ports` are the published ones of its container."""
    public = {service.public_port for service in graph.on(node) if service.public_port}
    open_ports = {whole(port.get("internal")) for port in ports if whole(port.get("external")) in public}
    for chain in chains(config):
        where = f"{chain.address}:{chain.port}"
        if chain.address == LOOPBACK:
            continue
        if chain.internal:
            yield from _inner_problems(chain)
            continue
        if not chain.tls:
            # The mesh's TLS goes through as it is; both of its ends check each other.
            if not chain.only_passes:
                yield f"{where} answers without TLS"
            elif not chain.names and chain.port not in open_ports:
                yield f"{where} passes on connections to any server name"
            continue
        problem = _unguarded(chain)
        if problem:
            yield f"{where} {problem}"
        elif chain.port == METRICS_PORT:
            expected = expected_callers(graph, Instance(GATEWAY, node)).get(METRICS_PORT, frozenset())
            yield from _differences(chain.port, chain.callers or frozenset(), expected)
        elif chain.port == EGRESS_PORT:
            forward = chain.names == (Instance(GATEWAY, node).sni,)
            yield from (_forward_problems if forward else _egress_problems)(chain, graph, node)
        else:
            yield f"{where} ends TLS, where the gateway only passes it on"


def expected_callers(graph: Graph, instance: Instance) -> Mapping[int, Callers]:
    """Port -> who may call it, as the graph has it."""
    callers: dict[int, set[Caller]] = {}
    ports = graph.service(instance.service).ports if instance.service in graph.by_name else ()
    by_name: dict[str, Port] = {port.name: port for port in ports}
    for edge in graph.inbound(instance):
        routes = _routes(edge, by_name.get(edge.port))
        callers.setdefault(edge.number, set()).add(Caller(edge.caller.identity, routes))
    for port in ports:
        if port.direct:
            routes = () if port.protocol is Protocol.TCP else _patterns(port.routes)
            callers.setdefault(port.number, set()).add(Caller(f"spiffe://{TRUST_DOMAIN}/{OPERATOR}/*", routes))
    return {number: frozenset(found) for number, found in callers.items()}


def _routes(edge: Edge, port: Port | None) -> tuple[str, ...]:
    """TCP has none to tell apart; metrics, which no `Port` stands for, do."""
    if port is not None and edge.port != METRICS and port.protocol is Protocol.TCP:
        return ()
    return _patterns(edge.routes)


def _patterns(routes: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(f"{entry}*" if entry.endswith("/") else entry for entry in routes))


def _unguarded(chain: Chain) -> str:
    if not chain.tls or not chain.client_certificate:
        return "asks no caller for a certificate of the mesh"
    if chain.callers is None:
        return "authorizes nobody: whoever has a certificate comes in"
    if any(caller.identity == ANYONE for caller in chain.callers):
        return "lets in anyone who has a certificate"
    return ""


def _differences(port: int, found: Callers, expected: Callers) -> Iterator[str]:
    if extra := found - expected:
        yield f"port {port} lets in {_named(extra)}, whom the graph does not"
    if lacking := expected - found:
        yield f"port {port} does not let in {_named(lacking)}, whom the graph does"


def _egress_problems(chain: Chain, graph: Graph, node: str) -> Iterator[str]:
    """One exact name in each chain, for services that the topology gives a way out."""
    if len(chain.names) != 1 or "*" in chain.names[0]:
        yield f"its way out is open to {', '.join(chain.names) or 'any name'} instead of one exact name"
        return
    host = chain.names[0]
    # What stands behind an `@group` is the settings' business, which a pack cannot read.
    granted = {
        Instance(service.name, node).identity
        for service in graph.on(node)
        if any(name == host or name.startswith("@") for name in service.egress)
    }
    for caller in sorted(chain.callers or ()):
        if caller.identity not in granted:
            yield f"it lets {caller.identity} out to {host}, which the topology does not"


def _forward_problems(chain: Chain, graph: Graph, node: str) -> Iterator[str]:
    """The forward proxy serves only services with `proxied` names, and only names and suffixes on port 443."""
    proxied = {Instance(service.name, node).identity for service in graph.on(node) if service.proxied}
    for caller in sorted(chain.callers or ()):
        if caller.identity not in proxied:
            yield f"its forward proxy lets out {caller.identity}, which the topology does not"
        for route in caller.routes or ("any name",):
            kind, _, name = route.partition(" ")
            if kind != AUTHORITY or not _names_few(name.removesuffix(":443")) or not name.endswith(":443"):
                yield f"its forward proxy lets {caller.identity} out to {name if kind == AUTHORITY else route}"


def _inner_problems(chain: Chain) -> Iterator[str]:
    """An internal listener belongs to a forward proxy: it has one name or suffix and dials the TLS server name."""
    if not chain.dials_by_name:
        yield f"the internal listener for {', '.join(chain.names)} does not belong to a forward proxy"
    elif len(chain.names) != 1 or not _names_few(chain.names[0]):
        yield f"its forward proxy dials {', '.join(chain.names) or 'any name'}"


def _names_few(name: str) -> bool:
    """Whether it is one host name, or a suffix of two labels or more."""
    host = name.removeprefix("*.")
    return "*" not in host and "." in host.strip(".") and ":" not in host


def _named(callers: Callers) -> str:
    return ", ".join(str(caller) for caller in sorted(callers))

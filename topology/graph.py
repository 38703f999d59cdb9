"""Questions to the graph, answered by pure functions; nothing else in the project states an edge."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from typing import Final

from topology.egress import Outside, outside
from topology.model import Call, Edge, Instance, Node, Port, Protocol, Service, Volume, VolumeRead
from topology.network import EGRESS_PORT, FORWARD_PORT, MAX_SLOT, METRICS_PORT
from topology.routes import route

GATEWAY: Final = "gateway"
PROMETHEUS: Final = "prometheus"
METRICS: Final = "metrics"


class GraphError(ValueError):
    """The service table contradicts itself; the message names the row and the fix."""


@dataclass(frozen=True)
class Graph:
    """The services on the nodes that there are."""

    services: tuple[Service, ...]
    nodes: tuple[Node, ...]

    def __post_init__(self) -> None:
        """Refuse a table that cannot be deployed, before anything else looks at it."""
        _check(self.services)

    @cached_property
    def by_name(self) -> Mapping[str, Service]:
        """Services by name."""
        return {service.name: service for service in self.services}

    def service(self, name: str) -> Service:
        """The service of that name."""
        return self.by_name[name]

    def node(self, name: str) -> Node:
        """The node of that name."""
        return next(node for node in self.nodes if node.name == name)

    def on(self, node: str) -> tuple[Service, ...]:
        """The services of a node, in the table's order."""
        return tuple(s for s in self.services if any(i.node == node for i in self.instances(s.name)))

    def instances(self, service: str) -> tuple[Instance, ...]:
        """Where a service runs."""
        row = self.service(service)
        found = [Instance(service, n.name) for n in self.nodes if row.role in (None, n.role)]
        return tuple(found[:1] if row.single else found)

    @cached_property
    def edges(self) -> tuple[Edge, ...]:
        """Every right to call, one for each pair of instances and port, sorted."""
        return tuple(sorted({*self._call_edges(), *self._scrape_edges(), *self._edge_edges()}))

    def _call_edges(self) -> Iterator[Edge]:
        for service in self.services:
            for call in service.calls:
                for callee in (call.to, call.fallback):
                    if callee:
                        yield from self._pairs(service, callee, call)

    def _pairs(self, service: Service, callee: str, call: Call) -> Iterator[Edge]:
        port = self.service(callee).port(call.port)
        for target in self.instances(callee):
            for caller in self.instances(service.name):
                if call.local and caller.node != target.node:
                    continue
                yield Edge(caller, target, port.name, port.number, port.tailnet_port, call.routes or port.routes)

    def _scrape_edges(self) -> Iterator[Edge]:
        """Prometheus reads the metrics of every pod and gateway."""
        if PROMETHEUS not in self.by_name:
            return
        targets = [i for s in self.services for i in self.instances(s.name)]
        targets += [Instance(GATEWAY, n.name) for n in self.nodes]
        for caller in self.instances(PROMETHEUS):
            for target in targets:
                yield Edge(caller, target, METRICS, METRICS_PORT, METRICS_PORT, self.scrape_routes(target))

    def _edge_edges(self) -> Iterator[Edge]:
        """The gateway hands public connections to the service that has a public port."""
        for service in self.services:
            if service.public_port is not None:
                port = service.ports[0]
                for target in self.instances(service.name):
                    gateway = Instance(GATEWAY, target.node)
                    yield Edge(gateway, target, port.name, port.number, port.tailnet_port)

    def scrape_routes(self, target: Instance) -> tuple[str, ...]:
        """What Prometheus may ask a pod for."""
        service = self.by_name.get(target.service)
        metrics = service.metrics if service else None
        paths = ("/stats/prometheus", *((metrics.path, *metrics.also) if metrics else ()))
        return tuple(f"GET {path}" for path in paths)

    def inbound(self, callee: Instance) -> tuple[Edge, ...]:
        """Who may call an instance: its proxy's allow-list."""
        return self._inbound.get(callee, ())

    def outbound(self, caller: Instance) -> tuple[Edge, ...]:
        """Whom an instance may call: its proxy's listeners."""
        return self._outbound.get(caller, ())

    @cached_property
    def _inbound(self) -> Mapping[Instance, tuple[Edge, ...]]:
        return _grouped(self.edges, "callee")

    @cached_property
    def _outbound(self) -> Mapping[Instance, tuple[Edge, ...]]:
        return _grouped(self.edges, "caller")

    def calls(self, caller: Instance) -> tuple[Call, ...]:
        """The calls of an instance that somebody is there to answer."""
        callees = {edge.callee.service for edge in self.outbound(caller)}
        return tuple(call for call in self.service(caller.service).calls if call.to in callees)

    def callers(self, service: str) -> tuple[str, ...]:
        """Names of the services that may call `service`, metrics aside."""
        return tuple(
            sorted({e.caller.service for e in self.edges if e.callee.service == service and e.port != METRICS})
        )

    @cached_property
    def doors(self) -> frozenset[str]:
        """Names of the services that the public ones hand requests to."""
        return frozenset(call.to for s in self.services if s.public_port is not None for call in s.calls)

    @cached_property
    def way_in(self) -> frozenset[str]:
        """Names of the services that a client's request can come to, the public ones first, directly or not."""
        found: set[str] = set()
        left = [service.name for service in self.services if service.public_port is not None]
        while left:
            name = left.pop()
            if name not in found:
                found.add(name)
                left += [callee for c in self.service(name).calls for callee in (c.to, c.fallback) if callee]
        return frozenset(found)

    def crossing(self) -> tuple[Edge, ...]:
        """The edges between nodes: what the tailnet must let through."""
        return tuple(edge for edge in self.edges if edge.crosses)

    def direct_ports(self, node: str) -> tuple[int, ...]:
        """The ports by which operators reach services on a node."""
        return tuple(sorted(p.tailnet_port for s in self.on(node) for p in s.ports if p.direct))

    def published(self, node: str) -> Mapping[int, tuple[tuple[Instance, Port | None], ...]]:
        """What the gateway publishes on the node's tailnet address: port -> instances behind it.

        A port with several instances tells them apart by server name; metrics have no `Port`.
        """
        ports: dict[int, dict[Instance, Port | None]] = {}
        for service in self.on(node):
            instance = Instance(service.name, node)
            for port in service.ports:
                crossed = any(e.crosses and e.port == port.name for e in self.inbound(instance))
                if port.direct or crossed:
                    ports.setdefault(port.tailnet_port, {})[instance] = port
        for edge in self.crossing():
            if edge.callee.node == node and edge.port == METRICS:
                ports.setdefault(edge.tailnet, {})[edge.callee] = None
        return {n: tuple(sorted(i.items(), key=lambda kv: kv[0])) for n, i in sorted(ports.items())}

    def reads(self, service: Service, node: str) -> tuple[VolumeRead, ...]:
        """Other services' volumes that `service` sees on a node."""
        if not service.reads_backups:
            return service.reads
        backups = (
            VolumeRead(service=s.name, volume=v.name, path=f"/backup/{s.name}-{v.name}")
            for s in self.on(node)
            for v in s.volumes
            if v.backup
        )
        return (*service.reads, *backups)

    def egress(self, node: str) -> Mapping[Outside, tuple[str, ...]]:
        """Outside host -> services of the node that may reach it by its exact name."""
        return _by_host((service.name, service.egress) for service in self.on(node))

    def proxied(self, node: str) -> Mapping[Outside, tuple[str, ...]]:
        """Outside name or suffix -> services of the node that may reach it through the forward proxy."""
        return _by_host((service.name, service.proxied) for service in self.on(node))


def _by_host(lists: Iterable[tuple[str, tuple[str, ...]]]) -> Mapping[Outside, tuple[str, ...]]:
    hosts: dict[Outside, list[str]] = {}
    for name, entries in lists:
        for entry in entries:
            hosts.setdefault(outside(entry), []).append(name)
    return {host: tuple(names) for host, names in sorted(hosts.items())}


def with_egress(services: Iterable[Service], groups: Mapping[str, tuple[str, ...]]) -> tuple[Service, ...]:
    """The table with each `@group` of outside hosts replaced by the settings' names."""

    def hosts(service: Service, entries: tuple[str, ...]) -> Iterator[str]:
        for host in entries:
            if not host.startswith("@"):
                yield host
            elif host[1:] in groups:
                yield from groups[host[1:]]
            else:
                raise GraphError(
                    f"service {service.name!r}: unknown egress group {host!r}; known: {', '.join(sorted(groups))}"
                )

    return tuple(
        replace(
            s,
            egress=tuple(dict.fromkeys(hosts(s, s.egress))),
            proxied=tuple(dict.fromkeys(hosts(s, s.proxied))),
        )
        for s in services
    )


def with_backups(services: Iterable[Service], *, telemetry: bool) -> tuple[Service, ...]:
    """The table with backups of metrics and logs switched on or off."""

    def chosen(volume: Volume) -> Volume:
        return replace(volume, backup=telemetry) if volume.telemetry else volume

    return tuple(replace(s, volumes=tuple(map(chosen, s.volumes))) for s in services)


def with_ports(services: Iterable[Service], ports: Mapping[str, int]) -> tuple[Service, ...]:
    """The table with the first port of the named services published on another tailnet port."""
    return tuple(
        replace(s, ports=(replace(s.ports[0], published=ports[s.name]), *s.ports[1:])) if s.name in ports else s
        for s in services
    )


def start_order(services: Iterable[Service]) -> tuple[str, ...]:
    """Names such that each comes after those it calls; for people, since pods wait for no other.

    Peers of one cluster are not ordered; any other cycle is a GraphError.
    """
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for service in services:
        sorter.add(service.name, *(c.to for c in service.calls if not c.peer))
    try:
        return tuple(sorter.static_order())
    except CycleError as error:
        raise GraphError(f"services call each other in a circle: {' -> '.join(error.args[1])}") from None


def _check(services: tuple[Service, ...]) -> None:
    names = [s.name for s in services]
    for name in names:
        if names.count(name) > 1:
            raise GraphError(f"two services are named {name!r}")
        if name == GATEWAY:
            raise GraphError(f"{GATEWAY!r} is the node gateway's name; name the service otherwise")
    by_name = {s.name: s for s in services}
    slots: dict[int, str] = {}
    for service in services:
        _check_routes(service)
        if service.slot in slots:
            raise GraphError(
                f"services {slots[service.slot]!r} and {service.name!r} share slot {service.slot}; "
                "give the new one a slot of its own"
            )
        if not 1 <= service.slot <= MAX_SLOT:
            raise GraphError(f"service {service.name!r}: slot must be 1 to {MAX_SLOT}")
        slots[service.slot] = service.name
        for call in service.calls:
            _check_call(service, call, by_name)
        _check_tcp_ports(service, by_name)
    check_ports(services)
    start_order(services)


def _check_routes(service: Service) -> None:
    entries = [entry for port in service.ports for entry in port.routes]
    for entry in (*entries, *(entry for call in service.calls for entry in call.routes)):
        try:
            route(entry)
        except ValueError as error:
            raise GraphError(f"service {service.name!r}: {error}") from None


def _check_call(service: Service, call: Call, by_name: Mapping[str, Service]) -> None:
    for callee in (call.to, call.fallback):
        if callee is None:
            continue
        if callee not in by_name:
            raise GraphError(f"service {service.name!r} calls unknown service {callee!r}")
        if callee == service.name:
            raise GraphError(f"service {service.name!r} calls itself")
        try:
            by_name[callee].port(call.port)
        except KeyError:
            raise GraphError(
                f"service {service.name!r} calls port {call.port!r} of {callee!r}, which has "
                f"{', '.join(p.name for p in by_name[callee].ports) or 'none'}"
            ) from None


def _check_tcp_ports(service: Service, by_name: Mapping[str, Service]) -> None:
    """Callees on one port are told apart by host name, which TCP does not carry."""
    seen: dict[int, str] = {}
    for call in service.calls:
        port = by_name[call.to].port(call.port)
        other = seen.setdefault(port.number, call.to)
        if other != call.to and Protocol.TCP in (
            port.protocol,
            *(p.protocol for p in by_name[other].ports if p.number == port.number),
        ):
            raise GraphError(
                f"service {service.name!r} calls {other!r} and {call.to!r} on port {port.number}, "
                "one of them TCP: only HTTP callees can share a port"
            )


def check_ports(services: tuple[Service, ...]) -> None:
    """Raise GraphError where two services of a node have one port, or would be published on one."""
    for role in ("gpu", "control"):
        taken = {METRICS_PORT: "metrics", EGRESS_PORT: "egress", FORWARD_PORT: "the forward proxy"}
        published = dict(taken)
        for service in services:
            if service.role not in (None, role):
                continue
            for port in service.ports:
                for number, others in ((port.number, taken), (port.tailnet_port, published)):
                    if number in others:
                        raise GraphError(
                            f"{others[number]!r} and {service.name!r} both have port {number} on {role} nodes; "
                            "give one another number"
                        )
                    others[number] = service.name


def _grouped(edges: tuple[Edge, ...], side: str) -> Mapping[Instance, tuple[Edge, ...]]:
    groups: dict[Instance, list[Edge]] = {}
    for edge in edges:
        groups.setdefault(getattr(edge, side), []).append(edge)
    return {instance: tuple(found) for instance, found in groups.items()}

"""A pod's proxy: what comes in is authorized, what goes out is named, nothing else passes."""

from collections.abc import Iterable, Sequence

from render.envoy.access import callers, http_rbac, network_rbac, policies
from render.envoy.forward import sidecar_forward
from render.envoy.http import (
    H2,
    connection_manager,
    health_listener,
    mesh_health,
    route,
    virtual_host,
)
from render.envoy.parts import (
    ADMIN_CLUSTER,
    HEALTH_PORT,
    MESH_HEALTH_PATH,
    PROXY_PROTOCOL_FILTER,
    RAW_BUFFER,
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
from render.envoy.replies import local_replies
from topology.egress import Outside, outside
from topology.graph import GATEWAY, METRICS, Graph
from topology.model import Call, Edge, Instance, Port, Protocol, Service
from topology.network import EGRESS_PORT, METRICS_PORT, NodeNetworks

PROBE = "probe"
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_SAFE_RETRIES = "connect-failure,refused-stream"
"""The callee has not seen the request: any may be sent again."""
_IDEMPOTENT = "GET|HEAD"
_IDEMPOTENT_RETRIES = f"{_SAFE_RETRIES},gateway-error,reset"


def sidecar_config(graph: Graph, networks: NodeNetworks, instance: Instance) -> Config:
    """The proxy of one instance."""
    service = graph.service(instance.service)
    pod = networks.pod(service.slot)
    listeners = [health_listener(HEALTH_PORT, PROBE)]
    clusters = [ADMIN_CLUSTER, _probe_cluster(service, pod.app)]
    inbound = graph.inbound(instance)
    for port in service.ports:
        edges = [edge for edge in inbound if edge.port == port.name]
        replies = None
        if service.name in graph.way_in and port.protocol is Protocol.HTTP:
            replies = local_replies(sorted(graph.doors & {edge.caller.service for edge in edges}))
        listeners.append(_inbound(port, pod.mesh, edges, public=service.public_port is not None, replies=replies))
        clusters.append(_app_cluster(service, port, pod.app))
    scrapes = [edge for edge in inbound if edge.port == METRICS]
    app_metrics = "app-metrics" if service.metrics else None
    listeners.append(
        {
            "name": METRICS,
            "address": address(pod.mesh, METRICS_PORT),
            "filter_chains": [metrics_chain(scrapes, app_metrics)],
        }
    )
    if service.metrics is not None:
        clusters.append(cluster("app-metrics", [endpoint(pod.app, service.metrics.port)]))
    outbound = _outbound(graph, networks, instance, pod.sidecar)
    listeners += outbound[0]
    clusters += outbound[1]
    if service.egress:
        found = [outside(entry) for entry in service.egress]
        listeners += _egress_listeners(found, pod.sidecar)
        clusters += [_egress_cluster(host, networks, instance.node) for host in found]
    if service.proxied:
        listener, to_gateway = sidecar_forward(networks, instance.node, pod.sidecar)
        listeners.append(listener)
        clusters.append(to_gateway)
    return bootstrap(instance.node, instance.service, listeners, clusters)


def callee_names(graph: Graph, instance: Instance) -> tuple[str, ...]:
    """Names that the app may call; each is mapped to the own sidecar in the app's hosts file."""
    service = graph.service(instance.service)
    names = {call.to for call in graph.calls(instance)}
    names |= {e.callee.host for e in graph.outbound(instance) if e.port == METRICS}
    return tuple(sorted(names | {outside(entry).host for entry in service.egress}))


def _probe_cluster(service: Service, app: str) -> Config:
    check: Config = {
        "timeout": "3s",
        "interval": "5s",
        # Quick while it starts, so that a deploy does not wait for the next round.
        "no_traffic_interval": "5s",
        "initial_jitter": "0.1s",
        "unhealthy_interval": "1s",
        "unhealthy_threshold": 3,
        "healthy_threshold": 1,
    }
    if service.probe.path is None:
        check["tcp_health_check"] = {}
    else:
        check["http_health_check"] = {"host": service.name, "path": service.probe.path}
    return cluster(
        PROBE,
        [endpoint(app, service.probe.port)],
        health_checks=[check],
        common_lb_config={"healthy_panic_threshold": {"value": 0}},
    )


def _app_cluster(service: Service, port: Port, app: str) -> Config:
    fields: Config = {}
    if port.protocol is Protocol.GRPC:
        fields = _http_options({"explicit_http_config": {"http2_protocol_options": H2}})
    elif port.protocol is Protocol.TCP and service.public_port is not None:
        fields = {"transport_socket": proxy_protocol(RAW_BUFFER)}
    return cluster(f"app-{port.name}", [endpoint(app, port.app_port)], **fields)


def _http_options(config: Config) -> Config:
    typed_config = {"@type": f"type.googleapis.com/{_HTTP_OPTIONS}", **config}
    return {"typed_extension_protocol_options": {_HTTP_OPTIONS: typed_config}}


def _inbound(port: Port, mesh: str, edges: Sequence[Edge], *, public: bool, replies: Config | None) -> Config:
    name = f"in-{port.name}"
    http = port.protocol is not Protocol.TCP
    rules = policies(edges, port, http=http)
    if http:
        manager = connection_manager(
            name,
            [virtual_host(name, ["*"], [route(f"app-{port.name}")])],
            mesh_health(PROBE),
            http_rbac(rules),
            inbound=True,
            strict_paths=any(edge.routes for edge in edges) or (port.direct and bool(port.routes)),
            replies=replies,
        )
        chain = server_chain([manager], "h2", "http/1.1")
    else:
        filters = [network_rbac(rules, name), tcp_proxy(f"app-{port.name}", name, guarded=True)]
        chain = server_chain(filters, callers=callers(edges, port))
    listener: Config = {
        "name": name,
        "address": address(mesh, port.number),
        "filter_chains": [chain],
        "per_connection_buffer_limit_bytes": 1 << 20,
    }
    if public:
        listener["listener_filters"] = [PROXY_PROTOCOL_FILTER]
    return listener


def metrics_chain(edges: Iterable[Edge], app_cluster: str | None) -> Config:
    """Statistics of the proxy and metrics of its app, to Prometheus alone."""
    routes = [route("admin", match={"path": "/stats/prometheus"})]
    if app_cluster:
        routes.append(route(app_cluster))
    manager = connection_manager(
        METRICS,
        [virtual_host(METRICS, ["*"], routes)],
        http_rbac(policies(edges, None, http=True)),
        inbound=True,
        strict_paths=True,
    )
    return server_chain([manager], "h2", "http/1.1")


def _outbound(
    graph: Graph, networks: NodeNetworks, instance: Instance, sidecar: str
) -> tuple[list[Config], list[Config]]:
    """Listeners on the pod's address for each port called, and the clusters behind them."""
    by_port: dict[int, list[Config]] = {}
    tcp: dict[int, str] = {}
    clusters: list[Config] = []
    shaped: set[int] = set()
    for call in graph.calls(instance):
        port = graph.service(call.to).port(call.port)
        name = f"to-{call.to}-{call.port}"
        clusters.append(_callee_cluster(graph, networks, instance, call, name))
        if port.protocol is Protocol.HTTP and instance.service in graph.way_in:
            shaped.add(port.number)
        if port.protocol is Protocol.TCP:
            tcp[port.number] = name
        else:
            by_port.setdefault(port.number, []).append(
                _callee_host(call.to, port.number, name, reads=port.reads, fallback=call.fallback is not None)
            )
    for edge in graph.outbound(instance):
        if edge.port == METRICS:
            name = f"to-{edge.callee.host}-{METRICS}"
            clusters.append(_scrape_cluster(graph, networks, edge, name))
            by_port.setdefault(edge.number, []).append(_callee_host(edge.callee.host, edge.number, name))
    listeners = [
        _out_http(number, hosts, sidecar, local_replies() if number in shaped else None)
        for number, hosts in by_port.items()
    ]
    listeners += [_out_tcp(number, name, sidecar) for number, name in tcp.items()]
    return listeners, clusters


def _callee_host(host: str, number: int, target: str, *, reads: Iterable[str] = (), fallback: bool = False) -> Config:
    """The routes to one callee: what may be sent again, and the rest."""
    repeatable = [_matching(_IDEMPOTENT), *(_matching("POST", path) for path in reads)]
    routes = [route(target, match=match, retry_on=_IDEMPOTENT_RETRIES, fallback=fallback) for match in repeatable]
    return virtual_host(
        host, [host, f"{host}:{number}"], [*routes, route(target, retry_on=_SAFE_RETRIES, fallback=fallback)]
    )


def _matching(methods: str, paths: str = "") -> Config:
    where: Config = {"safe_regex": {"regex": paths}} if paths else {"prefix": "/"}
    return {**where, "headers": [{"name": ":method", "string_match": {"safe_regex": {"regex": methods}}}]}


def _out_http(number: int, hosts: list[Config], sidecar: str, replies: Config | None) -> Config:
    name = f"out-{number}"
    return {
        "name": name,
        "address": address(sidecar, number),
        "filter_chains": [{"filters": [connection_manager(name, hosts, inbound=False, replies=replies)]}],
    }


def _out_tcp(number: int, target: str, sidecar: str) -> Config:
    name = f"out-{number}"
    return {
        "name": name,
        "address": address(sidecar, number),
        "filter_chains": [{"filters": [tcp_proxy(target, name)]}],
    }


def _place(graph: Graph, networks: NodeNetworks, caller: Instance, callee: Instance) -> str:
    """Where the caller finds the callee: its sidecar on the same node, else the own gateway, which knows the way."""
    if callee.node != caller.node:
        return networks.gateway_mesh
    if callee.service == GATEWAY:
        return networks.gateway_mesh
    return networks.pod(graph.service(callee.service).slot).mesh


def _callee_cluster(graph: Graph, networks: NodeNetworks, caller: Instance, call: Call, name: str) -> Config:
    """The instances of a callee, and at a lower priority those of its fallback."""
    port = graph.service(call.to).port(call.port)
    http = port.protocol is not Protocol.TCP
    alpn = ("h2",) if http else ()
    endpoints: list[Config] = []
    matches: list[Config] = []
    callees = (call.to, call.fallback) if call.fallback else (call.to,)
    for priority, service in enumerate(callees):
        number = graph.service(service).port(call.port).number
        for callee in graph.instances(service):
            if call.local and callee.node != caller.node:
                continue
            place = _place(graph, networks, caller, callee)
            endpoints.append(endpoint(place, number, priority, callee))
            matches.append(
                {
                    "name": callee.host,
                    "match": {"instance": callee.host},
                    "transport_socket": client_tls(callee.identity, callee.sni, *alpn),
                }
            )
    fields: Config = {
        "transport_socket_matches": matches,
        "health_checks": [_mesh_check(http=http, quick=call.fallback is not None)],
        # Never to a callee that is known to be down: the caller gets its 503 at once.
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "ignore_health_on_host_removal": True,
    }
    if len(endpoints) > 1:
        fields["outlier_detection"] = {
            "consecutive_gateway_failure": 5,
            "enforcing_consecutive_gateway_failure": 100,
            "enforcing_consecutive_5xx": 0,
            "base_ejection_time": "10s",
            "max_ejection_percent": 50,
        }
    if http:
        # A connection to what has vanished ends soon, and what waits on it is asked of the other instance.
        options = {**H2, "connection_keepalive": {"interval": "1s", "timeout": "2s"}} if call.fallback else H2
        fields |= _http_options({"explicit_http_config": {"http2_protocol_options": options}})
    return cluster(name, endpoints, **fields)


def _mesh_check(*, http: bool, quick: bool) -> Config:
    """Of callees; `quick` where another instance takes over: one that vanished is known after 3.5 s at most."""
    interval = "1s" if quick else "2s"
    check: Config = {
        "timeout": "1s",
        "interval": interval,
        "no_traffic_interval": interval,
        "unhealthy_edge_interval": "0.5s" if quick else interval,
        # No listener opens before the first round: a longer wait would be one more for every start.
        "initial_jitter": "0.1s",
        "unhealthy_threshold": 2,
        "healthy_threshold": 1,
    }
    if http:
        codec = {"codec_client_type": "HTTP2"}
        return {**check, "http_health_check": {"path": MESH_HEALTH_PATH, "host": "mesh", **codec}}
    # Each check is a connection that the app sees, and may write down.
    seldom = {"interval": "10s", "no_traffic_interval": "10s", "unhealthy_interval": "1s"}
    return {**check, **seldom, "tcp_health_check": {}}


def _scrape_cluster(graph: Graph, networks: NodeNetworks, edge: Edge, name: str) -> Config:
    callee = edge.callee
    place = _place(graph, networks, edge.caller, callee)
    return cluster(
        name,
        [endpoint(place, edge.number)],
        transport_socket=client_tls(callee.identity, callee.sni, "h2"),
        **_http_options({"explicit_http_config": {"http2_protocol_options": H2}}),
    )


def _egress_listeners(hosts: Iterable[Outside], sidecar: str) -> list[Config]:
    """Take the app's own TLS for the listed names, by its SNI; anything else is closed and logged."""
    by_port: dict[int, list[Config]] = {}
    for host in hosts:
        name = f"egress-{host.name}"
        chain = {"filter_chain_match": {"server_names": [host.host]}, "filters": [tcp_proxy(name, name)]}
        by_port.setdefault(host.port, []).append(chain)
    return [
        {
            "name": f"egress-{port}",
            "address": address(sidecar, port),
            "listener_filters": [TLS_INSPECTOR],
            "filter_chains": chains,
        }
        for port, chains in by_port.items()
    ]


def _egress_cluster(host: Outside, networks: NodeNetworks, node: str) -> Config:
    gateway = Instance(GATEWAY, node)
    return cluster(
        f"egress-{host.name}",
        [endpoint(networks.gateway_mesh, EGRESS_PORT)],
        transport_socket=client_tls(gateway.identity, host.sni),
    )

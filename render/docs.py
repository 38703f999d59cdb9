"""The documents' tables and diagram, from the graph."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network

from render.envoy import sidecar_config
from topology.graph import GATEWAY, METRICS, Graph
from topology.images import BUILDS, IMAGES
from topology.model import Service
from topology.network import NodeNetworks


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def services(graph: Graph, node: str) -> str:
    """What runs on a node, where it answers and who may call it."""

    def row(service: Service) -> list[str]:
        callers = list(graph.callers(service.name))
        if any(port.direct for port in service.ports):
            callers.append("*operators*")
        ports = ", ".join(f"{port.number} ({port.name}, {port.protocol})" for port in service.ports)
        return [
            f"`{service.name}`",
            ports or "-",
            service.resource,
            service.purpose,
            ", ".join(callers) or "-",
            ", ".join(f"`{host}`" for host in (*service.egress, *service.proxied)) or "-",
        ]

    return table(("Service", "Ports", "Resource", "Purpose", "Callers", "Outside hosts"), map(row, graph.on(node)))


def waivers(graph: Graph) -> str:
    """Every exception to hardening, with its reason."""
    rows = [
        (f"`{s.name}`", w.rule.value + (f" `{w.value}`" if w.value else ""), w.reason)
        for s in graph.services
        for w in s.waivers
    ]
    return table(("Service", "Exception", "Reason"), rows)


def images() -> str:
    """Every image with its tag, and whether a digest fixes it."""
    rows = [
        (f"`{key}`", f"`{image.repository}:{image.tag}`", "yes" if image.pinned else "**no**")
        for key, image in sorted(IMAGES.items())
    ]
    rows += [(f"`{key}`", f"built from `{folder}`", "-") for key, folder in sorted(BUILDS.items())]
    return table(("Key", "Image", "Digest"), rows)


def crossing(graph: Graph) -> str:
    """The edges between nodes: what the tailnet's policy lets through, metrics in one line a pair of nodes."""
    found = sorted(
        {
            (e.caller.host, e.callee.host if e.port != METRICS else f"*all of {e.callee.node}*", str(e.tailnet))
            for e in graph.crossing()
        }
    )
    return table(("From", "To", "Port"), found)


def routes(graph: Graph) -> str:
    """What each caller may ask for, where that is not everything; Prometheus' metrics aside."""
    found = sorted(
        {
            (f"`{e.caller.service}`", f"`{e.callee.service}`", ", ".join(f"`{entry}`" for entry in e.routes))
            for e in graph.edges
            if e.routes and e.port != METRICS
        }
    )
    return table(("Caller", "Callee", "May ask for"), found)


def limits(graph: Graph) -> str:
    """What a proxy bears, as the agents' one is told it."""
    agents = next(i for i in graph.instances("agents"))
    config = sidecar_config(graph, NodeNetworks(base=IPv4Network("10.0.0.0/16")), agents)
    static = config["static_resources"]
    clusters = {cluster["name"]: cluster for cluster in static["clusters"]}
    callee, redundant = clusters["to-litellm-api"], clusters["to-qdrant-api"]
    inbound = next(listener for listener in static["listeners"] if listener["name"] == "in-api")["filter_chains"][0]
    manager = inbound["filters"][0]["typed_config"]
    outbound = next(entry for entry in static["listeners"] if entry["name"] == "out-8081")
    hosts = outbound["filter_chains"][0]["filters"][0]["typed_config"]["route_config"]["virtual_hosts"]
    retried, safe = (found["route"]["retry_policy"] for found in hosts[0]["routes"])
    pings = next(iter(redundant["typed_extension_protocol_options"].values()))["explicit_http_config"][
        "http2_protocol_options"
    ]["connection_keepalive"]
    breaker = callee["circuit_breakers"]["thresholds"][0]
    check, quick = callee["health_checks"][0], redundant["health_checks"][0]
    outlier = redundant["outlier_detection"]
    most = config["overload_manager"]["resource_monitors"][0]["typed_config"]["max_active_downstream_connections"]
    rows = [
        ("Connections that a proxy accepts", f"{most}"),
        ("TLS handshake, headers of a request", f"{inbound['transport_socket_connect_timeout']}, then it is let go"),
        (
            "Headers of a request",
            f"{manager['max_request_headers_kb']} KB, {manager['common_http_protocol_options']['max_headers_count']}",
        ),
        (
            "To one callee",
            f"{breaker['max_connections']} connections, {breaker['max_requests']} requests, "
            f"{breaker['max_pending_requests']} waiting, {breaker['max_retries']} tried again",
        ),
        ("Connecting to a callee", callee["connect_timeout"]),
        ("Streams, WebSockets, database connections", "no idle timeout, no time limit"),
        (
            "GET, HEAD, searches and embeddings are tried again",
            f"{retried['num_retries']} times within about 2 s on `{retried['retry_on']}`",
        ),
        ("Other methods are tried again", f"only on `{safe['retry_on']}`: the callee has not seen them"),
        (
            "A callee is away",
            f"after {check['unhealthy_threshold']} failed checks of {check['timeout']}, one each {check['interval']}",
        ),
        (
            "With a fallback",
            f"checks each {quick['interval']}, the second one {quick['unhealthy_edge_interval']} after the first "
            f"failed; a connection that does not answer a ping within {pings['timeout']} ends",
        ),
        (
            "Outlier detection, with a fallback",
            f"{outlier['consecutive_gateway_failure']} gateway errors in a row: left out for "
            f"{outlier['base_ejection_time']}, {outlier['max_ejection_percent']} % of the instances at most",
        ),
    ]
    return table(("Limit of a proxy", "Value"), rows)


def diagram(graph: Graph) -> str:
    """The graph as a mermaid flowchart; scraping by Prometheus is left out."""
    lines = ["```mermaid", "flowchart LR"]
    for node in graph.nodes:
        lines.append(f"  subgraph {node.name}[{node.name} · {node.address}]")
        lines += [f"    {node.name}_{s.name.replace('-', '_')}[{s.name}]" for s in graph.on(node.name)]
        lines.append("  end")
    drawn = {(e.caller, e.callee) for e in graph.edges if e.port != METRICS and e.caller.service != GATEWAY}
    for caller, callee in sorted(drawn):
        ends = [f"{i.node}_{i.service.replace('-', '_')}" for i in (caller, callee)]
        lines.append(f"  {' --> '.join(ends)}")
    return "\n".join([*lines, "```"]) + "\n"


def architecture(graph: Graph) -> str:
    """The generated part of `docs/architecture.md`."""
    parts = ["## Who calls whom\n", diagram(graph)]
    for node in graph.nodes:
        parts += [f"## Services on {node.name}\n", services(graph, node.name)]
    parts += ["## Edges between the nodes\n", crossing(graph), "## Routes\n", routes(graph)]
    parts += ["## Limits\n", limits(graph)]
    parts += ["## Exceptions to hardening\n", waivers(graph), "## Images\n", images()]
    return "\n".join(parts)

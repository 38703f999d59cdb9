"""The documents' tables and diagram, from the graph."""

from collections.abc import Iterable, Sequence

from topology.graph import GATEWAY, METRICS, Graph
from topology.images import BUILDS, IMAGES
from topology.model import Service


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
            ", ".join(f"`{host}`" for host in service.egress) or "-",
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
    parts += ["## Edges between the nodes\n", crossing(graph)]
    parts += ["## Exceptions to hardening\n", waivers(graph), "## Images\n", images()]
    return "\n".join(parts)

"""The platform as tests see it: the sample nodes, the graph over them, and settings with the few keys they need."""

import json
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network
from typing import Any, Final

from settings import Settings
from settings.graph import planned_graph
from settings.load import load
from topology.graph import GATEWAY, Graph
from topology.model import Instance, Node
from topology.network import NodeNetworks

CLAUDE_KEY: Final = "sk-ant-of-the-tests"
OPENROUTER_KEY: Final = "sk-or-of-the-tests"
DOMAIN: Final = "mesh.example.org"
NEEDED: Final[Mapping[str, str]] = {
    "domain": DOMAIN,
    "claudeApiKey": CLAUDE_KEY,
    "openrouterApiKey": OPENROUTER_KEY,
}
"""Keys without a default that a control node needs."""

THANOS: Final = Node(name="thanos", role="gpu", address="100.64.1.1")
ORACLE1: Final = Node(name="oracle1", role="control", address="100.64.1.2")
NODES: Final = (THANOS, ORACLE1)
FOUR: Final = (
    *NODES,
    Node(name="titan", role="gpu", address="100.64.1.3"),
    Node(name="oracle2", role="control", address="100.64.1.4"),
)
NETWORKS: Final = NodeNetworks(base=IPv4Network("10.231.0.0/16"))


def settings(stack: str = "oracle1", environment: Mapping[str, str] | None = None, **config: Any) -> Settings:
    """Settings of a stack; `config` in the form of the configuration, None takes a needed key out."""
    return load(stack, configuration(**{**NEEDED, **config}), environment or {})


def configuration(**config: Any) -> dict[str, str]:
    """As Pulumi hands it over: everything as text, objects as JSON."""
    return {
        f"agentic-mesh:{key}": value if isinstance(value, str) else json.dumps(value)
        for key, value in config.items()
        if value is not None
    }


def nodes(**of_oracle1: str) -> dict[str, dict[str, str]]:
    """The `nodes` of the configuration that say what the defaults do, but for what `of_oracle1` adds."""
    found = {node.name: {"role": str(node.role), "address": node.address} for node in NODES}
    found["oracle1"] |= of_oracle1
    return found


def graph_of(stack: str, **config: Any) -> Graph:
    """The graph as a stack of these settings plans it."""
    return planned_graph(settings(stack, **config))


def pods(graph: Graph) -> Iterator[Instance]:
    """Every instance of every service, the gateways apart."""
    for node in graph.nodes:
        for service in graph.on(node.name):
            yield Instance(service.name, node.name)


def gateways(graph: Graph) -> Iterator[Instance]:
    """The gateway of each node."""
    for node in graph.nodes:
        yield Instance(GATEWAY, node.name)

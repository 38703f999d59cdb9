"""What the gateway's labels tell the pack about the deployment, since a pack cannot read the stack's settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from policies.subject import CONTAINER, GATEWAY_PART, PREFIX, subject
from policies.values import Props, Resource, pairs
from topology.catalog import SERVICES
from topology.graph import Graph
from topology.model import Node, Role

NODES: Final = PREFIX + "nodes"
DATA_ROOT: Final = PREFIX + "data-root"

_ROLES: Final[Mapping[str, Role]] = {"gpu": "gpu", "control": "control"}


def gateway_nodes(props: Props) -> tuple[Node, ...]:
    """The nodes of the mesh as the label has them: `name:role:address`, separated by commas; none if unreadable."""
    text = pairs(props, "labels").get(NODES)
    nodes = []
    for entry in text.split(",") if isinstance(text, str) else ():
        name, _, rest = entry.strip().partition(":")
        role, _, address = rest.partition(":")
        if not name or not address or role not in _ROLES:
            return ()
        nodes.append(Node(name=name, role=_ROLES[role], address=address))
    return tuple(nodes)


def gateways(resources: Sequence[Resource]) -> list[Resource]:
    """The stack's gateway containers."""
    return [r for r in resources if r.type == CONTAINER and subject(r.props).part == GATEWAY_PART]


def graph_of(resources: Sequence[Resource]) -> Graph | None:
    """The mesh that the stack's gateway belongs to."""
    for gateway in gateways(resources):
        if nodes := gateway_nodes(gateway.props):
            return Graph(SERVICES, nodes)
    return None


def data_root_of(resources: Sequence[Resource]) -> str | None:
    """The encrypted data root that the stack's gateway names."""
    for gateway in gateways(resources):
        path = pairs(gateway.props, "labels").get(DATA_ROOT)
        if isinstance(path, str) and path.startswith("/") and path.strip("/"):
            return path.rstrip("/")
    return None

"""The two nodes of the architecture, which a stack's `nodes` setting replaces."""

from typing import Final

from topology.model import Node

NODES: Final = (
    Node(name="thanos", role="gpu", address="100.64.1.1"),
    Node(name="oracle1", role="control", address="100.64.1.2"),
)

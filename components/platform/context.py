"""What the components of a node share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from components.platform.authority import Authority
from components.platform.backup_store import BackupStore
from components.platform.images import NodeImages
from components.platform.volumes import DataVolumes
from settings import Settings
from topology.graph import Graph
from topology.model import Instance, Service
from topology.network import NodeNetworks

PREFIX = "agentic-mesh"
"""Begins the names of everything that we make on a Docker host."""


@dataclass(frozen=True, kw_only=True)
class NodeContext:
    """The node that the components are made on."""

    settings: Settings
    graph: Graph
    networks: NodeNetworks
    mesh_network: pulumi.Input[str]
    """Name of the node's inner Docker network."""
    authority: Authority
    secrets: Mapping[str, pulumi.Output[str]]
    """Generated secrets by name (`topology.secrets`)."""
    images: NodeImages
    volumes: DataVolumes
    backup_store: BackupStore
    ready: Sequence[pulumi.Input[Any]]
    """What must be there before any container changes: the preflight, and an authority that holds."""

    @property
    def node(self) -> str:
        """Name of the node."""
        return self.settings.node.name

    def instance(self, service: str) -> Instance:
        """The instance of a service on this node."""
        return Instance(service, self.node)

    def secret(self, name: str) -> pulumi.Output[str]:
        """A generated secret."""
        return self.secrets[name]


@dataclass(frozen=True, kw_only=True)
class ServiceArgs:
    """What a service's component is told: where it is made, and its row of the table."""

    context: NodeContext
    service: Service

"""Where the lab keeps things: everything that lives below one folder, everything that runs below another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from topology.model import Role
from topology.nodes import NODES

PREFIX: Final = "agentic-mesh-lab"
RUN: Final = Path("/run") / PREFIX
"""Sockets, process ids and what the daemons keep while they run. Fixed: a machine has room for one lab, and the path
of a socket may not be long."""
LOCK: Final = Path("/run") / f"{PREFIX}.lock"

ADDRESSES: Final = {node.name: node.address for node in NODES}
"""The tailnet's nodes, as the architecture has them."""
_ROLES: Final = {node.name: node.role for node in NODES}


@dataclass(frozen=True)
class Node:
    """One Docker host of the lab."""

    name: str
    folder: Path
    """The lab's folder."""

    @property
    def address(self) -> str:
        """Its tailnet address."""
        return ADDRESSES[self.name]

    @property
    def role(self) -> Role:
        """What runs on it."""
        return _ROLES[self.name]

    @property
    def namespace(self) -> str:
        """Its network namespace."""
        return f"{PREFIX}-{self.name}"

    @property
    def run(self) -> Path:
        """Its sockets and process ids."""
        return RUN / self.name

    @property
    def socket(self) -> Path:
        """The Docker daemon's."""
        return self.run / "docker.sock"

    @property
    def data_root(self) -> Path:
        """The program's `dataRoot`."""
        return self.folder / self.name / "data"

    @property
    def docker_root(self) -> Path:
        """Docker's own data, below the data root as on a prepared host."""
        return self.data_root / "docker"

    @property
    def host(self) -> str:
        """What `dockerHost` is set to."""
        return f"unix://{self.socket}"


def nodes(folder: Path) -> tuple[Node, ...]:
    """The lab's nodes, in the order in which their stacks are deployed."""
    return tuple(Node(name, folder) for name in ADDRESSES)

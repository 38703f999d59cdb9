"""Addresses: every pod and gateway has a fixed one, computed from its slot.

Sidecars name each other by address, since Envoy starts at once with static addresses and waits for names
(`docs/adr`). The layout is the same on each node: these networks never leave it.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Final

METRICS_PORT: Final = 15090
"""Where each sidecar serves its own and its app's metrics to Prometheus."""
EGRESS_PORT: Final = 15443
"""Where the gateway takes connections that leave the node."""
FORWARD_PORT: Final = 15128
"""Where a sidecar accepts its app's CONNECT requests to the forward proxy."""
MAX_SLOT: Final = 199


@dataclass(frozen=True, kw_only=True)
class PodAddresses:
    """The network of two, and the sidecar's address on the node's inner network."""

    subnet: str
    app: str
    sidecar: str
    mesh: str


@dataclass(frozen=True, kw_only=True)
class NodeNetworks:
    """The networks of a node, cut from the one range that the settings give it."""

    base: IPv4Network

    @property
    def mesh_subnet(self) -> str:
        """The inner network: sidecars and the gateway."""
        return str(IPv4Network((int(self.base.network_address) + 0x1000, 24)))

    @property
    def outside_subnet(self) -> str:
        """The network by which the gateway alone reaches the world."""
        return str(IPv4Network((int(self.base.network_address) + 0x1100, 24)))

    @property
    def outside_router(self) -> str:
        """The host on the outside network. Set explicitly, since Docker 29 reads back its own choice."""
        return str(IPv4Address(int(self.base.network_address) + 0x1100 + 1))

    @property
    def gateway_mesh(self) -> str:
        """The gateway on the inner network."""
        return str(IPv4Address(int(self.base.network_address) + 0x1000 + 2))

    @property
    def gateway_outside(self) -> str:
        """The gateway on the outside network."""
        return str(IPv4Address(int(self.base.network_address) + 0x1100 + 2))

    @property
    def preflight_subnet(self) -> str:
        """The network of the preflight probes."""
        return str(IPv4Network((int(self.base.network_address) + 0x1200, 24)))

    @property
    def preflight_router(self) -> str:
        """The host on the network of the preflight probes."""
        return str(IPv4Address(int(self.base.network_address) + 0x1200 + 1))

    def pod(self, slot: int) -> PodAddresses:
        """The addresses of the pod with that slot (1 to `MAX_SLOT`)."""
        if not 1 <= slot <= MAX_SLOT:
            raise ValueError(f"slot {slot} is outside 1 to {MAX_SLOT}")
        start = int(self.base.network_address) + slot * 8
        mesh = int(self.base.network_address) + 0x1000 + 10 + slot
        return PodAddresses(
            subnet=f"{IPv4Address(start)}/29",
            app=str(IPv4Address(start + 2)),
            sidecar=str(IPv4Address(start + 3)),
            mesh=str(IPv4Address(mesh)),
        )

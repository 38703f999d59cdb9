"""Docker networks: shut off from the host and the world, but for the gateway's."""

from dataclasses import dataclass

import pulumi
import pulumi_docker as docker

from topology.network import NodeNetworks

# Without it a container of an internal network reaches whatever the host listens on.
_NO_HOST = {"com.docker.network.bridge.inhibit_ipv4": "true"}
TAILNET_MTU = "1280"


def _internal(resource: str, name: str, kind: str, subnet: str, opts: pulumi.ResourceOptions) -> docker.Network:
    return docker.Network(
        resource,
        name=name,
        driver="bridge",
        internal=True,
        ipam_configs=[docker.NetworkIpamConfigArgs(subnet=subnet)],
        options=_NO_HOST,
        labels=[docker.NetworkLabelArgs(label="agentic-mesh.network", value=kind)],
        opts=opts,
    )


def pod_network(resource: str, service: str, subnet: str, opts: pulumi.ResourceOptions) -> docker.Network:
    """The network of an app and its proxy."""
    return _internal(resource, f"agentic-mesh-pod-{service}", "pod", subnet, opts)


@dataclass(frozen=True, kw_only=True)
class NodeNetworkArgs:
    """Where the node's networks lie."""

    networks: NodeNetworks


class NodeNetwork(pulumi.ComponentResource):
    """Creates the node's inner network, on which proxies and the gateway meet, and the gateway's outside network."""

    def __init__(self, name: str, args: NodeNetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make both networks."""
        super().__init__("agentic-mesh:node:NodeNetwork", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.mesh = _internal(f"{name}-mesh", "agentic-mesh", "mesh", args.networks.mesh_subnet, child)
        self.outside = docker.Network(
            f"{name}-outside",
            name="agentic-mesh-outside",
            driver="bridge",
            ipam_configs=[
                docker.NetworkIpamConfigArgs(subnet=args.networks.outside_subnet, gateway=args.networks.outside_router)
            ],
            options={
                "com.docker.network.driver.mtu": TAILNET_MTU,
                "com.docker.network.bridge.enable_icc": "false",
            },
            labels=[docker.NetworkLabelArgs(label="agentic-mesh.network", value="outside")],
            opts=child,
        )
        self.register_outputs({"mesh": self.mesh.name, "outside": self.outside.name})

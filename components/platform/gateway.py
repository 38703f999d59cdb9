"""A node's gateway: the one door between its pods, the tailnet and the world."""

import json
from dataclasses import dataclass

import pulumi
import pulumi_docker as docker

from components.platform.authority import issue_certificate
from components.platform.context import NodeContext
from components.platform.networks import NodeNetwork
from components.platform.proxy import ProxyArgs, proxy
from render.envoy import gateway_config
from render.envoy.gateway import PUBLIC_PORT_OFFSET
from topology.graph import GATEWAY
from topology.memory import GATEWAY_MIB


@dataclass(frozen=True, kw_only=True)
class GatewayArgs:
    """The node and its networks."""

    context: NodeContext
    network: NodeNetwork


class Gateway(pulumi.ComponentResource):
    """Creates the gateway's certificate and its Envoy, which publishes on the tailnet address alone.

    On a control node the edge's public port is published on the public address besides.
    """

    def __init__(self, name: str, args: GatewayArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the gateway."""
        super().__init__("agentic-mesh:node:Gateway", name, None, opts)
        context = args.context
        settings, graph = context.settings, context.graph
        instance = context.instance(GATEWAY)
        certificate = issue_certificate(
            f"{name}-identity", context.authority, instance, pulumi.ResourceOptions(parent=self)
        )
        ports = [
            docker.ContainerPortArgs(internal=number, external=number, ip=settings.node.address)
            for number in graph.published(context.node)
        ] + [
            docker.ContainerPortArgs(
                internal=service.public_port + PUBLIC_PORT_OFFSET,
                external=service.public_port,
                ip=settings.public_address,
            )
            for service in graph.on(context.node)
            if service.public_port is not None
        ]
        nodes = ",".join(f"{n.name}:{n.role}:{n.address}" for n in settings.nodes)
        proxy(
            f"{name}-proxy",
            ProxyArgs(
                instance=instance,
                slot=0,
                envoy=json.dumps(gateway_config(graph, context.networks, context.node)),
                certificate=certificate,
                authority_pem=context.authority.trusted_pem,
                images=context.images,
                networks=[
                    (args.network.outside.name, context.networks.gateway_outside),
                    (context.mesh_network, context.networks.gateway_mesh),
                ],
                wait_seconds=300,
                ready=context.ready,
                part="gateway",
                ports=ports,
                outside=True,
                memory_mib=GATEWAY_MIB,
                more_labels=(("nodes", nodes), ("data_root", settings.data_root)),
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.certificate = certificate
        self.register_outputs({"address": settings.node.address})

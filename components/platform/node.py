"""A whole node: its networks, volumes, images, gateway and one component for each service on it."""

from dataclasses import dataclass

import pulumi

from components.platform.backup_store import BackupStore
from components.platform.context import NodeContext, ServiceArgs
from components.platform.foundation import given_secrets
from components.platform.gateway import Gateway, GatewayArgs
from components.platform.generated_secrets import GeneratedSecrets, GeneratedSecretsArgs
from components.platform.images import NodeImages, NodeImagesArgs
from components.platform.networks import NodeNetwork, NodeNetworkArgs
from components.platform.preflight import Preflight, PreflightArgs
from components.platform.shared import Shared
from components.platform.volumes import DataVolumes, DataVolumesArgs
from components.services.catalog import COMPONENTS
from settings import Settings
from topology.graph import Graph
from topology.network import NodeNetworks
from topology.secrets import FOR_PEOPLE, SECRETS, read_by, shared

BASE_IMAGES = ("envoy", "busybox")


@dataclass(frozen=True, kw_only=True)
class MeshNodeArgs:
    """The node's settings, the graph, and what all nodes share."""

    settings: Settings
    graph: Graph
    shared: Shared
    backup_store: BackupStore


class MeshNode(pulumi.ComponentResource):
    """Creates the preflight, then networks, volumes, images, local secrets, the gateway and every service of a node."""

    def __init__(self, name: str, args: MeshNodeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the node."""
        super().__init__("agentic-mesh:node:MeshNode", name, None, opts)
        settings, graph = args.settings, args.graph
        child = pulumi.ResourceOptions(parent=self)
        networks = NodeNetworks(base=settings.container_range)
        services = graph.on(settings.node.name)
        images = NodeImages(
            f"{name}-images",
            NodeImagesArgs(
                architecture=settings.node.architecture,
                keys=(*BASE_IMAGES, *(s.image for s in services)),
            ),
            child,
        )
        preflight = Preflight(
            f"{name}-preflight",
            PreflightArgs(settings=settings, graph=graph, networks=networks, images=images),
            child,
        )
        network = NodeNetwork(f"{name}-network", NodeNetworkArgs(networks=networks), child)
        local = read_by(SECRETS, services) - shared(SECRETS, graph)
        secrets = GeneratedSecrets(
            f"{name}-secrets",
            GeneratedSecretsArgs(
                secrets=[s for s in SECRETS if s.name in local],
                epoch=settings.secrets_epoch,
                given=given_secrets(settings, local),
            ),
            child,
        )
        context = NodeContext(
            settings=settings,
            graph=graph,
            networks=networks,
            mesh_network=network.mesh.name,
            authority=args.shared.authority,
            secrets={**args.shared.secrets, **secrets.values},
            images=images,
            volumes=DataVolumes(f"{name}-volumes", DataVolumesArgs(settings=settings, services=services), child),
            backup_store=args.backup_store,
            ready=[*preflight.probes, args.shared.authority.checked],
        )
        gateway = Gateway(f"{name}-gateway", GatewayArgs(context=context, network=network), child)
        pods = {
            service.name: COMPONENTS[service.name](
                service.name, ServiceArgs(context=context, service=service), child
            ).pod
            for service in services
        }
        self.endpoints = {
            service.name: f"{settings.node.address}:{port.number}"
            for service in services
            for port in service.ports
            if port.direct
        }
        self.keys = {place: context.secret(name) for place, name in FOR_PEOPLE.items() if name in context.secrets}
        self.image_references = {s.name: images.reference(s.image) for s in services}
        self.certificate_expiry = {
            "gateway": gateway.certificate.expires,
            **{service: pod.certificate.expires for service, pod in pods.items()},
        }
        self.register_outputs({"endpoints": self.endpoints})

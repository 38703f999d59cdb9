"""The program: settings, providers, the foundation or what it exports, the node, outputs."""

import os
import sys

import pulumi
import pulumi_aws as aws
import pulumi_docker as docker
import pulumi_random as random
import pulumi_tailscale as tailscale
import pulumi_tls as tls
from pulumi.runtime.config import _SECRET_KEYS, CONFIG

from components.platform.backup_store import BackupStore, BackupStoreArgs
from components.platform.foundation import Foundation, FoundationArgs
from components.platform.images import check_platforms
from components.platform.interrupted import explain_interrupt
from components.platform.node import BASE_IMAGES, MeshNode, MeshNodeArgs
from components.platform.shared import OUTPUT, FoundationMissingError, Shared, read_shared
from components.platform.tailnet import Tailnet, TailnetArgs
from settings import Settings, SettingsError
from settings.graph import planned_graph
from settings.load import load
from settings.memory import check_memory
from topology.graph import Graph
from topology.secrets import SECRETS, read_by, shared


def _foundation(settings: Settings, graph: Graph, generators: list[pulumi.ProviderResource]) -> Shared:
    """Makes what the nodes share on the stack that owns it, reads it on the others."""
    if settings.foundation != settings.node.name:
        names = shared(SECRETS, graph) & read_by(SECRETS, graph.on(settings.node.name))
        return read_shared(settings.foundation, names)
    foundation = Foundation(
        "foundation", FoundationArgs(settings=settings, graph=graph), pulumi.ResourceOptions(providers=generators)
    )
    if settings.manage_tailnet:
        _tailnet(settings, graph)
    pulumi.export(OUTPUT, foundation.shared.export())
    return foundation.shared


def _tailnet(settings: Settings, graph: Graph) -> None:
    given = settings.tailscale_auth_key
    tailnet = Tailnet(
        "tailnet",
        TailnetArgs(
            graph=graph,
            operators=settings.tailnet_operators,
            epoch=settings.secrets_epoch,
            auth_keys={settings.node.name: pulumi.Output.secret(given.reveal())} if given else {},
        ),
        pulumi.ResourceOptions(providers=[tailscale.Provider("tailscale")]),
    )
    pulumi.export("authKeys", pulumi.Output.secret(dict(tailnet.keys)))


def _backup_store(settings: Settings) -> BackupStore:
    access, secret = settings.backup_access_key, settings.backup_secret_key
    made = settings.backup.provider == "aws"
    return BackupStore(
        "backups",
        BackupStoreArgs(
            node=settings.node.name,
            store=settings.backup,
            epoch=settings.secrets_epoch,
            access_key=pulumi.Output.secret(access.reveal()) if access and not made else None,
            secret_key=pulumi.Output.secret(secret.reveal()) if secret and not made else None,
        ),
        pulumi.ResourceOptions(providers=[aws.Provider("aws", region=settings.backup.region)] if made else None),
    )


def main() -> None:
    """Deploy the node of this stack."""
    settings = load(pulumi.get_stack(), CONFIG.get(), os.environ, frozenset(_SECRET_KEYS.get()))
    graph = planned_graph(settings)
    services = graph.on(settings.node.name)
    check_platforms(settings, (*BASE_IMAGES, *(s.image for s in services)))
    check_memory(settings, services)
    generators = [random.Provider("random"), tls.Provider("tls")]
    node = MeshNode(
        settings.node.name,
        MeshNodeArgs(
            settings=settings,
            graph=graph,
            shared=_foundation(settings, graph, generators),
            backup_store=_backup_store(settings),
        ),
        pulumi.ResourceOptions(providers=[docker.Provider("docker", host=settings.docker_host), *generators]),
    )
    pulumi.export("endpoints", node.endpoints)
    if node.keys:
        pulumi.export("keys", pulumi.Output.secret(node.keys))
    pulumi.export("images", node.image_references)
    pulumi.export("certificateExpiry", node.certificate_expiry)


explain_interrupt()
try:
    main()
except (SettingsError, FoundationMissingError) as error:
    # One message, no traceback: the program is well, what it was told is not.
    pulumi.log.error(str(error))
    sys.exit(1)

"""The three peers of the vector cluster: primary and witness on the GPU node, replica on the control node."""

from typing import Literal

import pulumi

from components.platform.context import ServiceArgs
from components.platform.pod import Pod, PodArgs
from render.qdrant import qdrant_config

FIRST_PEER = "http://qdrant:6335"
"""The others join the cluster by it."""


class Qdrant(pulumi.ComponentResource):
    """Creates the pod of the primary, the first of its cluster."""

    def __init__(self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the pod."""
        super().__init__("agentic-mesh:vectors:Qdrant", name, None, opts)
        self.pod = _peer(self, name, args, FIRST_PEER)
        self.register_outputs({})


class QdrantWitness(pulumi.ComponentResource):
    """Creates the pod of the third voter, which takes updates and answers no reads."""

    def __init__(self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the pod."""
        super().__init__("agentic-mesh:vectors:QdrantWitness", name, None, opts)
        self.pod = _peer(self, name, args, "http://qdrant-witness:6336", node_type="Listener")
        self.register_outputs({})


class QdrantReplica(pulumi.ComponentResource):
    """Creates the pod of the replica, which answers reads while the GPU node is down."""

    def __init__(self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the pod."""
        super().__init__("agentic-mesh:vectors:QdrantReplica", name, None, opts)
        self.pod = _peer(self, name, args, "http://qdrant-replica:6337")
        self.register_outputs({})


def _peer(
    parent: pulumi.Resource,
    name: str,
    args: ServiceArgs,
    uri: str,
    *,
    node_type: Literal["Normal", "Listener"] = "Normal",
) -> Pod:
    """The pod of a peer that the others reach by `uri`."""
    keys = pulumi.Output.all(args.context.secret("qdrant-api-key"), args.context.secret("qdrant-read-only-api-key"))
    config = keys.apply(
        lambda key: qdrant_config(
            api_key=key[0],
            read_only_api_key=key[1],
            node_type=node_type,
            http_port=args.service.port("api").app_port,
        )
    )
    join = [] if uri == FIRST_PEER else ["--bootstrap", FIRST_PEER]
    return Pod(
        f"{name}-pod",
        PodArgs(
            context=args.context,
            service=args.service,
            entrypoints=["./qdrant"],
            working_dir="/qdrant",
            command=["--config-path", "/config/qdrant.yaml", "--uri", uri, *join],
            files={"qdrant.yaml": config},
            env={"QDRANT_INIT_FILE_PATH": "/tmp/.qdrant-initialized"},
        ),
        pulumi.ResourceOptions(parent=parent),
    )

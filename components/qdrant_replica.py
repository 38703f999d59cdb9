"""The vector database's replica."""

import pulumi

from components.context import ServiceArgs
from components.pod import Pod, PodArgs
from render.qdrant import qdrant_config


class QdrantReplica(pulumi.ComponentResource):
    """Creates the pod of the Qdrant peer on the control node, which answers reads while the GPU node is away."""

    def __init__(self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the pod."""
        super().__init__("agentic-mesh:vectors:QdrantReplica", name, None, opts)
        context = args.context
        files = {
            "qdrant.yaml": pulumi.Output.all(
                context.secret("qdrant-api-key"), context.secret("qdrant-read-only-api-key")
            ).apply(lambda s: qdrant_config(api_key=s[0], read_only_api_key=s[1]))
        }
        self.pod = Pod(
            f"{name}-pod",
            PodArgs(
                context=args.context,
                service=args.service,
                entrypoints=["./qdrant"],
                working_dir="/qdrant",
                command=[
                    "--config-path",
                    "/config/qdrant.yaml",
                    "--uri",
                    "http://qdrant-replica:6337",
                    "--bootstrap",
                    "http://qdrant:6335",
                ],
                files=files,
                env={"QDRANT_INIT_FILE_PATH": "/tmp/.qdrant-initialized"},
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})

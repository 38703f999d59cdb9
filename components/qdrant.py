"""The vector database's primary."""

import pulumi

from components.context import ServiceArgs
from components.pod import Pod, PodArgs
from render.qdrant import qdrant_config


class Qdrant(pulumi.ComponentResource):
    """Creates the pod of the Qdrant peer on the GPU node: first of its cluster, indexing on the card."""

    def __init__(self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the pod."""
        super().__init__("agentic-mesh:vectors:Qdrant", name, None, opts)
        context = args.context
        files = {
            "qdrant.yaml": pulumi.Output.all(
                context.secret("qdrant-api-key"),
                context.secret("qdrant-read-only-api-key"),
                context.backup_store.access_key_id,
                context.backup_store.secret_access_key,
            ).apply(
                lambda s: qdrant_config(
                    api_key=s[0],
                    read_only_api_key=s[1],
                    gpu=True,
                    snapshots=(context.settings.backup, context.node, s[2], s[3]),
                )
            )
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
                    "http://qdrant:6335",
                ],
                files=files,
                env={"QDRANT_INIT_FILE_PATH": "/tmp/.qdrant-initialized"},
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})

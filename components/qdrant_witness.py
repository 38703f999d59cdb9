"""The vector cluster's third voter."""

import pulumi

from components.context import ServiceArgs
from components.pod import Pod, PodArgs
from render.qdrant import qdrant_config


class QdrantWitness(pulumi.ComponentResource):
    """Creates the pod of the Qdrant peer that votes and takes updates, and answers no reads."""

    def __init__(self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the pod."""
        super().__init__("agentic-mesh:vectors:QdrantWitness", name, None, opts)
        context = args.context
        files = {
            "qdrant.yaml": pulumi.Output.all(
                context.secret("qdrant-api-key"), context.secret("qdrant-read-only-api-key")
            ).apply(lambda s: qdrant_config(api_key=s[0], read_only_api_key=s[1], node_type="Listener"))
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
                    "http://qdrant-witness:6336",
                    "--bootstrap",
                    "http://qdrant:6335",
                ],
                files=files,
                env={"QDRANT_INIT_FILE_PATH": "/tmp/.qdrant-initialized"},
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})

"""Embeddings on the GPU."""

import pulumi

from components.context import ServiceArgs
from components.pod import Pod, PodArgs
from render.entrypoint import with_secrets
from render.models import offline


class Embeddings(pulumi.ComponentResource):
    """Creates the pod of Text Embeddings Inference, with the one embedding model of the platform."""

    def __init__(self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the pod."""
        super().__init__("agentic-mesh:inference:Embeddings", name, None, opts)
        settings = args.context.settings
        self.pod = Pod(
            f"{name}-pod",
            PodArgs(
                context=args.context,
                service=args.service,
                entrypoints=with_secrets({"API_KEY": "/config/api-key"}, "./entrypoint.sh"),
                command=[
                    # Docker sets HOSTNAME, which the server would otherwise bind.
                    "--hostname",
                    "0.0.0.0",
                    "--port",
                    "8001",
                    "--model-id",
                    settings.models.embedding,
                    "--max-batch-tokens",
                    "16384",
                    "--max-client-batch-size",
                    "32",
                    "--max-concurrent-requests",
                    "512",
                ],
                files={"api-key": args.context.secret("embeddings-api-key")},
                env={"HUGGINGFACE_HUB_CACHE": "/data", "HF_HOME": "/data", **offline(settings)},
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})

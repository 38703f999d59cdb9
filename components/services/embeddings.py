"""Embeddings: the one model of the platform on the GPU, and the same on CPU for when the GPU node is down."""

import pulumi

from components.platform.context import ServiceArgs
from components.platform.pod import Pod, PodArgs
from render.entrypoint import with_secrets
from render.models import embeddings_command, offline


class Embeddings(pulumi.ComponentResource):
    """Creates the pod of Text Embeddings Inference on the GPU."""

    def __init__(self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the pod."""
        super().__init__("agentic-mesh:inference:Embeddings", name, None, opts)
        self.pod = _server(self, name, args, "./entrypoint.sh")
        self.register_outputs({})


class EmbeddingsCpu(pulumi.ComponentResource):
    """Creates the pod of Text Embeddings Inference on the CPU."""

    def __init__(self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the pod."""
        super().__init__("agentic-mesh:inference:EmbeddingsCpu", name, None, opts)
        self.pod = _server(self, name, args, "text-embeddings-router")
        self.register_outputs({})


def _server(parent: pulumi.Resource, name: str, args: ServiceArgs, program: str) -> Pod:
    settings = args.context.settings
    return Pod(
        f"{name}-pod",
        PodArgs(
            context=args.context,
            service=args.service,
            entrypoints=with_secrets({"API_KEY": "/config/api-key"}, program),
            command=embeddings_command(settings, args.service),
            files={"api-key": args.context.secret("embeddings-api-key")},
            env={"HUGGINGFACE_HUB_CACHE": "/data", "HF_HOME": "/data", **offline(settings)},
        ),
        pulumi.ResourceOptions(parent=parent),
    )

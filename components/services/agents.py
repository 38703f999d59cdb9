"""The agents: supervisor and workers."""

import pulumi

from components.platform.context import ServiceArgs
from components.platform.pod import Pod, PodArgs
from render.agents import agents_abilities, agents_prices


class Agents(pulumi.ComponentResource):
    """Creates the pod of the LangGraph API."""

    def __init__(self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the pod."""
        super().__init__("agentic-mesh:agents:Agents", name, None, opts)
        context = args.context
        self.pod = Pod(
            f"{name}-pod",
            PodArgs(
                context=args.context,
                service=args.service,
                files={
                    "api-key": context.secret("langgraph-api-key"),
                    **{
                        f"{name}-key": context.secret(f"{secret}-key")
                        for name, secret in (
                            ("litellm", "litellm-agents"),
                            ("qdrant", "qdrant-api"),
                            ("qdrant-read-only", "qdrant-read-only-api"),
                            ("embeddings", "embeddings-api"),
                            ("whisper", "whisper-api"),
                            ("ocr", "ocr-api"),
                            ("interpreter", "interpreter-api"),
                        )
                    },
                    "redis-password": context.secret("redis-agents-password"),
                    "postgres-password": context.secret("postgres-agents-password"),
                },
                env={
                    "AGENTS_HOST": "0.0.0.0",
                    "AGENTS_PORT": "8080",
                    "AGENTS_CONFIG_DIR": "/config",
                    "AGENTS_OFF_PEAK": context.settings.off_peak,
                    "AGENTS_EMBEDDING_MODEL": context.settings.models.embedding,
                    "AGENTS_WHISPER_MODEL": context.settings.models.speech_to_text,
                    "AGENTS_EMBEDDING_SIZE": str(context.settings.models.embedding_size),
                    "AGENTS_IMAGE_CHECKPOINT": context.settings.models.image_checkpoint,
                    "AGENTS_PRICES": agents_prices(context.settings),
                    "AGENTS_ABILITIES": agents_abilities(context.settings),
                },
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})

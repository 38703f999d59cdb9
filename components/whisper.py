"""Speech to text and back."""

import pulumi

from components.context import ServiceArgs
from components.pod import Pod, PodArgs
from render.entrypoint import with_secrets
from render.models import offline


class Whisper(pulumi.ComponentResource):
    """Creates the pod of speaches, an OpenAI-compatible audio server."""

    def __init__(self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the pod."""
        super().__init__("agentic-mesh:inference:Whisper", name, None, opts)
        self.pod = Pod(
            f"{name}-pod",
            PodArgs(
                context=args.context,
                service=args.service,
                entrypoints=with_secrets({"API_KEY": "/config/api-key"}, "uvicorn"),
                command=["--factory", "speaches.main:create_app"],
                files={"api-key": args.context.secret("whisper-api-key")},
                env={
                    "UVICORN_HOST": "0.0.0.0",
                    "UVICORN_PORT": "8002",
                    "ENABLE_UI": "false",
                    "LOG_LEVEL": "info",
                    "HF_HUB_CACHE": "/home/ubuntu/.cache/huggingface/hub",
                    # Memory of the card goes back to the others when nobody speaks.
                    "STT_MODEL_TTL": "300",
                    "TTS_MODEL_TTL": "300",
                    **offline(args.context.settings),
                },
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})

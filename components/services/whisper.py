"""Speech to text and back."""

import pulumi

from components.platform.context import ServiceArgs
from components.platform.pod import Pod, PodArgs
from render.entrypoint import with_secrets
from render.models import audio_aliases, offline

# The server downloads no model by itself: once it answers, it is told to fetch the two of the settings.
_START = """\
(
  until curl --silent --fail --output /dev/null http://127.0.0.1:8002/health; do sleep 2; done
  [ -n "${HF_HUB_OFFLINE:-}" ] || for model in $MODELS; do
    curl --silent --fail --output /dev/null --retry 5 --header @/config/authorization \
      --request POST "http://127.0.0.1:8002/v1/models/$model" || echo "model $model was not fetched"
  done
) &
exec uvicorn --factory speaches.main:create_app
"""


class Whisper(pulumi.ComponentResource):
    """Creates the pod of speaches, an OpenAI-compatible audio server."""

    def __init__(self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the pod."""
        super().__init__("agentic-mesh:inference:Whisper", name, None, opts)
        settings = args.context.settings
        key = args.context.secret("whisper-api-key")
        self.pod = Pod(
            f"{name}-pod",
            PodArgs(
                context=args.context,
                service=args.service,
                entrypoints=with_secrets({"API_KEY": "/config/api-key"}, "sh", "-c", _START),
                files={
                    "api-key": key,
                    "authorization": pulumi.Output.concat("Authorization: Bearer ", key),
                    # Read from the working directory; the image's own file names models that are not downloaded.
                    "model_aliases.json": audio_aliases(settings),
                },
                working_dir="/config",
                env={
                    "UVICORN_HOST": "0.0.0.0",
                    "UVICORN_PORT": "8002",
                    "ENABLE_UI": "false",
                    "LOG_LEVEL": "info",
                    "HF_HUB_CACHE": "/home/ubuntu/.cache/huggingface/hub",
                    # Memory of the card goes back to the others when nobody speaks.
                    "STT_MODEL_TTL": "300",
                    "TTS_MODEL_TTL": "300",
                    "MODELS": f"{settings.models.speech_to_text} {settings.models.text_to_speech}",
                    **offline(settings),
                },
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})

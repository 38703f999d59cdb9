"""The API gateway."""

from collections.abc import Mapping

import pulumi

from components.platform.context import ServiceArgs
from components.platform.pod import Pod, PodArgs
from render.kong import kong_config
from render.models import audio_voices
from settings import Settings


class Kong(pulumi.ComponentResource):
    """Creates Kong's pod, without a database and without an admin API."""

    def __init__(self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the pod."""
        super().__init__("agentic-mesh:gateway:Kong", name, None, opts)
        context = args.context
        self.pod = Pod(
            f"{name}-pod",
            PodArgs(
                context=args.context,
                service=args.service,
                files={
                    "kong.yaml": pulumi.Output.all(
                        owner=context.secret("gateway-owner-key"),
                        redis=context.secret("redis-kong-password"),
                        langgraph=context.secret("langgraph-api-key"),
                        litellm=context.secret("litellm-kong-key"),
                        whisper=context.secret("whisper-api-key"),
                        ocr=context.secret("ocr-api-key"),
                    ).apply(lambda secrets: _config(secrets, context.settings))
                },
                env={
                    "KONG_DATABASE": "off",
                    "KONG_DECLARATIVE_CONFIG": "/config/kong.yaml",
                    "KONG_PREFIX": "/kong",
                    "KONG_PROXY_LISTEN": "0.0.0.0:8000",
                    "KONG_ADMIN_LISTEN": "off",
                    "KONG_ADMIN_GUI_LISTEN": "off",
                    "KONG_STATUS_LISTEN": "0.0.0.0:8007",
                    "KONG_ANONYMOUS_REPORTS": "off",
                    "KONG_NGINX_WORKER_PROCESSES": "2",
                    "KONG_PROXY_ACCESS_LOG": "/dev/stdout",
                    "KONG_PROXY_ERROR_LOG": "/dev/stderr",
                    "KONG_TRUSTED_IPS": context.networks.pod(args.service.slot).sidecar,
                    "KONG_REAL_IP_HEADER": "X-Forwarded-For",
                },
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})


def _config(secrets: Mapping[str, str], settings: Settings) -> str:
    upstream = {name: key for name, key in secrets.items() if name not in ("owner", "redis")}
    return kong_config(
        owner_key=secrets["owner"],
        upstream_keys=upstream,
        redis_password=secrets["redis"],
        cors_origins=settings.cors_origins,
        voices=audio_voices(settings),
    )

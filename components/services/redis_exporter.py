"""Redis metrics."""

import pulumi

from components.platform.context import ServiceArgs
from components.platform.pod import Pod, PodArgs
from render.entrypoint import with_secrets


class RedisExporter(pulumi.ComponentResource):
    """Creates the pod of the Redis exporter, a client with a user of its own."""

    def __init__(self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the pod."""
        super().__init__("agentic-mesh:monitoring:RedisExporter", name, None, opts)
        self.pod = Pod(
            f"{name}-pod",
            PodArgs(
                context=args.context,
                service=args.service,
                entrypoints=with_secrets({"REDIS_PASSWORD": "/config/password"}, "/redis_exporter"),
                files={"password": args.context.secret("redis-exporter-password")},
                env={"REDIS_ADDR": "redis://redis:6379", "REDIS_USER": "exporter"},
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})

"""Cache and queues."""

import pulumi

from components.platform.context import ServiceArgs
from components.platform.pod import Pod, PodArgs
from render.redis import USERS, redis_acl, redis_config


class Redis(pulumi.ComponentResource):
    """Creates Redis' pod, with a user for each client and none by default."""

    def __init__(self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the pod."""
        super().__init__("agentic-mesh:data:Redis", name, None, opts)
        passwords = {user: args.context.secret(f"redis-{user}-password") for user in USERS}
        self.pod = Pod(
            f"{name}-pod",
            PodArgs(
                context=args.context,
                service=args.service,
                # Not the image's entry point: it loads every module in the image (search, JSON, time series, Bloom
                # filters), none of which is used. For a non-root user it otherwise only sets the umask.
                entrypoints=["sh", "-c", 'umask 077; exec "$0" "$@"', "redis-server"],
                command=["/config/redis.conf"],
                files={
                    "redis.conf": redis_config(args.service.memory_mib),
                    "users.acl": pulumi.Output.all(**passwords).apply(redis_acl),
                },
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})

"""Logs and the audit trail."""

import pulumi

from components.platform.context import ServiceArgs
from components.platform.pod import Pod, PodArgs
from render.logs import loki_config


class Loki(pulumi.ComponentResource):
    """Creates Loki's pod."""

    def __init__(self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the pod."""
        super().__init__("agentic-mesh:monitoring:Loki", name, None, opts)
        self.pod = Pod(
            f"{name}-pod",
            PodArgs(
                context=args.context,
                service=args.service,
                command=["-config.file=/config/loki.yaml"],
                files={"loki.yaml": loki_config()},
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})

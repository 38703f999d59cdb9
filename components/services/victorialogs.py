"""Logs and the audit trail."""

import pulumi

from components.platform.context import ServiceArgs
from components.platform.pod import Pod, PodArgs
from render.logs import store_command


class VictoriaLogs(pulumi.ComponentResource):
    """Creates VictoriaLogs' pod: the store of all containers' logs, with its web UI for operators."""

    def __init__(self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the pod."""
        super().__init__("agentic-mesh:monitoring:VictoriaLogs", name, None, opts)
        self.pod = Pod(
            f"{name}-pod",
            PodArgs(
                context=args.context,
                service=args.service,
                command=store_command(args.context.settings.logs),
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})

"""Probes of the main services."""

import pulumi

from components.platform.context import ServiceArgs
from components.platform.pod import Pod, PodArgs
from render.monitoring import blackbox_config


class BlackboxExporter(pulumi.ComponentResource):
    """Creates the blackbox exporter's pod, which calls services as any other caller does."""

    def __init__(self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the pod."""
        super().__init__("agentic-mesh:monitoring:BlackboxExporter", name, None, opts)
        self.pod = Pod(
            f"{name}-pod",
            PodArgs(
                context=args.context,
                service=args.service,
                command=["--config.file=/config/blackbox.yml", "--web.listen-address=0.0.0.0:9115"],
                files={"blackbox.yml": blackbox_config()},
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})

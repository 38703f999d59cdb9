"""GPU metrics."""

import pulumi

from components.platform.context import ServiceArgs
from components.platform.pod import Pod, PodArgs
from render.gpu_counters import gpu_counters


class GpuExporter(pulumi.ComponentResource):
    """Creates the pod of NVIDIA's DCGM exporter."""

    def __init__(self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the pod."""
        super().__init__("agentic-mesh:monitoring:GpuExporter", name, None, opts)
        self.pod = Pod(
            f"{name}-pod",
            PodArgs(
                context=args.context,
                service=args.service,
                command=["-a", "0.0.0.0:9400", "-f", "/config/counters.csv"],
                files={"counters.csv": gpu_counters()},
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})

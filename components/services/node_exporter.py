"""System metrics."""

import pulumi

from components.platform.context import ServiceArgs
from components.platform.pod import Pod, PodArgs


class NodeExporter(pulumi.ComponentResource):
    """Creates the node exporter's pod. It sees the host's /proc and /sys, not its files."""

    def __init__(self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the pod."""
        super().__init__("agentic-mesh:monitoring:NodeExporter", name, None, opts)
        self.pod = Pod(
            f"{name}-pod",
            PodArgs(
                context=args.context,
                service=args.service,
                command=[
                    "--path.procfs=/host/proc",
                    "--path.sysfs=/host/sys",
                    "--path.rootfs=/host",
                    "--web.listen-address=0.0.0.0:9100",
                    "--collector.disable-defaults",
                    *(
                        f"--collector.{name}"
                        for name in (
                            "cpu",
                            "meminfo",
                            "loadavg",
                            "diskstats",
                            "filesystem",
                            "netdev",
                            "pressure",
                            "thermal_zone",
                            "uname",
                        )
                    ),
                ],
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})

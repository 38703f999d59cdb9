"""Metrics and alerts."""

import pulumi

from components.platform.context import ServiceArgs
from components.platform.pod import Pod, PodArgs
from render.monitoring import alert_rules, prometheus_config


class Prometheus(pulumi.ComponentResource):
    """Creates Prometheus' pod, whose targets are the graph's."""

    def __init__(self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the pod."""
        super().__init__("agentic-mesh:monitoring:Prometheus", name, None, opts)
        context = args.context
        self.pod = Pod(
            f"{name}-pod",
            PodArgs(
                context=args.context,
                service=args.service,
                command=[
                    "--config.file=/config/prometheus.yml",
                    "--storage.tsdb.path=/prometheus",
                    "--storage.tsdb.retention.time=30d",
                    "--web.listen-address=0.0.0.0:9090",
                ],
                files={
                    "prometheus.yml": prometheus_config(context.graph, context.node),
                    "alerts.yml": alert_rules(),
                },
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})

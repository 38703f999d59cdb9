"""Routes alerts to people."""

import pulumi

from components.platform.context import ServiceArgs
from components.platform.pod import Pod, PodArgs
from render.monitoring import alertmanager_config


class Alertmanager(pulumi.ComponentResource):
    """Creates Alertmanager's pod."""

    def __init__(self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the pod."""
        super().__init__("agentic-mesh:monitoring:Alertmanager", name, None, opts)
        settings = args.context.settings
        files: dict[str, pulumi.Input[str]] = {"alertmanager.yml": alertmanager_config(settings)}
        if settings.smtp_password is not None:
            files["smtp-password"] = pulumi.Output.secret(settings.smtp_password.reveal())
        if settings.alert_webhook is not None:
            files["webhook-url"] = pulumi.Output.secret(settings.alert_webhook.reveal())
        self.pod = Pod(
            f"{name}-pod",
            PodArgs(
                context=args.context,
                service=args.service,
                command=[
                    "--config.file=/config/alertmanager.yml",
                    "--storage.path=/alertmanager",
                    "--web.listen-address=0.0.0.0:9093",
                    # A single one: nothing to gossip with.
                    "--cluster.listen-address=",
                ],
                files=files,
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})

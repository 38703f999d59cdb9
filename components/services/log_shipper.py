"""Ships container logs."""

import pulumi

from components.platform.context import ServiceArgs
from components.platform.pod import Pod, PodArgs
from render.logs import alloy_config


class LogShipper(pulumi.ComponentResource):
    """Creates Alloy's pod. It reads Docker's log files and needs no access to its socket."""

    def __init__(self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the pod."""
        super().__init__("agentic-mesh:monitoring:LogShipper", name, None, opts)
        self.pod = Pod(
            f"{name}-pod",
            PodArgs(
                context=args.context,
                service=args.service,
                command=[
                    "run",
                    "/config/config.alloy",
                    "--storage.path=/var/lib/alloy/data",
                    "--server.http.listen-addr=0.0.0.0:12345",
                    "--disable-reporting",
                ],
                files={"config.alloy": alloy_config(args.context.node)},
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})

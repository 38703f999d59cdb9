"""Ships container logs."""

import pulumi

from components.platform.context import ServiceArgs
from components.platform.pod import Pod, PodArgs
from render.logs import shipper_command


class LogShipper(pulumi.ComponentResource):
    """Creates vlagent's pod. It reads Docker's log files and needs no access to its socket."""

    def __init__(self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the pod."""
        super().__init__("agentic-mesh:monitoring:LogShipper", name, None, opts)
        store = args.context.graph.service("victorialogs")
        self.pod = Pod(
            f"{name}-pod",
            PodArgs(
                context=args.context,
                service=args.service,
                command=shipper_command(args.context.node, f"http://{store.name}:{store.port('ingest').number}"),
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})

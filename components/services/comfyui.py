"""Image generation."""

import pulumi

from components.platform.context import ServiceArgs
from components.platform.pod import Pod, PodArgs


class ComfyUI(pulumi.ComponentResource):
    """Creates ComfyUI's pod. It has no authentication of its own: the proxy's allow-list is what guards it."""

    def __init__(self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the pod."""
        super().__init__("agentic-mesh:inference:ComfyUI", name, None, opts)
        self.pod = Pod(
            f"{name}-pod",
            PodArgs(
                context=args.context,
                service=args.service,
                env={"CLI_ARGS": "--listen 0.0.0.0 --port 8003"},
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})

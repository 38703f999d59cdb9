"""Sandboxed code execution."""

import pulumi

from components.platform.context import ServiceArgs
from components.platform.pod import Pod, PodArgs


class Interpreter(pulumi.ComponentResource):
    """Creates the code interpreter's pod, under gVisor; it calls nobody."""

    def __init__(self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the pod."""
        super().__init__("agentic-mesh:inference:Interpreter", name, None, opts)
        self.pod = Pod(
            f"{name}-pod",
            PodArgs(
                context=args.context,
                service=args.service,
                files={"api-key": args.context.secret("interpreter-api-key")},
                env={
                    "INTERPRETER_HOST": "0.0.0.0",
                    "INTERPRETER_PORT": "8004",
                    "INTERPRETER_API_KEY_FILE": "/config/api-key",
                },
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})

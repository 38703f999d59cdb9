"""Image generation."""

import pulumi

from components.platform.context import ServiceArgs
from components.platform.pod import Pod, PodArgs
from render.gpu import share_environment, share_files

_PROGRAM = "/default-comfyui-bundle/ComfyUI"


class ComfyUI(pulumi.ComponentResource):
    """Creates ComfyUI's pod. It has no authentication of its own; the proxy's allow-list protects it.

    It runs without the image's entry point, which copies the program into a volume and enables the manager, through
    which any client could install code (docs/adr/0026). It writes below `/data` only.
    """

    def __init__(self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the pod."""
        super().__init__("agentic-mesh:inference:ComfyUI", name, None, opts)
        settings = args.context.settings
        self.pod = Pod(
            f"{name}-pod",
            PodArgs(
                context=args.context,
                service=args.service,
                entrypoints=["python3", "main.py"],
                # The image's default is root's home.
                working_dir=_PROGRAM,
                command=[
                    "--listen",
                    "0.0.0.0",
                    "--port",
                    "8003",
                    "--base-directory",
                    "/data",
                    "--database-url",
                    "sqlite:////data/user/comfyui.db",
                    "--disable-all-custom-nodes",
                    "--disable-api-nodes",
                    # Dynamic VRAM bypasses PyTorch's allocator, and so the share.
                    "--disable-dynamic-vram",
                    "--log-stdout",
                    *([] if settings.gpu_shares.get(args.service.name, 0) else ["--cpu"]),
                ],
                files=share_files(),
                env={
                    "HOME": "/data",
                    # Its user is not in the image's passwd, and libraries look up its name.
                    "USER": "comfyui",
                    "LOGNAME": "comfyui",
                    "PYTHONDONTWRITEBYTECODE": "1",
                    **share_environment(settings, args.service.name),
                },
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})

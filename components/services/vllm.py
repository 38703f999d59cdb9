"""Local LLM inference."""

import pulumi

from components.platform.context import ServiceArgs
from components.platform.pod import Pod, PodArgs
from render.vllm import vllm_config, vllm_environment


class Vllm(pulumi.ComponentResource):
    """Creates vLLM's pod. Its settings are in one file; as an argument the API key would show in argv."""

    def __init__(self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the pod."""
        super().__init__("agentic-mesh:inference:Vllm", name, None, opts)
        context = args.context
        settings = context.settings
        self.pod = Pod(
            f"{name}-pod",
            PodArgs(
                context=args.context,
                service=args.service,
                entrypoints=["vllm", "serve"],
                command=["--config", "/config/vllm.yaml"],
                files={"vllm.yaml": context.secret("vllm-api-key").apply(lambda key: vllm_config(settings, key))},
                env=vllm_environment(settings),
                shm_mib=2048,
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})

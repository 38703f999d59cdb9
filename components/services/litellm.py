"""The model proxy and router."""

import pulumi

from components.platform.context import ServiceArgs
from components.platform.pod import Pod, PodArgs
from render.entrypoint import with_secrets
from render.litellm import ENVIRONMENT, HOOKS, litellm_config, litellm_keys, litellm_models
from topology.secrets import MODEL_CALLERS


class LiteLLM(pulumi.ComponentResource):
    """Creates LiteLLM's pod: Claude proxy, model routing, answer cache and budgets."""

    def __init__(self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the pod."""
        super().__init__("agentic-mesh:routing:LiteLLM", name, None, opts)
        context = args.context
        settings = context.settings
        claude, openrouter = settings.claude_api_key, settings.openrouter_api_key
        if claude is None or openrouter is None:
            raise ValueError("the model proxy needs claude_api_key and openrouter_api_key")
        secrets = {
            "claude_api_key": pulumi.Output.secret(claude.reveal()),
            "openrouter_api_key": pulumi.Output.secret(openrouter.reveal()),
            "vllm_api_key": context.secret("vllm-api-key"),
            "embeddings_api_key": context.secret("embeddings-api-key"),
            "master_key": context.secret("litellm-master-key"),
            "redis_password": context.secret("redis-litellm-password"),
            "database_password": context.secret("postgres-litellm-password"),
        }
        keys = {caller: context.secret(f"litellm-{caller}-key") for caller in MODEL_CALLERS}
        self.pod = Pod(
            f"{name}-pod",
            PodArgs(
                context=args.context,
                service=args.service,
                entrypoints=with_secrets({"LITELLM_SALT_KEY": "/config/salt-key"}, "litellm"),
                command=[
                    "--config",
                    "/config/litellm.yaml",
                    "--host",
                    "0.0.0.0",
                    "--port",
                    "8081",
                    "--telemetry",
                    "False",
                ],
                working_dir="/app",
                files={
                    "litellm.yaml": pulumi.Output.all(**secrets).apply(lambda s: litellm_config(settings, **s)),
                    **{name: path.read_text(encoding="utf-8") for name, path in HOOKS.items()},
                    "keys.json": pulumi.Output.all(**keys).apply(lambda k: litellm_keys(settings, k)),
                    "models.json": litellm_models(settings),
                    "salt-key": context.secret("litellm-salt-key"),
                },
                env={**ENVIRONMENT, "HOME": "/root"},
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})

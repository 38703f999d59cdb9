"""The model proxy's configuration: routing names, fallbacks, cache and budgets."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from settings import Settings

CACHE_SECONDS: Final = 30 * 24 * 3600

_SERVICE: Final = Path(__file__).parents[1] / "services" / "litellm"
HOOKS: Final[Mapping[str, Path]] = {name: _SERVICE / name for name in ("request_id.py", "answer_cache.py", "bad_input.py")}
"""Our own hooks, which lie beside the configuration."""
ENVIRONMENT: Final[Mapping[str, str]] = {
    "LITELLM_LOG": "ERROR",
    # Its own price list, instead of one from a host that the gateway does not let it reach.
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "STORE_MODEL_IN_DB": "False",
    "NO_DOCS": "True",
}
"""Plain values only."""


def litellm_config(
    settings: Settings,
    *,
    claude_api_key: str,
    openrouter_api_key: str,
    vllm_api_key: str,
    embeddings_api_key: str,
    master_key: str,
    redis_password: str,
    database_password: str,
) -> str:
    """YAML for `litellm --config`; holds secrets.

    The names are those of the architecture's routing rules. Cloud models fall back to each other and end at a smaller
    one; the local model goes to the cloud while the GPU node is away. Embeddings never change their model.
    """
    models = settings.models

    def cloud(name: str, model: str, key: str) -> dict[str, Any]:
        return {"model_name": name, "litellm_params": {"model": model, "api_key": key}}

    claude = f"anthropic/{models.claude_sonnet}", f"anthropic/{models.claude_opus}"
    config = {
        "model_list": [
            {
                "model_name": "vllm_local",
                "litellm_params": {
                    "model": f"hosted_vllm/{models.chat}",
                    "api_base": "http://vllm:8000/v1",
                    "api_key": vllm_api_key,
                    "timeout": 600,
                    "stream_timeout": 30,
                },
            },
            cloud("claude_sonnet", claude[0], claude_api_key),
            cloud("claude_opus", claude[1], claude_api_key),
            cloud("claude_small", f"anthropic/{models.claude_small}", claude_api_key),
            cloud("openrouter_mixtral", f"openrouter/{models.openrouter_mixtral}", openrouter_api_key),
            {
                "model_name": "local_bge",
                "litellm_params": {
                    "model": f"openai/{models.embedding}",
                    "api_base": "http://embeddings:8001/v1",
                    "api_key": embeddings_api_key,
                },
                "model_info": {"mode": "embedding"},
            },
        ],
        "router_settings": {
            "routing_strategy": "simple-shuffle",
            "num_retries": 2,
            "timeout": 600,
            "allowed_fails": 3,
            "cooldown_time": 30,
            "fallbacks": [
                {"claude_opus": ["claude_sonnet", "openrouter_mixtral", "vllm_local", "claude_small"]},
                {"claude_sonnet": ["openrouter_mixtral", "vllm_local", "claude_small"]},
                {"openrouter_mixtral": ["vllm_local", "claude_small"]},
                {"vllm_local": ["openrouter_mixtral", "claude_sonnet", "claude_small"]},
            ],
            "context_window_fallbacks": [{"vllm_local": ["claude_sonnet"]}],
        },
        "litellm_settings": {
            "drop_params": True,
            "cache": True,
            "cache_params": {
                "type": "redis",
                "host": "redis",
                "port": 6379,
                "username": "litellm",
                "password": redis_password,
                "ttl": CACHE_SECONDS,
                # A hook of ours narrows it to the user's own, unless users share answers.
                "namespace": "litellm",
            },
            # A knob that only one provider knows makes another request as well.
            "enable_caching_on_provider_specific_optional_params": True,
            # All but the first are our own, `services/litellm`.
            "callbacks": [
                "prometheus",
                "bad_input.hook",
                "request_id.hook",
                f"answer_cache.{'shared' if settings.cache_shared else 'per_user'}",
            ],
            "max_budget": settings.budget.monthly_usd,
            "budget_duration": "30d",
            "max_internal_user_budget": settings.budget.per_key_usd,
            # The mesh lets Prometheus alone read them.
            "require_auth_for_metrics_endpoint": False,
            "turn_off_message_logging": True,
            "telemetry": False,
        },
        "general_settings": {
            "master_key": master_key,
            "database_url": f"postgresql://litellm:{database_password}@postgres:5432/litellm",
            "disable_spend_logs": False,
            "store_prompts_in_spend_logs": False,
        },
    }
    return yaml.safe_dump(config, sort_keys=False)

"""The model proxy's configuration: routing names, fallbacks, cache and budgets."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from settings import Settings
from settings.prices import Price

CACHE_SECONDS: Final = 30 * 24 * 3600

_SERVICE: Final = Path(__file__).parents[1] / "services" / "litellm"
HOOKS: Final[Mapping[str, Path]] = {
    name: _SERVICE / name
    for name in (
        "answer_cache.py",
        "bad_input.py",
        "error_shapes.py",
        "model_names.py",
        "own_keys.py",
        "paid_fallbacks.py",
        "request_id.py",
        "stored_responses.py",
        "whole_streams.py",
    )
}
"""Our own hooks, which lie beside the configuration."""
ENVIRONMENT: Final[Mapping[str, str]] = {
    "LITELLM_LOG": "ERROR",
    # Its own price list, instead of one from a host that the gateway does not let it reach.
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "STORE_MODEL_IN_DB": "False",
    "NO_DOCS": "True",
    # After Redis was down, seconds until it is retried; until then budgets are looser and nothing is cached.
    "REDIS_CIRCUIT_BREAKER_RECOVERY_TIMEOUT": "10",
    # A database that could not be brought up to date is tried again by a new start, instead of served without.
    "ENFORCE_PRISMA_MIGRATION_CHECK": "True",
    # Its own folder is read-only, and some repairs write beside the migrations.
    "LITELLM_MIGRATION_DIR": "/tmp/migrations",
}
"""Plain values only."""

KEY_CACHE_SECONDS: Final = 600
"""How long a recently used key stays valid while the database is down; other keys are rejected then."""

_OWN: Final = {"input_cost_per_token": 0.0, "output_cost_per_token": 0.0}
"""What our own hardware costs by the token."""
_CHAT_ONLY: Final = {"use_chat_completions_api": True}
"""A request of the Responses API is sent as a chat to this provider too, as to Claude. vLLM's and OpenRouter's own
Responses APIs differ from each other in tools and events, and store no responses."""


def _cost(provider: str, price: Price) -> dict[str, float]:
    """The price of a token, in LiteLLM's words."""
    cost = {"input_cost_per_token": price.input_usd / 1e6, "output_cost_per_token": price.output_usd / 1e6}
    if provider == "anthropic":
        # A prompt's beginning that they keep costs a quarter more to write and a tenth to read, with every model.
        cost |= {
            "cache_creation_input_token_cost": price.input_usd * 1.25 / 1e6,
            "cache_read_input_token_cost": price.input_usd * 0.1 / 1e6,
        }
    return cost


def _chain(name: str, *instead: str) -> dict[str, list[dict[str, Any]]]:
    """The models to ask instead of one, in this order: none of them is left for its own chain in the middle of it."""
    return {name: [{"model": model, "disable_fallbacks": True} for model in instead]}


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
    one; the local model falls back to the cloud while the GPU node is down. Embeddings never change their model.
    """
    models = settings.models

    def cloud(name: str, provider: str, model: str, key: str) -> dict[str, Any]:
        return {
            "model_name": name,
            "litellm_params": {"model": f"{provider}/{model}", "api_key": key},
            "model_info": _cost(provider, settings.prices[model]),
        }

    openrouter = cloud("openrouter_mixtral", "openrouter", models.openrouter_mixtral, openrouter_api_key)
    openrouter["litellm_params"] |= _CHAT_ONLY
    config = {
        "model_list": [
            {
                "model_name": "vllm_local",
                "litellm_params": {
                    "model": f"hosted_vllm/{models.chat_name}",
                    "api_base": "http://vllm:8000/v1",
                    "api_key": vllm_api_key,
                    "timeout": 600,
                    "stream_timeout": 30,
                    **_CHAT_ONLY,
                },
                "model_info": _OWN,
            },
            cloud("claude_sonnet", "anthropic", models.claude_sonnet, claude_api_key),
            cloud("claude_opus", "anthropic", models.claude_opus, claude_api_key),
            cloud("claude_small", "anthropic", models.claude_small, claude_api_key),
            openrouter,
            {
                "model_name": "local_bge",
                "litellm_params": {
                    "model": f"openai/{models.embedding}",
                    "api_base": "http://embeddings:8001/v1",
                    "api_key": embeddings_api_key,
                },
                "model_info": {"mode": "embedding", **_OWN},
            },
        ],
        "router_settings": {
            "routing_strategy": "simple-shuffle",
            # Once: there are other models to ask, and each try of a chain adds a second or two.
            "num_retries": 1,
            # What a second try would not change.
            "retry_policy": {
                "BadRequestErrorRetries": 0,
                "AuthenticationErrorRetries": 0,
                "ContentPolicyViolationErrorRetries": 0,
                "TimeoutErrorRetries": 0,
            },
            "timeout": 600,
            # Between two events of a stream, and before the first.
            "stream_timeout": 60,
            # A request that failed twice is enough: the next ones go to the cloud at once, until it has rested.
            "allowed_fails": 1,
            "cooldown_time": 30,
            "fallbacks": [
                _chain("claude_opus", "claude_sonnet", "openrouter_mixtral", "vllm_local", "claude_small"),
                _chain("claude_sonnet", "openrouter_mixtral", "vllm_local", "claude_small"),
                _chain("openrouter_mixtral", "vllm_local", "claude_small"),
                _chain("vllm_local", "openrouter_mixtral", "claude_sonnet", "claude_small"),
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
                # Before the one that reads bodies, which stands around them.
                "stored_responses.hook",
                "model_names.hook",
                "bad_input.hook",
                # After it, to stand around it.
                "error_shapes.hook",
                "own_keys.hook",
                "paid_fallbacks.hook",
                "request_id.hook",
                "whole_streams.hook",
                f"answer_cache.{'shared' if settings.cache_shared else 'per_user'}",
            ],
            "max_budget": settings.budget.monthly_usd,
            "budget_duration": "30d",
            "max_internal_user_budget": settings.budget.per_key_usd,
            # A key that is made without a budget gets this one, and none can be made with a larger one.
            "default_key_generate_params": {"max_budget": settings.budget.per_key_usd, "budget_duration": "30d"},
            "upperbound_key_generate_params": {"max_budget": settings.budget.per_key_usd},
            # The mesh lets Prometheus alone read them.
            "require_auth_for_metrics_endpoint": False,
            "turn_off_message_logging": True,
            # Tokens are counted without asking the model hub for a tokenizer.
            "disable_hf_tokenizer_download": True,
            # Anthropic's protocol has no such field.
            "strip_anthropic_total_tokens": True,
            "telemetry": False,
        },
        "general_settings": {
            "master_key": master_key,
            "database_url": f"postgresql://litellm:{database_password}@postgres:5432/litellm",
            "user_api_key_cache_ttl": KEY_CACHE_SECONDS,
            # Without its database the proxy would take any key for a good one.
            "allow_requests_on_db_unavailable": False,
            # Sums of spending wait in Redis until they are in the database. Without it they are given up after some
            # seconds without the database, and a restart loses what was not written.
            "use_redis_transaction_buffer": True,
            "disable_spend_logs": False,
            "store_prompts_in_spend_logs": False,
        },
    }
    return yaml.safe_dump(config, sort_keys=False)


def litellm_keys(settings: Settings, keys: Mapping[str, str]) -> str:
    """JSON of the callers' own keys for `own_keys.py`; holds secrets.

    `keys` by caller.
    """
    budget = settings.budget.per_key_usd
    return json.dumps({caller: {"key": key, "max_budget": budget} for caller, key in sorted(keys.items())})


def litellm_models(settings: Settings) -> str:
    """JSON of what the hooks must know of the models: clients' names of them, and the size of vectors."""
    return json.dumps({"names": dict(settings.model_names), "embedding_size": settings.models.embedding_size})

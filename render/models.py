"""What the model servers are told."""

import yaml

from settings import Settings
from settings.gpu import gpu_utilization


def vllm_config(settings: Settings, api_key: str) -> str:
    """YAML for `vllm serve --config`; holds the API key. Its share of the card is what the other services leave."""
    share = settings.gpu_shares["vllm"]
    config = {
        "model": settings.models.chat,
        "served-model-name": settings.models.chat,
        "host": "0.0.0.0",
        "port": 8000,
        "api-key": api_key,
        "gpu-memory-utilization": gpu_utilization(share, settings.gpu_memory_gib),
        "max-model-len": settings.models.chat_context,
        "disable-fastapi-docs": True,
    }
    return yaml.safe_dump(config, sort_keys=False)


def offline(settings: Settings) -> dict[str, str]:
    """Environment of the hub's client: without hosts to download from it must not try."""
    return {} if settings.model_hub else {"HF_HUB_OFFLINE": "1"}

"""What vLLM is told."""

from typing import Any

import yaml

from render.models import offline
from settings import Settings
from settings.gpu import gpu_utilization
from settings.tool_parsers import NONE

MODELS = "/models"
"""Where the container has the model folder (`modelPath`)."""
REQUESTS = 32
"""Requests that are answered at a time; more wait. vLLM's default of 256 sets 1.4 GiB of the card aside for a model of
this size, and leaves too little of the default share for one request of the default context."""


def vllm_config(settings: Settings, api_key: str) -> str:
    """YAML for `vllm serve --config`; holds the API key. Its share of the card is what the other services leave."""
    models = settings.models
    share = settings.gpu_shares["vllm"]
    config: dict[str, Any] = {
        "model": MODELS + models.chat.removeprefix(settings.model_path) if models.chat_is_local else models.chat,
        "served-model-name": models.chat_name,
        "host": "0.0.0.0",
        "port": 8000,
        "api-key": api_key,
        "gpu-memory-utilization": gpu_utilization(share, settings.gpu_memory_gib),
        "max-model-len": models.chat_context,
        "max-num-seqs": REQUESTS,
        "disable-fastapi-docs": True,
    }
    if models.tool_parser not in (None, NONE):
        # Without both, each request that offers tools is refused.
        config |= {"enable-auto-tool-choice": True, "tool-call-parser": models.tool_parser}
    return yaml.safe_dump(config, sort_keys=False)


def vllm_environment(settings: Settings) -> dict[str, str]:
    """Plain values only."""
    return {
        "HOME": "/home/vllm",
        # Its user need not be in the image's passwd.
        "USER": "vllm",
        "LOGNAME": "vllm",
        "TRITON_CACHE_DIR": "/home/vllm/.cache/triton",
        "HF_HOME": f"{MODELS}/hub",
        "VLLM_NO_USAGE_STATS": "1",
        # It closes idle connections after 5 s otherwise, some of them under a request: Envoy keeps them for an hour.
        "VLLM_HTTP_TIMEOUT_KEEP_ALIVE": "3900",
        # A model of the node's own is complete, or its start says what is missing: nothing is looked up elsewhere.
        **({"HF_HUB_OFFLINE": "1"} if settings.models.chat_is_local else offline(settings)),
    }

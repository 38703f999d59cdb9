"""VLLM's configuration file and environment."""

from typing import Any

import yaml

from render.models import offline
from settings import Settings
from settings.gpu import gpu_utilization
from settings.tool_parsers import NONE

MODELS = "/models"
"""Where the model folder (`modelPath`) is mounted."""
REQUESTS = 32
"""Concurrent requests; more are queued. VLLM's default of 256 reserves 1.4 GiB of GPU memory for a model of this size,
which leaves too little of the default share for a single request of the default context length."""


def vllm_config(settings: Settings, api_key: str) -> str:
    """YAML for `vllm serve --config`; contains the API key. Its share of the GPU is what the other services leave."""
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
        # Without both, vLLM rejects every request with tools.
        config |= {"enable-auto-tool-choice": True, "tool-call-parser": models.tool_parser}
    return yaml.safe_dump(config, sort_keys=False)


def vllm_environment(settings: Settings) -> dict[str, str]:
    """The environment; no secrets."""
    return {
        "HOME": "/home/vllm",
        # Its user may be missing from the image's passwd.
        "USER": "vllm",
        "LOGNAME": "vllm",
        "TRITON_CACHE_DIR": "/home/vllm/.cache/triton",
        "HF_HOME": f"{MODELS}/hub",
        "VLLM_NO_USAGE_STATS": "1",
        # By default it closes idle connections after 5 s. Envoy keeps them for an hour and would reuse them.
        "VLLM_HTTP_TIMEOUT_KEEP_ALIVE": "3900",
        # A local model must be complete: nothing is looked up on the hub.
        **({"HF_HUB_OFFLINE": "1"} if settings.models.chat_is_local else offline(settings)),
    }

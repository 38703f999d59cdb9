"""What the model servers have in common."""

from settings import Settings


def offline(settings: Settings) -> dict[str, str]:
    """Environment of the hub's client: without hosts to download from it must not try."""
    return {} if settings.model_hub else {"HF_HUB_OFFLINE": "1"}

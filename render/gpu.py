"""What holds a program to its share of the card, as far as it can be held (docs/gpu.md)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from settings import Settings

SHARE_FILE: Final = "sitecustomize.py"
_SOURCE: Final = Path(__file__).resolve().parents[1] / "services" / "gpu_share" / SHARE_FILE


def share_files() -> Mapping[str, str]:
    """For programs on PyTorch: a file beside their configuration that limits it."""
    return {SHARE_FILE: _SOURCE.read_text(encoding="utf-8")}


def share_environment(settings: Settings, service: str, folder: str = "/config") -> Mapping[str, str]:
    """Environment that has Python run the file; nothing where the service runs on the CPU."""
    share = settings.gpu_shares.get(service, 0)
    return {"GPU_SHARE_GIB": f"{share:g}", "PYTHONPATH": folder} if share else {}

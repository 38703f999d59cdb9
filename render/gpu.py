"""Limits a PyTorch program to its share of the GPU's memory (docs/gpu.md)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from settings import Settings

SHARE_FILE: Final = "sitecustomize.py"
_SOURCE: Final = Path(__file__).resolve().parents[1] / "services" / "gpu_share" / SHARE_FILE


def share_files() -> Mapping[str, str]:
    """The file that sets the limit, to be put beside the program's configuration."""
    return {SHARE_FILE: _SOURCE.read_text(encoding="utf-8")}


def share_environment(settings: Settings, service: str, folder: str = "/config") -> Mapping[str, str]:
    """Environment that makes Python run the file; empty where the service runs on the CPU."""
    share = settings.gpu_shares.get(service, 0)
    return {"GPU_SHARE_GIB": f"{share:g}", "PYTHONPATH": folder} if share else {}

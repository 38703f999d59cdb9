"""Holds a program's PyTorch to its share of the card; Python runs it at its start, from a folder on PYTHONPATH.

The card is shared by several programs, and PyTorch would take what it finds free. Its allocator gets a limit, and what
the program reads of the card's memory is the share, so that it plans with that: ComfyUI unloads models and splits them
by it. `GPU_SHARE_GIB` has the share; without it, or without a card, nothing changes.
"""

import importlib.util
import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

GIB = 1 << 30
CONTEXT = GIB * 2 // 5
"""Of the share, what CUDA takes itself, beside the allocator."""


def hold(cuda: Any, share: int) -> None:
    """Limit the allocator of `torch.cuda`, and show the limit as the card's size."""
    real = cuda.mem_get_info
    most = share - CONTEXT

    def mem_get_info(device: Any = None) -> tuple[int, int]:
        free, total = real(device)
        limit = min(most, total)
        return max(0, min(free, limit - cuda.memory_reserved(device))), limit

    def limit() -> None:
        _, total = real(0)
        cuda.set_per_process_memory_fraction(min(1.0, most / total), 0)

    cuda.mem_get_info = mem_get_info
    # When the program first uses the card: before, its workers could not be forked any more.
    cuda._lazy_call(limit)  # noqa: SLF001 - there is no public name for it


class Torch(MetaPathFinder):
    """Finds `torch` once, as it would be found without this, and holds it when it has been loaded."""

    def __init__(self, share: int) -> None:
        """For a share in bytes."""
        self._share = share

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - the signature is Python's
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """The module's own place, with a loader that does one thing more."""
        if fullname != "torch":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        loader: Any = spec.loader if spec else None
        if loader is not None:
            load = loader.exec_module

            def exec_module(module: Any) -> None:
                load(module)
                hold(module.cuda, self._share)

            loader.exec_module = exec_module
        return spec


if _given := os.environ.get("GPU_SHARE_GIB"):
    sys.meta_path.insert(0, Torch(int(float(_given) * GIB)))

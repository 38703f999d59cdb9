"""Limits a program's PyTorch to its share of the GPU; Python imports this at startup from a folder on PYTHONPATH.

Several programs share the GPU, and PyTorch would take all memory that is free. This sets a limit on its allocator and
reports the share as the GPU's memory, which programs plan with: ComfyUI decides by it when to unload or split models.
`GPU_SHARE_GIB` is the share; without it, or without a GPU, nothing changes.
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
"""The part of the share that CUDA takes outside the allocator."""


def hold(cuda: Any, share: int) -> None:
    """Limit the allocator of `torch.cuda`, and report the limit as the GPU's size."""
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
    # Deferred until the program first uses the GPU: initializing CUDA earlier would break forked workers.
    cuda._lazy_call(limit)  # noqa: SLF001 - there is no public name for it


class Torch(MetaPathFinder):
    """Finds `torch` as usual, once, and applies the limit after it has been loaded."""

    def __init__(self, share: int) -> None:
        """For a share in bytes."""
        self._share = share

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - the signature is Python's
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """The module's usual spec, with a loader that also applies the limit."""
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

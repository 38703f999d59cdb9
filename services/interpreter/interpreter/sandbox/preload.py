"""Imports what most runs import, once, so that a fork has it at once."""

from __future__ import annotations

import gc
import importlib
from typing import Final

_MODULES: Final = (
    "collections",
    "csv",
    "datetime",
    "decimal",
    "fractions",
    "itertools",
    "json",
    "math",
    "numpy",
    "pandas",
    "pathlib",
    "random",
    "re",
    "statistics",
    "subprocess",
    "tempfile",
    "matplotlib",
    "matplotlib.backends.backend_agg",
    "matplotlib.pyplot",
)


def preload() -> None:
    """Import and keep the collector off what came from it: touched pages would be copied in each box."""
    for module in _MODULES:
        importlib.import_module(module)
    importlib.import_module("matplotlib.pyplot").switch_backend("agg")
    gc.collect()
    gc.freeze()

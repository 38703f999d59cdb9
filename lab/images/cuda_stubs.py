"""Replaces CUDA's large libraries by empty ones: PyPI's torch links against 2.7 GB that a CPU never calls.

The loader wants each library that torch names, with each symbol and its version. It gets them: functions that return
0. What a CPU does call while torch is imported (the runtime, cuDNN's front, the profiler's interface) stays as it is.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from lab.images.client import run
from lab.images.layers import LayerError

EMPTIED: Final = (
    "cu13/lib/libcublas.so.13",
    "cu13/lib/libcublasLt.so.13",
    "cu13/lib/libcufft.so.12",
    "cu13/lib/libcurand.so.10",
    "cu13/lib/libcusparse.so.12",
    "cu13/lib/libnvrtc.so.13",
    "cusparselt/lib/libcusparseLt.so.0",
    "nccl/lib/libnccl.so.2",
    "nvshmem/lib/libnvshmem_host.so.3",
)
"""Below `nvidia`: linked, and never called without a GPU."""
KEPT: Final = ("libcudart.so", "libcudnn.so", "libcufile.so", "libcupti.so")
"""Linked and small; some are called."""
COMPILER: Final = Path("/usr/bin/cc")


def empty(nvidia: Path) -> None:
    """Replace the libraries below `nvidia`, and remove those that torch only loads with a GPU."""
    if not COMPILER.exists():
        raise LayerError(f"{COMPILER} is missing: apt-get install gcc libc6-dev")
    for name in EMPTIED:
        _replace(nvidia / name)
    wanted = {nvidia / name for name in EMPTIED}
    for path in sorted(nvidia.rglob("*")):
        if path.is_file() and ".so" in path.name and path not in wanted and not path.name.startswith(KEPT):
            path.unlink()
    for path in [*nvidia.rglob("include"), *nvidia.rglob("bin"), *nvidia.rglob("nvvm")]:
        shutil.rmtree(path, ignore_errors=True)


def _replace(library: Path) -> None:
    """Replace a library by an empty one with the same name, symbols and version."""
    table = subprocess.run(["nm", "-D", "--defined-only", str(library)], capture_output=True, text=True, check=True)
    functions: set[str] = set()
    data: set[str] = set()
    versions: set[str] = set()
    for line in table.stdout.splitlines():
        _, kind, symbol = line.split()
        name, _, version = symbol.replace("@@", "@").partition("@")
        if kind == "A" or not re.fullmatch(r"\w+", name):
            continue
        (data if kind in "BDRVu" else functions).add(name)
        versions |= {version} - {""}
    if len(versions) > 1:
        raise LayerError(f"{library.name} has symbols of several versions: {sorted(versions)}")
    lines = [f"int {name}(void) {{ return 0; }}" for name in sorted(functions)]
    lines += [f"char {name}[4096];" for name in sorted(data - functions)]
    with tempfile.TemporaryDirectory() as folder:
        source, script = Path(folder, "empty.c"), Path(folder, "versions")
        source.write_text("\n".join([*lines, ""]))
        options = [f"-Wl,-soname,{library.name}"]
        if versions:
            script.write_text(f"{versions.pop()} {{ global: *; }};\n")
            options.append(f"-Wl,--version-script,{script}")
        library.unlink()
        run(
            str(COMPILER),
            "-w",
            "-O1",
            "-fno-builtin",
            "-shared",
            "-nostdlib",
            *options,
            "-o",
            str(library),
            str(source),
        )

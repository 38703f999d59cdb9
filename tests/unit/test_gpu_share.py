"""What holds a program's PyTorch to its share of the card, with a Python of its own and a stand-in for PyTorch."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from render.gpu import SHARE_FILE, share_environment, share_files
from tests.unit.program import Program
from tests.unit.samples import settings

CUDA = """
calls, reserved, fractions = [], 0, []
def mem_get_info(device=None):
    return 20 << 30, 24 << 30
def memory_reserved(device=None):
    return reserved
def set_per_process_memory_fraction(fraction, device=None):
    fractions.append((fraction, device))
def _lazy_call(call):
    calls.append(call)
"""
PROGRAM = """
import json, sys
import torch
from torch import cuda
before = list(cuda.fractions)
for call in cuda.calls:
    call()
seen = [cuda.mem_get_info()]
cuda.reserved = 5 << 30
seen.append(cuda.mem_get_info(0))
print(json.dumps({"before": before, "fractions": cuda.fractions, "seen": seen}))
"""
GIB = 1 << 30


def run(tmp_path: Path, **environment: str) -> dict[str, Any]:
    """What a program sees whose Python finds the file and the stand-in."""
    (tmp_path / "config").mkdir()
    for name, text in share_files().items():
        (tmp_path / "config" / name).write_text(text)
    package = tmp_path / "packages" / "torch"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from torch import cuda\n")
    (package / "cuda.py").write_text(CUDA)
    path = os.pathsep.join([str(tmp_path / "config"), str(tmp_path / "packages")])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_allocator_is_limited_once_the_card_is_used(tmp_path: Path) -> None:
    found = run(tmp_path, GPU_SHARE_GIB="6")
    assert found["before"] == []
    [(fraction, device)] = found["fractions"]
    assert device == 0
    # Room for CUDA's own context is part of the share.
    assert 5.5 / 24 < fraction < 5.7 / 24


def test_the_program_sees_a_card_of_its_share(tmp_path: Path) -> None:
    (free, total), (later, _) = run(tmp_path, GPU_SHARE_GIB="6")["seen"]
    assert free == total
    assert 5.5 * GIB < total < 6 * GIB
    assert later == total - 5 * GIB


def test_without_a_share_nothing_changes(tmp_path: Path) -> None:
    found = run(tmp_path)
    assert found["fractions"] == []
    assert found["seen"] == [[20 * GIB, 24 * GIB]] * 2


def test_speech_models_leave_the_card_when_nobody_speaks(thanos: Program) -> None:
    """Nothing else limits them: their runtimes know no share."""
    told = dict(entry.split("=", 1) for entry in thanos.app("whisper").inputs["envs"])
    for name in ("STT_MODEL_TTL", "TTS_MODEL_TTL"):
        assert 0 < int(told[name]) <= 300


@pytest.mark.parametrize(("share", "told"), [(6, {"GPU_SHARE_GIB": "6", "PYTHONPATH": "/config"}), (0, {})])
def test_who_has_a_share_is_told(share: float, told: dict[str, str]) -> None:
    assert share_environment(settings("thanos", gpuShares={"comfyui": share}), "comfyui") == told
    assert list(share_files()) == [SHARE_FILE]

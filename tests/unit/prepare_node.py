"""What the tests of `scripts/prepare-node.sh` share: running it on a made-up root folder."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "prepare-node.sh"

DEBIAN = 'ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n'
UBUNTU = "ID=ubuntu\nVERSION_ID='24.04'\nVERSION_CODENAME=noble\n".replace("'", '"')


def run(root: Path, *args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """The script below a made-up root folder."""
    return subprocess.run(
        ["bash", str(SCRIPT), *args],
        env=os.environ | {"PREPARE_ROOT": str(root)},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )


def call(root: Path, code: str) -> subprocess.CompletedProcess[str]:
    """A few lines that use the script's own functions."""
    return subprocess.run(
        ["bash", "-c", f'source "{SCRIPT}"; {code}'],
        env=os.environ | {"PREPARE_ROOT": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )


def tree(root: Path) -> dict[str, tuple[int, bytes]]:
    """Every file below a folder, with its mode and content."""
    return {
        str(path.relative_to(root)): (path.stat().st_mode, path.read_bytes())
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def states(output: str) -> dict[str, str]:
    """Step -> state, from the closing table."""
    rows = re.findall(r"^(ok|done|missing) +(.+?)(?:  +.*)?$", output, re.MULTILINE)
    return {step.strip(): state for state, step in rows}


def program(root: Path, name: str, output: str) -> None:
    """A named stand-in for a program of the node, which only prints."""
    path = root / "usr/bin" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\ncat <<'TEXT'\n{output}\nTEXT\n")
    path.chmod(0o755)


def file(root: Path, name: str, text: str) -> Path:
    """A file below the root folder."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path

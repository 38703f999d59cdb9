"""Runs this machine's package clients, printing output only on failure."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from lab.images.layers import LayerError


def run(*command: str, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> None:
    """Run a command with these additions to the environment.

    Raises:
        LayerError: it failed; with the end of what it said.

    """
    result = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if result.returncode:
        raise LayerError(f"{' '.join(command[:4])} ... failed:\n{result.stdout[-3000:]}")

"""Runs this machine's package clients, printing output only on failure, and finds its Debian mirror."""

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


def debian_mirror() -> str:
    """The mirror that this machine's apt uses; empty: debootstrap's default."""
    for source in (Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*.sources"))):
        for line in source.read_text().splitlines() if source.exists() else ():
            words = line.split()
            # A source without a URL, such as `mirror+file:/...`, is of no use to debootstrap.
            if words[:1] in (["deb"], ["URIs:"]) and (urls := [word for word in words if "://" in word]):
                return urls[0]
    return ""

"""The program's own services: their packages as layers, their source and what their Dockerfiles say of the start.

Their Dockerfiles build on an image that the lab cannot pull and install from an index that its nodes do not reach. So
packages are installed here, from the same locked requirements, for Debian's Python; the rest is read from the
Dockerfile.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from lab.images.entry import Entry
from topology.images import BUILDS

ROOT: Final = Path(__file__).resolve().parents[2]
PYTHON: Final = "3.13"
"""Debian's; packages are picked for it, whatever runs the lab."""


@dataclass(frozen=True)
class Layout:
    """Where a service's image has its parts."""

    package: str
    """Of its source, below the service's folder."""
    packages: str
    source: str
    python: str
    venv: str = ""


LAYOUTS: Final = {
    "agents": Layout(
        "mesh_agents",
        f"/opt/agents/lib/python{PYTHON}/site-packages",
        "/opt/agents/source",
        "/opt/agents/bin/python",
        "/opt/agents",
    ),
    "interpreter": Layout(
        "interpreter",
        f"/opt/interpreter/lib/python{PYTHON}/site-packages",
        "/opt/interpreter/source",
        "/opt/interpreter/bin/python",
        "/opt/interpreter",
    ),
    "backup": Layout("backup", "/opt/backup", "/opt/backup", "/usr/local/bin/python"),
}


def requirements(key: str) -> Path:
    """A service's locked requirements."""
    return ROOT / BUILDS[key] / "requirements.txt"


def own_entry(key: str) -> Entry:
    """The real service."""
    folder, layout = ROOT / BUILDS[key], LAYOUTS[key]
    start = dockerfile((folder / "Dockerfile").read_text())
    return replace(
        start,
        reason="the project's own",
        version=f"Python {PYTHON} from Debian",
        not_covered="its Dockerfile, built by BuildKit on Python 3.12",
        layers=("debian", key),
        links={layout.python: "/usr/bin/python3"},
        trees={f"{layout.source}/{layout.package}": folder / layout.package},
        # The API that the agents call and the store that backups go to are outside; both have the lab's certificates.
        trusts_lab=True,
    )


def dockerfile(text: str) -> Entry:
    """What the last stage of a Dockerfile says of the container's start."""
    last = re.split(r"(?m)^FROM .*$", text)[-1]
    lines = re.sub(r"\\\n(\s*#.*\n)*\s*", "", last).splitlines()
    said = [line.partition(" ")[::2] for line in lines if re.match(r"[A-Z]+ ", line)]
    env = dict(word.partition("=")[::2] for name, value in said if name == "ENV" for word in shlex.split(value))
    found = dict(said)
    return Entry(
        real=True,
        reason="",
        env=env,
        working_dir=found.get("WORKDIR", "/"),
        entrypoint=tuple(json.loads(found.get("ENTRYPOINT", "[]"))),
        command=tuple(json.loads(found.get("CMD", "[]"))),
    )

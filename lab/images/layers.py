"""The large layers of the lab's images, each made once on this machine and kept as a tar file.

A node's Docker reaches no registry and no package index, by design of the lab, so nothing is installed in a container:
files are gathered here, where the machine's own package clients work, and become layers. A layer's name in the cache
is the hash of how it is made, so that a changed recipe makes a new one and an unchanged one costs nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lab.machine import LabError, run

Say = Callable[[str], None]


class LayerError(LabError):
    """A layer cannot be made; the message holds the end of what the failing command said."""


@dataclass(frozen=True)
class Layer:
    """Files at the root of an image, as one uncompressed tar file."""

    name: str
    archive: Path
    diff_id: str
    """`sha256:...` of the archive, as Docker names a layer."""


@dataclass(frozen=True)
class Recipe:
    """How a layer is made: `fill` puts its files into an empty folder."""

    name: str
    says: str
    """What is about to happen and how long it takes."""
    stamp: str
    """Everything that decides what comes out."""
    fill: Callable[[Path], None]
    python: bool = False
    """Whether it holds packages of Python, which are compiled: a container's file system is read-only, and LiteLLM
    alone would compile for 15 seconds at each start."""


def make_layer(recipe: Recipe, cache: Path, say: Say, debian: Callable[[], Path]) -> Layer:
    """The layer from the cache, or made now; `debian` gives the archive of the layer that has the Python."""
    key = hashlib.sha256(f"{recipe.name} {recipe.stamp}{' compiled' * recipe.python}".encode()).hexdigest()[:16]
    archive, note = cache / f"{recipe.name}-{key}.tar", cache / f"{recipe.name}-{key}.json"
    if not note.exists():
        say(recipe.says)
        cache.mkdir(parents=True, exist_ok=True)
        folder = cache / f"{recipe.name}-{key}.files"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        folder.chmod(0o755)
        recipe.fill(folder)
        if recipe.python:
            _compile(folder, debian())
        diff_id = _pack(folder, archive)
        shutil.rmtree(folder)
        # Written last: an archive without its note is unfinished.
        note.write_text(json.dumps({"diff_id": diff_id, "stamp": recipe.stamp}))
    return Layer(recipe.name, archive, json.loads(note.read_text())["diff_id"])


def _compile(folder: Path, debian: Path) -> None:
    """Compile to bytecode, with Debian's Python from its own layer: this machine's may be of another version."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as name:
        root = Path(name)
        wanted = ("./usr/bin/python3*", "./usr/lib/python3*", "./usr/lib64", "./usr/lib/x86_64-linux-gnu/*")
        run("tar", "-xf", str(debian), "-C", name, "--wildcards", *wanted, timeout=300)
        libraries = root / "usr/lib/x86_64-linux-gnu"
        python = (
            str(libraries / "ld-linux-x86-64.so.2"),
            "--library-path",
            str(libraries),
            str(root / "usr/bin/python3"),
        )
        # The archive's times are all the same: a source's time cannot tell whether its bytecode is of it.
        options = ("-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash")
        # Its exit status also speaks of files that no Python of this version can read, which packages bring along.
        environment = os.environ | {"PYTHONHOME": str(root / "usr")}
        subprocess.run([*python, *options, str(folder)], env=environment, capture_output=True, check=False)
    if not any(folder.rglob("*.pyc")):
        raise LayerError(f"{folder} was not compiled: {' '.join(options)}")


def _pack(folder: Path, archive: Path) -> str:
    """Write the folder as a tar file, the same bytes for the same files, and hash it on the way."""
    command = ["tar", "--sort=name", "--mtime=@0", "--numeric-owner", "-C", str(folder), "-cf", "-", "."]
    digest = hashlib.sha256()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as tar, archive.open("wb") as file:
        assert tar.stdout is not None  # noqa: S101 - a pipe was asked for
        while block := tar.stdout.read(1 << 20):
            digest.update(block)
            file.write(block)
    if tar.returncode:
        raise LayerError(f"tar of {folder} failed")
    return f"sha256:{digest.hexdigest()}"

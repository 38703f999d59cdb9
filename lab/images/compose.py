"""Composes the images of the catalog from large layers and the few files of each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from lab.images.archive import File, Image, small_layer
from lab.images.authority import Authority, authority
from lab.images.entry import Entry
from lab.images.layers import Layer, Say, make_layer
from lab.images.recipes import RECIPES
from topology.images import BUILDS, IMAGES

HERE: Final = Path(__file__).parent
PREFIX: Final = "agentic-mesh-lab"
CA_PATH: Final = "/etc/ssl/certs/ca-certificates.crt"
"""Debian's list of authorities: where an image trusts the lab's, it trusts no other."""
_TRUST: Final = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def references(tags: Mapping[str, str]) -> dict[str, str]:
    """Reference of the program -> tag of the lab, from tags by key."""
    return {(f"agentic-mesh/{key}:local" if key in BUILDS else IMAGES[key].reference): tag for key, tag in tags.items()}


def compose(entries: Mapping[str, Entry], folder: Path, progress: Say = print) -> dict[str, Image]:
    """The images by key; makes the large layers that they stand on where those are missing."""
    names = list(dict.fromkeys(name for entry in entries.values() for name in entry.layers))
    cache = folder / "layers"
    made: dict[str, Future[Layer]] = {}
    # In the background of what takes longest, which mostly waits for a disk, the others wait for a network.
    with ThreadPoolExecutor(3) as threads:
        for name in sorted(names, key=lambda name: name != "debian"):  # the others with Python wait for it
            made[name] = threads.submit(
                make_layer, RECIPES[name], cache, progress, lambda: made["debian"].result().archive
            )
    layers = {name: layer.result() for name, layer in made.items()}
    trust = authority(folder)
    return {key: _image(key, entry, layers, trust) for key, entry in entries.items()}


def _image(key: str, entry: Entry, layers: Mapping[str, Layer], trust: Authority) -> Image:
    stack: list[Any] = [layers[name] for name in entry.layers]
    if files := _files(entry, trust):
        stack.append(small_layer(files))
    env = {"PATH": _PATH, **entry.env}
    if entry.trusts_lab:
        env |= dict.fromkeys(_TRUST, CA_PATH)
    settings: dict[str, Any] = {
        "Env": [f"{name}={value}" for name, value in sorted(env.items())],
        "WorkingDir": entry.working_dir,
        "Labels": {f"{PREFIX}.real": str(entry.real).lower(), f"{PREFIX}.reason": entry.reason},
    }
    if entry.entrypoint:
        settings["Entrypoint"] = list(entry.entrypoint)
    if entry.command or not entry.entrypoint:
        settings["Cmd"] = list(entry.command or ("sh",))
    unnamed = Image("", tuple(stack), settings)
    return Image(f"{PREFIX}/{key}:{unnamed.image_id.removeprefix('sha256:')[:16]}", tuple(stack), settings)


def _files(entry: Entry, trust: Authority) -> dict[str, File]:
    """What the image adds to its large layers, by path."""
    files = {p: File(folder=True, owner=(uid, gid), mode=mode) for p, (uid, gid, mode) in entry.folders.items()}
    files |= {p: File(f"#!/bin/sh\n{command}\n".encode(), 0o755) for p, command in entry.programs.items()}
    files |= {p: File(link=target) for p, target in entry.links.items()}
    files |= {p: File((HERE / source).read_bytes(), _mode(p)) for p, source in entry.files.items()}
    for target, folder in entry.trees.items():
        found = [file for file in folder.rglob("*") if file.is_file() and file.suffix != ".pyc"]
        files |= {f"{target}/{file.relative_to(folder)}": File(file.read_bytes()) for file in found}
    if entry.stand_in:
        modules = [HERE / "standins" / f"{name}.py" for name in with_imports(entry.stand_in)]
        files |= {f"/opt/lab/images/standins/{path.name}": File(path.read_bytes()) for path in modules}
    if entry.users:
        files |= _users(entry.users)
    if entry.trusts_lab:
        files[CA_PATH] = File(trust.certificate.read_bytes())
    return {_real_path(path): file for path, file in files.items()}


def _mode(path: str) -> int:
    return 0o755 if path.endswith(".sh") else 0o644


def _users(users: Mapping[str, tuple[int, int, str]]) -> dict[str, File]:
    """The whole list of users: Debian's own numbers differ from those of the real images."""
    passwd = ["root:x:0:0:root:/root:/bin/bash", "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin"]
    group = ["root:x:0:", "nogroup:x:65534:"]
    for name, (uid, gid, home) in users.items():
        passwd.append(f"{name}:x:{uid}:{gid}::{home}:/bin/sh")
        group.append(f"{name}:x:{gid}:")
    return {
        "/etc/passwd": File(("\n".join(passwd) + "\n").encode()),
        "/etc/group": File(("\n".join(group) + "\n").encode()),
    }


def _real_path(path: str) -> str:
    """Where Debian really keeps it: a layer with a folder of a link's name would replace the link."""
    for link, target in (
        ("/bin/", "/usr/bin/"),
        ("/sbin/", "/usr/sbin/"),
        ("/lib/", "/usr/lib/"),
        ("/var/run/", "/run/"),
    ):
        if path.startswith(link):
            return target + path.removeprefix(link)
    return path


def with_imports(module: str) -> set[str]:
    """A stand-in's modules: it and what it imports, directly or not."""
    found, waiting = {"__init__"}, [module]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            text = (HERE / "standins" / f"{name}.py").read_text()
            waiting += re.findall(r"from lab\.images\.standins\.(\w+) import", text)
            for names in re.findall(r"from lab\.images\.standins import ([\w, ]+)", text):
                waiting += names.split(", ")
    return found

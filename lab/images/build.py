"""Makes the lab's images and brings them to a node's Docker: `build_images(docker_host, folder, progress)`.

Large layers are made once and kept below `folder`; images are composed of them without Docker, so that they are the
same on each node. A second node, and every later start, gets what it lacks and no more.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import re
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from lab.images.archive import File, Image, load_stream, small_layer
from lab.images.authority import Authority, authority
from lab.images.catalog import catalog
from lab.images.entry import Entry
from lab.images.layers import RECIPES, Layer, Say, make_layer
from topology.images import BUILDS, IMAGES

HERE: Final = Path(__file__).parent
PREFIX: Final = "agentic-mesh-lab"
MAP: Final = "images.json"
"""Below the folder: {reference of the program: tag of the lab's image}, for the provider of `docker.RemoteImage`."""
CA_PATH: Final = "/etc/ssl/lab-ca.pem"
_TRUST: Final = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class ImageError(RuntimeError):
    """An image could not be brought to a node; the message holds what Docker said."""


def build_images(
    docker_host: str, folder: Path, progress: Say = print, *, keys: Iterable[str] | None = None
) -> dict[str, str]:
    """Bring every image (or those of `keys`) to the Docker daemon at `docker_host` (`unix://...`).

    Returns, and writes to `images.json` in the folder, what each reference of the program stands for.
    """
    started = time.monotonic()
    entries = catalog()
    wanted = {key: entries[key] for key in (entries if keys is None else keys)}
    with _alone(folder):
        images = compose(wanted, folder, progress)
        found = references({key: image.tag for key, image in images.items()})
        path = folder / MAP
        known = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps({**known, **found}, indent=2, sort_keys=True) + "\n")
    here = _present(docker_host)
    lacking = [image for image in images.values() if here.get(image.tag) != image.image_id]
    if lacking:
        progress(f"{docker_host}: loading {len(lacking)} of {len(images)} images")
        _load(docker_host, lacking)
    progress(f"{docker_host}: {len(images)} images, {time.monotonic() - started:.0f} s")
    return found


def references(tags: Mapping[str, str]) -> dict[str, str]:
    """Reference of the program -> tag of the lab, from tags by key."""
    return {(f"agentic-mesh/{key}:local" if key in BUILDS else IMAGES[key].reference): tag for key, tag in tags.items()}


def compose(entries: Mapping[str, Entry], folder: Path, progress: Say = print) -> dict[str, Image]:
    """The images by key; makes the large layers that they stand on where those are missing."""
    names = list(dict.fromkeys(name for entry in entries.values() for name in entry.layers))
    with ThreadPoolExecutor(2) as threads:
        # In the background of what takes longest, which mostly waits for a disk, the others wait for a network.
        made = threads.map(lambda name: make_layer(RECIPES[name], folder / "layers", progress), names)
        layers = dict(zip(names, made, strict=True))
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
    files: dict[str, File] = {}
    for path, (uid, gid, mode) in entry.folders.items():
        files[path] = File(folder=True, owner=(uid, gid), mode=mode)
    for path, command in entry.programs.items():
        files[path] = File(f"#!/bin/sh\n{command}\n".encode(), 0o755)
    for path, target in entry.links.items():
        files[path] = File(link=target)
    for path, source in entry.files.items():
        files[path] = File((HERE / source).read_bytes(), 0o755 if path.endswith(".sh") else 0o644)
    for module in _with_imports(entry.stand_in) if entry.stand_in else ():
        files[f"/opt/lab/images/standins/{module}.py"] = File((HERE / "standins" / f"{module}.py").read_bytes())
    if entry.users:
        files |= _users(entry.users)
    if entry.trusts_lab:
        files[CA_PATH] = File(trust.certificate.read_bytes())
    return {_real_path(path): file for path, file in files.items()}


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


def _with_imports(module: str) -> set[str]:
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


def _present(docker_host: str) -> dict[str, str]:
    """Tag -> id of the lab's images that a daemon has."""
    command = ["docker", "--host", docker_host, "images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise ImageError(f"Docker at {docker_host} does not answer: {result.stderr.strip()}")
    return dict(line.split() for line in result.stdout.splitlines() if line.startswith(f"{PREFIX}/"))


def _chains(docker_host: str, tags: Iterable[str]) -> frozenset[tuple[str, ...]]:
    """Every beginning of the layers of these images."""
    command = ["docker", "--host", docker_host, "image", "inspect", "--format", "{{json .RootFS.Layers}}", *tags]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    stacks = [json.loads(line) for line in result.stdout.splitlines()]
    return frozenset(tuple(stack[:depth]) for stack in stacks for depth in range(1, len(stack) + 1))


def _load(docker_host: str, images: list[Image]) -> None:
    here = _present(docker_host)
    chains = _chains(docker_host, here) if here else frozenset()
    missing = {
        image.layers[depth - 1].diff_id
        for image in images
        for depth in range(1, len(image.layers) + 1)
        if tuple(layer.diff_id for layer in image.layers[:depth]) not in chains
    }
    known = frozenset(layer.diff_id for image in images for layer in image.layers) - missing
    command = ["docker", "--host", docker_host, "load", "--quiet"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as load:
        assert load.stdin is not None  # noqa: S101 - both pipes were asked for
        assert load.stdout is not None  # noqa: S101
        with contextlib.suppress(BrokenPipeError):
            for piece in load_stream(images, known=known):
                load.stdin.write(piece)
            load.stdin.close()
        said = load.stdout.read().decode(errors="replace")
    if load.returncode:
        raise ImageError(f"docker load at {docker_host}: {said.strip()[-1000:]}")


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Two nodes ask at the same time; one makes the layers, the other waits and finds them."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "images.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield

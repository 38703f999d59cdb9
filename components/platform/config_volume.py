"""Files for a container: a volume that is filled before it starts."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_docker as docker

from components.platform.containers import label, memory
from topology.model import Instance


@dataclass(frozen=True, kw_only=True)
class ConfigVolumeArgs:
    """Which files, for whom."""

    instance: Instance
    kind: str
    """`app` or `proxy`."""
    path: str
    """Where the consumers mount the volume, absolute."""
    files: Mapping[str, pulumi.Input[str]]
    """Path below `path` -> content, secret or not."""
    owner: str
    """uid:gid of the only reader."""
    image: pulumi.Input[str]
    """Any small image; it never runs."""


@dataclass(frozen=True, kw_only=True)
class ConfigVolume:
    """A filled volume."""

    mount: docker.ContainerVolumeArgs
    """Read-only, for the consumer."""
    version: pulumi.Output[str]
    """Changes with any file; a consumer carries it in a label, so that it is replaced too."""
    loader: docker.Container


def config_volume(name: str, args: ConfigVolumeArgs, opts: pulumi.ResourceOptions) -> ConfigVolume:
    """Create a volume and the loader container that carries its files and is never started.

    The provider cannot upload into a container with a read-only root, but into one that only exists.
    """
    volume_name = f"agentic-mesh-{name}"
    volume = docker.Volume(f"{name}-volume", name=volume_name, opts=opts)
    uid, _, gid = args.owner.partition(":")
    loader = docker.Container(
        f"{name}-loader",
        name=f"{volume_name}-loader",
        image=args.image,
        start=False,
        must_run=False,
        network_mode="none",
        # It never runs; the limits are there so that a start by hand harms nobody.
        privileged=False,
        **memory(16),
        capabilities=docker.ContainerCapabilitiesArgs(drops=["ALL"]),
        security_opts=["no-new-privileges=true"],
        labels=label(args.instance.service, args.instance.node, "loader", "busybox", config=args.kind),
        volumes=[docker.ContainerVolumeArgs(volume_name=volume.name, container_path=args.path)],
        uploads=[
            docker.ContainerUploadArgs(
                file=f"{args.path}/{path}", content=content, owner=uid, group=gid, permissions="0400"
            )
            for path, content in sorted(args.files.items())
        ],
        opts=opts,
    )
    return ConfigVolume(
        mount=docker.ContainerVolumeArgs(volume_name=volume.name, container_path=args.path, read_only=True),
        version=loader.id,
        loader=loader,
    )

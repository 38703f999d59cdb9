"""Data that outlives containers: folders below the node's encrypted data root."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_docker as docker

from settings import Settings
from topology.model import Service, Volume, VolumeRead


def host_path(settings: Settings, service: str, volume: Volume) -> str:
    """The folder on the host behind a volume."""
    if volume.setting is not None:
        return str(getattr(settings, volume.setting))
    return f"{settings.data_root}/{service}-{volume.name}"


@dataclass(frozen=True, kw_only=True)
class DataVolumesArgs:
    """The node's settings and the services on it."""

    settings: Settings
    services: Sequence[Service]


class DataVolumes(pulumi.ComponentResource):
    """Creates a bind-backed Docker volume for each volume of the node's services.

    A destroy leaves both the volumes and the folders behind them; the next `up` takes them up again.
    """

    def __init__(self, name: str, args: DataVolumesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the volumes."""
        super().__init__("agentic-mesh:node:DataVolumes", name, None, opts)
        self._settings = args.settings
        self._volumes = {
            (service.name, volume.name): docker.Volume(
                f"{name}-{service.name}-{volume.name}",
                name=f"agentic-mesh-{service.name}-{volume.name}",
                driver="local",
                driver_opts={
                    "type": "none",
                    "o": "bind",
                    "device": host_path(args.settings, service.name, volume),
                },
                labels=[
                    docker.VolumeLabelArgs(label="agentic-mesh.service", value=service.name),
                    docker.VolumeLabelArgs(label="agentic-mesh.backup", value="yes" if volume.backup else "no"),
                ],
                opts=pulumi.ResourceOptions(parent=self, retain_on_delete=True),
            )
            for service in args.services
            for volume in service.volumes
        }
        self.register_outputs({"folders": [list(f) for f in folders(args.settings, args.services)]})

    def mounts(self, service: Service, reads: Sequence[VolumeRead]) -> list[docker.ContainerVolumeArgs]:
        """A service's own volumes, then its read-only looks at others' and at the host."""
        own = [
            docker.ContainerVolumeArgs(
                volume_name=self._volumes[service.name, volume.name].name,
                container_path=volume.path,
            )
            for volume in service.volumes
        ]
        others = [
            docker.ContainerVolumeArgs(
                volume_name=self._volumes[read.service, read.volume].name,
                container_path=read.path,
                read_only=True,
            )
            for read in reads
        ]
        host = [
            docker.ContainerVolumeArgs(
                host_path=_placed(self._settings, mount.source),
                container_path=_placed(self._settings, mount.target),
                read_only=True,
            )
            for mount in service.host_mounts
        ]
        return [*own, *others, *host]


def folders(settings: Settings, services: Sequence[Service]) -> tuple[tuple[str, int, int], ...]:
    """(path, uid, gid) of each folder that must be there before a container mounts it."""
    found = {
        host_path(settings, service.name, volume): volume.owner for service in services for volume in service.volumes
    }
    return tuple((path, *owner) for path, owner in sorted(found.items()))


def _placed(settings: Settings, path: str) -> str:
    """A host path with the settings' folders put in."""
    return path.replace("@data-root", settings.data_root).replace("@docker-root", f"{settings.data_root}/docker")

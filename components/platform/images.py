"""The images of a node: pulled by digest, or built on it from `services/`."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_docker as docker

from settings import Settings, SettingsError
from topology.images import BUILDS, IMAGES, for_architecture

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, kw_only=True)
class NodeImagesArgs:
    """Which images a node of which architecture needs."""

    architecture: str
    keys: Iterable[str]
    """Keys of `topology.images.IMAGES` or `BUILDS`."""


class NodeImages(pulumi.ComponentResource):
    """Creates one `docker.RemoteImage` or `docker.Image` for each image that the node's services use.

    Images stay on the host when they leave the plan: a pull is cheap to repeat only while its registry is there.
    """

    def __init__(self, name: str, args: NodeImagesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Pull and build."""
        super().__init__("agentic-mesh:node:NodeImages", name, None, opts)
        self._architecture = args.architecture
        self._ids: dict[str, pulumi.Output[str]] = {}
        platform = f"linux/{args.architecture}"
        for key in sorted(set(args.keys)):
            child = pulumi.ResourceOptions(parent=self)
            if key in BUILDS:
                built = docker.Image(
                    f"{name}-{key}",
                    image_name=self.reference(key),
                    build=docker.DockerBuildArgs(context=str(ROOT / BUILDS[key]), platform=platform),
                    skip_push=True,
                    opts=child,
                )
                # With the tag alone a rebuilt image would replace no container.
                self._ids[key] = built.repo_digest
            else:
                pulled = docker.RemoteImage(
                    f"{name}-{key}",
                    name=self.reference(key),
                    platform=platform,
                    keep_locally=True,
                    opts=child,
                )
                self._ids[key] = pulled.image_id
        self.register_outputs({"images": {key: self.reference(key) for key in self._ids}})

    def image_id(self, key: str) -> pulumi.Output[str]:
        """What a container's `image` is set to."""
        return self._ids[key]

    def reference(self, key: str) -> str:
        """The name of an image as people know it."""
        if key in BUILDS:
            return f"agentic-mesh/{key}:local"
        return IMAGES[for_architecture(key, self._architecture)].reference


def check_platforms(settings: Settings, keys: Iterable[str]) -> None:
    """Raise `SettingsError` where an image does not exist for the node's architecture."""
    architecture = settings.node.architecture
    platform = f"linux/{architecture}"
    pulled = {key: for_architecture(key, architecture) for key in keys if key not in BUILDS}
    lacking = sorted(key for key, own in pulled.items() if platform not in IMAGES[own].platforms)
    if lacking:
        raise SettingsError(
            f"nodes.{settings.node.name}.architecture",
            settings.node.architecture,
            f"an architecture that all images of the node are built for; {', '.join(lacking)} "
            f"{'is' if len(lacking) == 1 else 'are'} not built for {platform}",
            stack=settings.stack,
            example="amd64",
        )

"""Images by tag and digest; what is built here, by the id that the build gave."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from policies.subject import CONTAINER, subject
from policies.values import Props, Resource, Unknown, finding, show

BUILD: Final = "docker:index/image:Image"
PULL: Final = "docker:index/remoteImage:RemoteImage"

_ID: Final = re.compile(r"sha256:[0-9a-f]{64}")
_DIGEST: Final = re.compile(r"@sha256:[0-9a-f]{64}$")
_REFERENCES: Final = {CONTAINER: "image", BUILD: "imageName", PULL: "name"}


def never_latest(type_: str, props: Props) -> Iterator[str]:
    """A tag that says which version, since `latest` is another image tomorrow."""
    if type_ not in _REFERENCES:
        return
    image = props.get(_REFERENCES[type_])
    if isinstance(image, Unknown) and type_ == CONTAINER:
        return  # the id of an image that a deploy pulls or builds; `own_images` asks where it comes from
    where = _where(type_, props)
    if not isinstance(image, str) or not image:
        yield finding(where, f"its image is {show(image)}", "name it as plain text, from topology/images.py")
        return
    tag = image.partition("@")[0].rpartition("/")[2].partition(":")[2]
    if not _ID.fullmatch(image) and (not tag or tag.startswith("latest")):
        yield finding(
            where, f"its image {image} has {f'the tag {tag}' if tag else 'no tag'}", "give it the tag of one version"
        )


def pinned(type_: str, props: Props) -> Iterator[str]:
    """A digest fixes the content; advisory, since a digest is never invented where none could be resolved."""
    if type_ not in (CONTAINER, PULL):
        return
    image = props.get(_REFERENCES[type_])
    if isinstance(image, str) and not _ID.fullmatch(image) and not _DIGEST.search(image):
        yield finding(
            _where(type_, props),
            f"its image {image} is not pinned by digest",
            "add @sha256:... to it in topology/images.py (`docker buildx imagetools inspect` shows the digest)",
        )


def own_images(resources: Sequence[Resource]) -> Iterator[tuple[str, str]]:
    """An image that is not known yet is one that this stack pulls or builds, where its name is checked."""
    made = {resource.urn for resource in resources if resource.type in (BUILD, PULL)}
    for resource in resources:
        if resource.type != CONTAINER or not isinstance(resource.props.get("image"), Unknown):
            continue
        if made.isdisjoint(resource.uses.get("image", ())):
            yield (
                resource.urn,
                finding(
                    subject(resource.props).name,
                    "its image is not known at plan time and comes from no image of this stack",
                    "take the id of a docker.RemoteImage or docker.Image of this stack",
                ),
            )


def _where(type_: str, props: Props) -> str:
    return subject(props).name if type_ == CONTAINER else type_.rpartition(":")[2]

"""Tags, digests and where images come from."""

from typing import Any

import pytest

from policies import images
from policies.images import BUILD, PULL
from policies.subject import CONTAINER
from policies.values import UNKNOWN
from tests.policies.samples import DIGEST, container
from tests.policies.stacks import resource


@pytest.mark.parametrize(
    "image",
    [
        "kong:latest",
        "kong:latest-ubuntu",
        "kong",
        "registry.example.com:5000/kong",
        f"kong@{DIGEST}",
        f"kong:latest@{DIGEST}",
        "",
        None,
    ],
)
def test_an_image_without_a_version(image: Any) -> None:
    assert len(list(images.never_latest(PULL, {"name": image}))) == 1
    assert len(list(images.never_latest(CONTAINER, container(image=image)))) == 1


@pytest.mark.parametrize("image", ["kong:3.9.3", "registry.example.com:5000/kong:3.9.3", f"kong:3.9.3@{DIGEST}"])
def test_an_image_with_a_version(image: str) -> None:
    for type_, key in ((PULL, "name"), (BUILD, "imageName"), (CONTAINER, "image")):
        assert list(images.never_latest(type_, {key: image})) == []


def test_an_image_by_id_is_what_was_pulled_or_built() -> None:
    assert list(images.never_latest(CONTAINER, container(image=DIGEST))) == []
    assert list(images.pinned(CONTAINER, container(image=DIGEST))) == []


def test_a_missing_digest_is_said() -> None:
    for type_, key in ((PULL, "name"), (CONTAINER, "image")):
        messages = list(images.pinned(type_, {key: "kong:3.9.3"}))
        assert len(messages) == 1
        assert "kong:3.9.3 is not pinned" in messages[0]


def test_what_is_pulled_is_known_at_plan_time() -> None:
    assert list(images.never_latest(PULL, {"name": UNKNOWN}))


def test_an_id_that_is_not_known_yet_comes_from_an_image_of_the_stack() -> None:
    assert list(images.never_latest(CONTAINER, container(image=UNKNOWN))) == []
    pulled = resource(PULL, {"name": "kong:3.9.3"}, "pulled")
    known = resource(CONTAINER, container(image=DIGEST))
    planned = resource(CONTAINER, container(image=UNKNOWN), image="pulled")
    foreign = resource(CONTAINER, container(image=UNKNOWN), image="elsewhere")
    assert list(images.own_images([pulled, known, planned])) == []
    assert [urn for urn, _ in images.own_images([pulled, foreign])] == [foreign.urn]

"""Every app container of the program, on the lab's images and a real daemon: it starts, answers, and does so again.

`LAB_DOCKER_HOST=unix://...` names a daemon to use instead of the lab's own.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lab.images.build import build_images
from lab.images.catalog import catalog
from lab.images.compose import compose
from tests.lab.images.containers import App, Apps
from tests.unit.program import Program
from topology.catalog import SERVICES

NODES = {"thanos": "gpu", "oracle1": "control"}
ALL = [(node, s.name) for node, role in NODES.items() for s in SERVICES if s.role in (role, None)]
SECONDS = 120

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def apps(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apps]:
    """All of them, running."""
    host = os.environ.get("LAB_DOCKER_HOST") or request.getfixturevalue("lab_nodes")[0].host
    folder = Path(os.environ.get("LAB_FOLDER", Path(__file__).parents[3] / ".lab")) / "images"
    build_images(host, folder)
    images = {key: image.tag for key, image in compose(catalog(), folder).items()}
    found = Apps(host, tmp_path_factory.mktemp("data"), images, {node: Program(node) for node in NODES})
    found.remove()
    found.prepare()
    try:
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(found.start, found.apps.values()))
        yield found
    finally:
        found.remove()


def named(apps: Apps, node: str, service: str) -> App:
    return apps.apps[node, service]


@pytest.mark.parametrize(("node", "service"), ALL)
def test_it_answers_its_probe(apps: Apps, node: str, service: str) -> None:
    assert apps.healthy(named(apps, node, service), SECONDS) == ""


@pytest.mark.parametrize(("node", "service"), ALL)
def test_it_answers_again_after_a_restart(apps: Apps, node: str, service: str) -> None:
    apps.client.restart(named(apps, node, service).name, timeout=3)
    assert apps.healthy(named(apps, node, service), SECONDS) == ""

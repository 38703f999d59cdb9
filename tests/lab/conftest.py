"""A lab for the tests: the running one where there is one, else one of their own that is gone afterwards."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.toolchain import PULUMI, tool_path
from lab import clouds, nodes
from lab.__main__ import prepare_images
from lab.machine import LabError, check_machine
from lab.places import Node
from lab.providers import lab_providers
from lab.stacks import Stacks, lab_config

SCRATCH = Path(__file__).with_name("scratch")


@pytest.fixture(scope="session")
def pulumi() -> Path:
    """The engine; building it takes minutes and is another job's."""
    found = shutil.which("pulumi")
    if not found and not tool_path(PULUMI).exists():
        pytest.skip("no engine on this machine; `make tools` builds it")
    return Path(found) if found else tool_path(PULUMI)


@pytest.fixture(scope="session")
def lab_nodes() -> Iterator[tuple[Node, ...]]:
    """Both nodes, with a Docker that answers and the lab's images."""
    try:
        check_machine()
    except LabError as lack:
        pytest.skip(str(lack))
    folder = Path(os.environ.get("LAB_FOLDER", Path(__file__).parents[2] / ".lab"))
    was_running = nodes.running(folder)
    with nodes.locked():
        try:
            found = nodes.start_nodes(folder)
            image_store.prepare_images(found, folder / "cache", say=lambda _: None)
            yield found
        finally:
            if not was_running:
                clouds.stop_clouds()
                nodes.remove_nodes(folder)


@pytest.fixture
def stack(lab_nodes: tuple[Node, ...], pulumi: Path, tmp_path: Path) -> Iterator[Stacks]:
    """The scratch program's stack `thanos`, with a state of its own; destroyed whatever happens."""
    node = lab_nodes[0]
    with lab_providers(
        node.folder, image_store.references(image_store.recipes()), clouds.start_clouds(node.folder)
    ) as ports:
        stacks = Stacks(SCRATCH, tmp_path / "stacks", pulumi, ports)
        stacks.configure("thanos", lab_config(node))
        try:
            yield stacks
        finally:
            outcome = stacks.operate("destroy", "thanos")
            assert outcome.passed, outcome.errors


def pytest_configure(config: pytest.Config) -> None:
    """Known here, so that the tests can be run without the project's own list."""
    config.addinivalue_line("markers", "lab: needs root, Docker's packages and the pinned engine")

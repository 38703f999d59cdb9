"""A lab for the tests: the running one where there is one, else one of their own that is gone afterwards.

Tests of the platform share one, since bringing it up takes minutes; each leaves it healthy, which is checked.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.toolchain import PULUMI, tool_path
from lab import docker_root, nodes
from lab.machine import LabError, check_machine
from lab.places import Node
from lab.session import Session, clear_away, open_session
from lab.stacks import Stacks
from tests.lab.mesh import Mesh
from tests.lab.user import User

SCRATCH = Path(__file__).with_name("scratch")
FOLDER = Path(os.environ.get("LAB_FOLDER", Path(__file__).parents[2] / ".lab"))


@pytest.fixture(scope="session")
def pulumi() -> Path:
    """The engine; building it takes minutes and is another job's."""
    found = shutil.which("pulumi")
    if not found and not tool_path(PULUMI).exists():
        pytest.skip("no engine on this machine; `make tools` builds it")
    return Path(found) if found else tool_path(PULUMI)


@pytest.fixture(scope="session")
def session() -> Iterator[Session]:
    """Both nodes, with a Docker that answers and the lab's images."""
    try:
        check_machine()
    except LabError as lack:
        pytest.skip(str(lack))
    was_running = nodes.running(FOLDER)
    with nodes.locked():
        # For `docker` commands of the tests and of what they start: this machine may have none.
        client = docker_root.client(FOLDER).parent
        os.environ["PATH"] = os.pathsep.join((str(client), os.environ.get("PATH", os.defpath)))
        try:
            yield open_session(FOLDER, lambda text: print(f"lab: {text}"))
        finally:
            if not was_running:
                clear_away(FOLDER)


@pytest.fixture(scope="session")
def lab_nodes(session: Session) -> tuple[Node, ...]:
    """Both nodes."""
    return session.nodes


@pytest.fixture(scope="session")
def platform(session: Session, pulumi: Path) -> Iterator[Mesh]:
    """The whole platform, up on both nodes."""
    with session.stacks() as stacks:
        mesh = Mesh(session, stacks)
        mesh.up()
        yield mesh
        mesh.close()


@pytest.fixture
def mesh(platform: Mesh) -> Iterator[Mesh]:
    """The platform, healthy before and after a test."""
    platform.wait_healthy()
    yield platform
    platform.wait_healthy()


@pytest.fixture
def user(mesh: Mesh, tmp_path: Path) -> User:
    """Somebody on the internet with the gateway's key."""
    return User(mesh, tmp_path)


@pytest.fixture
def stack(session: Session, pulumi: Path, tmp_path: Path) -> Iterator[Stacks]:
    """The scratch program's stack `thanos`, with a state of its own; destroyed whatever happens."""
    with session.stacks(SCRATCH, tmp_path / "stacks") as stacks:
        try:
            yield stacks
        finally:
            outcome = stacks.operate("destroy", "thanos")
            assert outcome.passed, outcome.errors


def pytest_configure(config: pytest.Config) -> None:
    """Known here, so that the tests can be run without the project's own list."""
    config.addinivalue_line("markers", "lab: needs root, Docker's packages and the pinned engine")

"""Fixtures of the unit tests."""

import pytest

from tests.unit.mocks import Mocks
from tests.unit.program import Program


@pytest.fixture
def mocks() -> Mocks:
    """A fresh recording mock for each test; a test for another stack installs it again."""
    recording = Mocks()
    recording.install()
    return recording


@pytest.fixture(scope="session")
def thanos() -> Program:
    """The program of the GPU node, which owns the foundation, run once; only read it."""
    return Program("thanos")


@pytest.fixture(scope="session")
def oracle1() -> Program:
    """The program of the control node, run once; only read it."""
    return Program("oracle1")


@pytest.fixture(params=["thanos", "oracle1"])
def program(request: pytest.FixtureRequest) -> Program:
    """The program of either node."""
    found: Program = request.getfixturevalue(request.param)
    return found

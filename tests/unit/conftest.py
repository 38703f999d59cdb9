"""Fixtures of the unit tests."""

import pytest

from tests.unit.mocks import Mocks


@pytest.fixture
def mocks() -> Mocks:
    """A fresh recording mock for each test; a test for another stack installs it again."""
    recording = Mocks()
    recording.install()
    return recording

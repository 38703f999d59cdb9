"""The service's source on the path, and servers that last for a module."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
for folder in (HERE, HERE.parents[2] / "services" / "interpreter"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

import sandboxes  # noqa: E402 - by the path above

# Small limits, so that attacks reach them soon. The memory is the default: gVisor counts what a forked process shares
# with its parent as its own too, and each has some 90 MB of libraries.
LIMITS = {"memory_mib": 512, "disk_mib": 24, "processes": 24, "runs": 3, "sessions": 3}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "gvisor: runs the service in a real gVisor sandbox")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sandboxes.Server]:
    with sandboxes.start_native(tmp_path_factory.mktemp("native"), **LIMITS) as (server, _):
        yield server


@pytest.fixture(scope="module", params=["native", pytest.param("gvisor", marks=pytest.mark.gvisor)])
def any_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[sandboxes.Server]:
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "native":
        with sandboxes.start_native(folder, **LIMITS) as (server, _):
            yield server
        return
    if not Path(sandboxes.RUNSC).exists():
        reason = f"{sandboxes.RUNSC} is missing: install Debian's package runsc"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sandboxes.start_gvisor(folder, **LIMITS) as (server, _):
        yield server

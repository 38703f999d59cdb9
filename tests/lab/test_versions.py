"""What the table of docs/lab.md says of the real programs' versions is what runs."""

import re

import pytest

from lab.images.catalog import catalog
from tests.lab.mesh import Mesh

pytestmark = [pytest.mark.lab, pytest.mark.engine]

PROGRAMS = {
    # Key of the image -> node, container, command that says its version.
    "redis": ("oracle1", "redis", "redis-server", "--version"),
    "postgres": ("oracle1", "postgres", "postgres", "--version"),
    "prometheus": ("oracle1", "prometheus", "/bin/prometheus", "--version"),
    "alertmanager": ("oracle1", "alertmanager", "/bin/alertmanager", "--version"),
    "blackbox-exporter": ("oracle1", "blackbox-exporter", "/bin/blackbox_exporter", "--version"),
    "redis-exporter": ("oracle1", "redis-exporter", "/redis_exporter", "--version"),
    "postgres-exporter": ("oracle1", "postgres-exporter", "/bin/postgres_exporter", "--version"),
    "envoy": ("thanos", "gateway", "/usr/local/bin/envoy", "--version"),
}


@pytest.mark.parametrize("key", PROGRAMS)
def test_a_program_is_of_the_version_that_the_table_says(platform: Mesh, key: str) -> None:
    node, container, *command = PROGRAMS[key]
    _, output = platform.execute(node, container, *command)
    found = re.findall(r"(?<![\w.])v?(\d+\.\d+(?:\.\d+)*)", output)
    wanted = catalog()[key].version
    assert any(version == wanted or version.startswith(f"{wanted}.") for version in found), output

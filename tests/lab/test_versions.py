"""What the table of docs/lab.md says of the real programs' versions is what runs."""

import re

import pytest

from lab.images.catalog import catalog
from tests.lab.mesh import Mesh

pytestmark = [pytest.mark.lab, pytest.mark.engine]

PACKAGE = "import sys; from importlib.metadata import version; print(version(sys.argv[1]))"
PROGRAMS = {
    # Key of the image -> node, container, command that says its version.
    "redis": ("oracle1", "redis", "redis-server", "--version"),
    "postgres": ("oracle1", "postgres", "postgres", "--version"),
    "prometheus": ("oracle1", "prometheus", "/bin/prometheus", "--version"),
    "alertmanager": ("oracle1", "alertmanager", "/bin/alertmanager", "--version"),
    "blackbox-exporter": ("oracle1", "blackbox-exporter", "/bin/blackbox_exporter", "--version"),
    "redis-exporter": ("oracle1", "redis-exporter", "/redis_exporter", "--version"),
    "postgres-exporter": ("oracle1", "postgres-exporter", "/bin/postgres_exporter", "--version"),
    "node-exporter": ("thanos", "node-exporter", "/bin/node_exporter", "--version"),
    "litellm": ("oracle1", "litellm", "sh", "-c", f"PYTHONPATH=/opt/litellm python3 -B -c '{PACKAGE}' litellm"),
    "n8n": ("oracle1", "n8n", "node", "-p", "require('/opt/n8n/node_modules/n8n/package.json').version"),
    "n8n-runners": (
        "oracle1",
        "n8n-runners",
        "node",
        "-p",
        "require('/opt/n8n/node_modules/n8n/package.json').version",
    ),
    "crowdsec": ("oracle1", "crowdsec", "crowdsec", "-version"),
    "victorialogs": ("oracle1", "victorialogs", "/victoria-logs-prod", "-version"),
    "vlagent": ("oracle1", "log-shipper", "/vlagent-prod", "-version"),
    "envoy": ("thanos", "gateway", "/usr/local/bin/envoy", "--version"),
}


MODSECURITY = """
import ctypes
library = ctypes.CDLL("libmodsecurity.so.3")
library.msc_init.restype, library.msc_who_am_i.restype = ctypes.c_void_p, ctypes.c_char_p
library.msc_who_am_i.argtypes = [ctypes.c_void_p]
print(library.msc_who_am_i(library.msc_init()).decode())
"""
EDGE = {
    # Part of the edge's version -> command in its container.
    "CRS": ("grep", "-rhom1", "OWASP_CRS/[0-9.]*[0-9]", "/opt/owasp-crs/rules"),
    "nginx": ("nginx", "-v"),
    "ModSecurity": ("python3", "-B", "-c", MODSECURITY),
}


def versions(output: str) -> list[str]:
    """Everything in a program's output that looks like a version."""
    return re.findall(r"(?<![\w.])v?(\d+\.\d+(?:\.\d+)*)", output)


def fits(output: str, wanted: str) -> bool:
    """Whether an output names a version, or one below it."""
    return any(version == wanted or version.startswith(f"{wanted}.") for version in versions(output))


@pytest.mark.parametrize("key", PROGRAMS)
def test_a_program_is_of_the_version_that_the_table_says(platform: Mesh, key: str) -> None:
    node, container, *command = PROGRAMS[key]
    _, output = platform.execute(node, container, *command)
    assert fits(output, catalog()[key].version), output


def test_the_edge_s_parts_are_of_the_versions_that_the_table_says(platform: Mesh) -> None:
    wanted = dict(part.split() for part in catalog()["waf"].version.split(", "))
    assert wanted.keys() == EDGE.keys()
    for part, command in EDGE.items():
        _, output = platform.execute("oracle1", "edge", *command)
        assert fits(output, wanted[part]), (part, output)

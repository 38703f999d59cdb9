"""The node exporter measures the host, not the container that it runs in."""

import os
from pathlib import Path

import pytest

from tests.lab.mesh import Mesh

pytestmark = [pytest.mark.lab, pytest.mark.engine]

EXPORTER = "node-exporter"
READ = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9100/metrics', timeout=20).read().decode())"
nodes = pytest.mark.parametrize("node", ["thanos", "oracle1"])


def metrics(mesh: Mesh, node: str) -> dict[str, float]:
    """Its metrics, by name with labels."""
    code, text = mesh.execute(node, EXPORTER, "python3", "-c", READ)
    assert code == 0, text
    lines = [line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def received() -> dict[str, float]:
    """Bytes of each device of the machine's first process, the loopback apart."""
    lines = Path("/proc/1/net/dev").read_text().splitlines()[2:]
    found = {name.strip(): float(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
    return {name: count for name, count in found.items() if name != "lo"}


@nodes
def test_the_network_is_the_host_s(mesh: Mesh, node: str) -> None:
    before = received()
    found = metrics(mesh, node)
    after = received()
    assert before
    for device in before.keys() & after.keys():
        name = f'node_network_receive_bytes_total{{device="{device}"}}'
        assert before[device] <= found[name] <= after[device], device
    own = {line for line in found if "node_network_receive_bytes_total" in line and 'device="eth0"' in line}
    assert bool(own) is ("eth0" in before)


@nodes
def test_the_root_file_system_is_the_host_s(mesh: Mesh, node: str) -> None:
    disk = os.statvfs("/")
    sizes = {
        value
        for name, value in metrics(mesh, node).items()
        if name.startswith("node_filesystem_size_bytes") and 'mountpoint="/"' in name
    }
    assert sizes == {float(disk.f_blocks * disk.f_frsize)}


@nodes
def test_every_collector_works(mesh: Mesh, node: str) -> None:
    found = metrics(mesh, node)
    done = {name: value for name, value in found.items() if name.startswith("node_scrape_collector_success")}
    assert len(done) == 8
    # Without this file Debian's version of the exporter fails the whole pressure collector.
    excused = set() if Path("/proc/pressure/irq").exists() else {"pressure"}
    assert {name.split('"')[1] for name, value in done.items() if value != 1} <= excused
    assert found["node_memory_MemTotal_bytes"] == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")

"""What containers may write to memory fits their memory."""

import pytest

from render.edge import BODY_MIB
from tests.unit.samples import graph_of
from topology.catalog import SERVICES
from topology.model import Service

LISTED = pytest.mark.parametrize("service", SERVICES, ids=lambda s: s.name)
MODSECURITY = 650 / 63
"""Peak of a worker's memory for each byte of a form with one file, seen with libmodsecurity 3.0.9 and CRS 4.25."""
WORKER_MIB = 40


@LISTED
def test_all_of_it_leaves_the_program_half(service: Service) -> None:
    sizes = service.tmpfs_sizes()
    assert sizes.keys() == set(service.tmpfs)
    assert all(1 <= mib <= 1024 for mib in sizes.values())
    assert 2 * sum(sizes.values()) <= service.memory_mib


@LISTED
def test_sizes_are_of_paths_that_there_are(service: Service) -> None:
    assert {path for path, _ in service.tmpfs_mib} <= set(service.tmpfs)


def test_the_edge_holds_a_document_of_the_largest_size() -> None:
    edge = graph_of("oracle1").service("edge")
    assert edge.tmpfs_sizes()["/var/cache/nginx"] >= 2 * BODY_MIB
    assert edge.memory_mib >= 2 * WORKER_MIB + MODSECURITY * BODY_MIB + BODY_MIB

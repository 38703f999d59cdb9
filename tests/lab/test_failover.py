"""Vectors are read on oracle1 while thanos is off the tailnet, and from thanos again when it is back."""

import math

import pytest

from lab.bench.failover import READS, measure_round
from lab.bench.places import Lab
from tests.lab.mesh import Mesh

pytestmark = [pytest.mark.lab, pytest.mark.engine]


def test_reads_go_on_at_the_replica_and_come_back(mesh: Mesh) -> None:
    """Reads by GET, searches and embeddings, which are POSTs: all may be sent again, so that none is lost."""
    phases, primary_again = measure_round(Lab({node.name: node for node in mesh.session.nodes}))
    assert phases.keys() == {(kind, event) for kind in READS for event in ("link cut", "link whole")}
    for key, phase in phases.items():
        assert math.isfinite(phase.until_s), f"{key}: never answered again"
        assert phase.failed == 0, f"{key}: {phase}"
    assert math.isfinite(primary_again), "the primary is not asked any more"

"""The whole program on the real engine and the lab's providers, with a Docker in memory: a second `up` changes nothing.

The lab does the same on real Docker (`tests/lab/test_change_counts.py`); this needs neither root nor Docker.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from engine.root import CHECKOUT
from lab.changes.count import count, preview
from lab.changes.kinds import KINDS
from lab.providers import lab_providers
from lab.stacks import Stacks
from topology.catalog import SERVICES
from topology.graph import Graph
from topology.images import BUILDS, IMAGES
from topology.nodes import NODES

pytestmark = pytest.mark.engine

GRAPH: Final = Graph(SERVICES, NODES)
SERVICES_ON: Final = {node.name: len(GRAPH.on(node.name)) for node in NODES}
FOUNDATION: Final = "thanos"


def config(node: str) -> dict[str, Any]:
    return {
        "agentic-mesh:node": node,
        "agentic-mesh:dockerHost": f"unix:///memory/{node}.sock",
        "agentic-mesh:gpuMemoryGib": 24,
        "agentic-mesh:hostMemoryGib": 128,
        "agentic-mesh:domain": "mesh.example.com",
        "agentic-mesh:manageTailnet": False,
        "agentic-mesh:backup": {"provider": "s3", "endpoint": "s3.example.com"},
        "pulumi:disable-default-providers": ["*"],
    }


@pytest.fixture(scope="module")
def stacks(pulumi: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stacks]:
    """Both stacks, up."""
    folder = tmp_path_factory.mktemp("stacks")
    images = {image.reference: image.reference for image in IMAGES.values()}
    images |= {f"agentic-mesh/{key}:local": key for key in BUILDS}
    with lab_providers(folder, images, {}, module="tests.engine.memory_docker") as ports:
        stacks = Stacks(CHECKOUT, folder, pulumi, ports)
        for node in NODES:
            stacks.configure(node.name, config(node.name))
            for key in ("backupAccessKey", "backupSecretKey"):
                stacks.command("config", "set", "--secret", f"agentic-mesh:{key}", "lab", "--stack", node.name)
        for node in sorted(NODES, key=lambda node: node.name != FOUNDATION):
            outcome = stacks.operate("up", node.name)
            assert outcome.passed, outcome.errors
        yield stacks


def changed(stacks: Stacks, operation: str) -> Mapping[str, Any]:
    outcomes = [stacks.operate(operation, node.name) for node in NODES]
    assert all(outcome.passed for outcome in outcomes), [outcome.errors for outcome in outcomes]
    return {outcome.stack: count(outcome.changed) for outcome in outcomes}


NOTHING: Final = {node.name: {} for node in NODES}


def test_a_second_up_changes_nothing_with_a_refresh_neither(stacks: Stacks) -> None:
    assert changed(stacks, "up") == NOTHING
    changed(stacks, "refresh")
    assert changed(stacks, "up") == NOTHING


def test_a_renewed_certificate_restarts_no_app(stacks: Stacks) -> None:
    (kind,) = [kind for kind in KINDS if kind.name == "every certificate is due"]
    assert preview(stacks, kind) == {
        node: {
            "certificate": {"replace": number + 1},
            "gateway": {"replace": 1},
            "loader": {"replace": number + 1},
            "proxy": {"replace": number},
        }
        for node, number in SERVICES_ON.items()
    }

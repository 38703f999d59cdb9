"""A change replaces what it affects and nothing else: previews of both stacks against the deployed state.

`make changes` writes the same counts into docs/changes.md.
"""

from collections.abc import Mapping
from typing import Any, Final

import pytest

from engine.outcome import CONTAINER, Step
from lab.changes.count import count, part_of, preview, table
from lab.changes.kinds import KINDS
from tests.lab.mesh import Mesh
from topology.catalog import SERVICES
from topology.graph import Graph
from topology.nodes import NODES

GRAPH: Final = Graph(SERVICES, NODES)
SERVICES_ON: Final = {node.name: len(GRAPH.on(node.name)) for node in NODES}


def kind(start: str) -> Any:
    (found,) = [kind for kind in KINDS if kind.name.startswith(start)]
    return found


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("vllm-pod-app", "app"),
        ("vllm-pod-proxy-envoy", "proxy"),
        ("thanos-gateway-proxy-envoy", "gateway"),
        ("vllm-pod-config-loader", "loader"),
        ("thanos-preflight-host", "preflight"),
    ],
)
def test_parts(name: str, part: str) -> None:
    assert part_of(Step("replace", CONTAINER, name)) == part


def test_a_table_has_a_line_for_each_node_and_a_column_for_each_part_that_changes() -> None:
    steps = [Step("replace", CONTAINER, "a-pod-app"), Step("update", "agentic-mesh:mesh:Pod", "a-pod")]
    counts = count(steps)
    assert counts == {"app": {"replace": 1}}
    assert table({"x": {"oracle1": {}, "thanos": counts}}) == [
        "| change | node | app |",
        "|---|---|---|",
        "| x | thanos | 1 replaced |",
        "| x | oracle1 | - |",
    ]


EXPECTED: Final[Mapping[str, Mapping[str, Any]]] = {
    "nothing": {"thanos": {}, "oracle1": {}},
    "one setting of one app": {"thanos": {}, "oracle1": {"app": {"replace": 1}, "proxy": {"replace": 1}}},
    # The size of its tmpfs follows from the limit, and Docker changes that in no running container.
    "a memory limit": {"thanos": {"app": {"replace": 1}, "proxy": {"replace": 1}}, "oracle1": {}},
    "a limit of processors": {"thanos": {"app": {"replace": 1}, "proxy": {"replace": 1}}, "oracle1": {}},
    # The proxy and the loader of its files; no app.
    "one certificate is due": {
        "thanos": {"certificate": {"replace": 1}, "loader": {"replace": 1}, "proxy": {"replace": 1}},
        "oracle1": {},
    },
    "every certificate is due": {
        node: {
            "certificate": {"replace": number + 1},
            "gateway": {"replace": 1},
            "loader": {"replace": number + 1},
            "proxy": {"replace": number},
        }
        for node, number in SERVICES_ON.items()
    },
}


@pytest.mark.lab
@pytest.mark.engine
@pytest.mark.parametrize("start", EXPECTED)
def test_a_change_touches_what_it_concerns(mesh: Mesh, start: str) -> None:
    assert preview(mesh.stacks, kind(start)) == EXPECTED[start]


@pytest.mark.lab
@pytest.mark.engine
def test_a_new_call_restarts_no_app_but_the_caller_s(mesh: Mesh) -> None:
    found = preview(mesh.stacks, kind("a new call"))
    # n8n's host table knows one name more, so that it is replaced; ocr's proxy lets one caller more in.
    assert found["oracle1"]["app"] == {"replace": 1}
    assert "app" not in found["thanos"]
    assert found["thanos"]["proxy"] == {"replace": 1}


@pytest.mark.lab
@pytest.mark.engine
def test_a_second_up_and_one_after_a_refresh_find_nothing_to_do(mesh: Mesh) -> None:
    mesh.assert_nothing_to_do()
    mesh.operate("refresh")
    mesh.assert_nothing_to_do()

"""Every ordered pair of services: who connects and is authorized is what the graph says, no more and no less.

Each caller's certificate is tried at each port of each pod: at the proxy that guards it, from a container on the same
inner network; then, where it is on the other node, by the two ways that lead there.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from tests.lab.attacker import (
    OPERATOR_NAME,
    Attempt,
    Door,
    Mint,
    Outcome,
    Place,
    attacker,
    doors,
    everyone,
    graph,
    networks,
    on_node,
)
from tests.lab.mesh import Mesh

pytestmark = [pytest.mark.lab, pytest.mark.engine]


@dataclass(frozen=True)
class Try:
    """A caller at a door."""

    caller: str
    door: Door
    attempt: Attempt

    def __str__(self) -> str:
        return f"{self.caller.removeprefix('spiffe://agentic-mesh/')} -> {self.door.name}"


@pytest.fixture(scope="module")
def certificates(platform: Mesh) -> Mapping[str, str]:
    """A valid one for each identity that there is."""
    return Mint(platform).issue_all([*(i.identity for i in everyone(platform)), OPERATOR_NAME])


@pytest.fixture(scope="module")
def containers(platform: Mesh) -> Iterator[dict[str, Place]]:
    """A container on the inner network of each node."""
    first, second = platform.names()
    with attacker(platform, first) as one, attacker(platform, second) as other:
        yield {first: one, second: other}


def compare(tries: list[Try], outcomes: list[Outcome], allowed: set[str]) -> None:
    """What the graph allows is answered, by the one who was meant; all else is refused, and by nothing else."""
    wrong = []
    for made, outcome in zip(tries, outcomes, strict=True):
        if str(made) in allowed:
            right = outcome.answered and outcome.server_identity == made.door.callee.identity
        else:
            right = outcome.refused
        if not right:
            wrong.append(f"{made}: allowed={str(made) in allowed} {outcome.end} {outcome.why} {outcome.data[:200]!r}")
    assert not wrong, f"{len(wrong)} of {len(tries)}:\n" + "\n".join(wrong[:40])


@pytest.mark.parametrize("node", ["thanos", "oracle1"])
def test_each_caller_at_each_door_of_a_node(
    mesh: Mesh, containers: dict[str, Place], certificates: Mapping[str, str], node: str
) -> None:
    started = time.monotonic()
    tries = [Try(c, door, door.attempt(c)) for door in doors(mesh, node) for c in certificates]
    allowed = {str(made) for made in tries if made.door.allows(made.caller)}
    compare(tries, containers[node].tries([t.attempt for t in tries], certificates, seconds=300), allowed)
    # As many as the graph has edges to this node, and one for each port that operators may call.
    edges = [edge for edge in graph(mesh, node).edges if edge.callee.node == node]
    direct = [door for door in doors(mesh, node) if door.direct]
    assert len(allowed) == len(edges) + len(direct)
    print(
        f"{node}: {len(tries)} pairs, {len(allowed)} allowed, {len(tries) - len(allowed)} refused, "
        f"{time.monotonic() - started:.1f} s"
    )


@pytest.mark.parametrize("way", ["gateway", "tailnet"])
@pytest.mark.parametrize("node", ["thanos", "oracle1"])
def test_each_caller_at_each_door_of_the_other_node(
    mesh: Mesh, containers: dict[str, Place], certificates: Mapping[str, str], node: str, way: str
) -> None:
    """By the own gateway, as pods do, and by the other node's tailnet address, as whoever is on the tailnet may try."""
    started = time.monotonic()
    other = next(name for name in mesh.names() if name != node)
    plan, place = graph(mesh, node), networks(mesh, node)
    own = place.gateway_mesh
    callers = [i.identity for i in everyone(mesh) if i.node == node]
    tries = []
    for door in doors(mesh, other):
        to = {"address": own} if way == "gateway" else {"address": plan.node(other).address, "port": door.tailnet}
        tries += [Try(caller, door, door.attempt(caller, client="", **to)) for caller in callers]
    led = _led(mesh, node, other, way)
    # Where no way leads to a door, the gateway itself has to refuse: by no listener, or by no such name on it.
    passed = [made for made in tries if made.door.name in led]
    allowed = {str(made) for made in passed if made.door.allows(made.caller)}
    from_there = containers[node] if way == "gateway" else on_node(mesh, node)
    outcomes = from_there.tries([made.attempt for made in tries], certificates, seconds=300)
    reached = dict(zip(map(str, tries), outcomes, strict=True))
    compare(passed, [reached[str(made)] for made in passed], allowed)
    barred = [str(made) for made in tries if made.door.name not in led]
    let_in = [name for name in barred if reached[name].server or reached[name].end not in ("unreachable", "closed")]
    assert not let_in, [(name, reached[name]) for name in let_in[:10]]
    assert len(allowed) == sum(edge.caller.node == node for edge in plan.crossing())
    print(
        f"{node} to {other} by {way}: {len(tries)} pairs, {len(allowed)} allowed, {len(passed) - len(allowed)} refused "
        f"by the callee, {len(barred)} at the gateway, {time.monotonic() - started:.1f} s"
    )


def _led(mesh: Mesh, node: str, other: str, way: str) -> set[str]:
    """The doors of the other node to which this way leads somebody."""
    plan = graph(mesh, node)
    if way == "gateway":
        return {f"{edge.callee.host}:{edge.port}" for edge in plan.crossing() if edge.caller.node == node}
    published = plan.published(other).values()
    return {f"{callee.host}:{port.name if port else 'metrics'}" for found in published for callee, port in found}

"""The tailnet policy allows every edge of the graph and nothing else."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from render.tailnet import CI_TAG, KEY_OWNER_TAG, acl_policy, acl_policy_text, node_tag
from tests.unit.acl import ALL_PORTS, Acl, PolicyError
from topology.catalog import SERVICES
from topology.graph import Graph
from topology.model import Node

YOU = "you@example.com"
TEAM = "group:ops@example.com"
TWO = (
    Node(name="thanos", role="gpu", address="100.64.1.1"),
    Node(name="oracle1", role="control", address="100.64.1.2"),
)
FOUR = (
    *TWO,
    Node(name="titan", role="gpu", address="100.64.1.3"),
    Node(name="oracle2", role="control", address="100.64.1.4"),
)
GRAPHS = {
    "two nodes": Graph(SERVICES, TWO),
    "four nodes": Graph(SERVICES, FOUR),
    "one node": Graph(SERVICES, TWO[:1]),
}


@pytest.fixture(params=list(GRAPHS))
def graph(request: pytest.FixtureRequest) -> Graph:
    return GRAPHS[request.param]


def edges(graph: Graph) -> set[tuple[str, str, int]]:
    """What must be possible, taken from the service table and not from the renderer."""
    return {(e.caller.node, e.callee.node, e.number) for e in graph.edges if e.crosses}


def test_the_graph_has_edges_both_ways() -> None:
    pairs = {(source, target) for source, target, _ in edges(GRAPHS["two nodes"])}
    assert pairs == {("thanos", "oracle1"), ("oracle1", "thanos")}


def test_known_edges_of_the_architecture_pass() -> None:
    acl = Acl(acl_policy(GRAPHS["two nodes"], [YOU]))
    for port in (8000, 8001, 8002, 8003, 8004, 8005, 6333):
        assert acl.allows(node_tag("oracle1"), node_tag("thanos"), port)
    assert acl.allows(node_tag("thanos"), node_tag("oracle1"), 9427)
    for port in (5432, 6379, 22, 2375, 9428):
        assert not acl.allows(node_tag("thanos"), node_tag("oracle1"), port)


def test_each_edge_is_allowed_and_every_other_connection_of_a_node_denied(graph: Graph) -> None:
    acl = Acl(acl_policy(graph, [YOU]))
    every = set(ALL_PORTS)
    for source in graph.nodes:
        for target in graph.nodes:
            pair = (source.name, target.name)
            wanted = {number for *ends, number in edges(graph) if tuple(ends) == pair}
            allowed = acl.ports(node_tag(source.name), node_tag(target.name))
            assert wanted <= allowed, pair
            assert every - allowed == every - wanted, pair
            assert not acl.ports(node_tag(source.name), node_tag(target.name), "udp")


@pytest.mark.parametrize("operator", [YOU, TEAM, "autogroup:admin"])
def test_operators_reach_direct_ports_and_ssh_only(graph: Graph, operator: str) -> None:
    acl = Acl(acl_policy(graph, [operator]))
    for node in graph.nodes:
        direct = {p.number for s in graph.on(node.name) for p in s.ports if p.direct}
        assert direct
        assert acl.ports(operator, node_tag(node.name)) == direct | {22}
        assert not acl.ports(operator, node_tag(node.name), "udp")


def test_the_runner_reaches_ssh_only(graph: Graph) -> None:
    acl = Acl(acl_policy(graph, [YOU]))
    for node in graph.nodes:
        assert acl.ports(CI_TAG, node_tag(node.name)) == {22}


def test_nobody_else_reaches_anything(graph: Graph) -> None:
    acl = Acl(acl_policy(graph, [YOU]))
    tags = [node_tag(n.name) for n in graph.nodes]
    for source in (KEY_OWNER_TAG, "stranger@example.com", "tag:agentic-mesh-unknown"):
        for target in (*tags, CI_TAG, KEY_OWNER_TAG):
            assert not acl.ports(source, target)
    for source in (*tags, CI_TAG, YOU):
        assert not acl.ports(source, CI_TAG)
        assert not acl.ports(source, KEY_OWNER_TAG)


def test_no_wildcard_anywhere(graph: Graph) -> None:
    text = acl_policy_text(graph, ["autogroup:admin", YOU, TEAM])
    assert "*" not in text
    assert json.loads(text) == acl_policy(graph, ["autogroup:admin", YOU, TEAM])


def test_same_graph_same_text() -> None:
    again = Graph(SERVICES, TWO)
    assert acl_policy_text(again, [YOU]) == acl_policy_text(GRAPHS["two nodes"], [YOU])


def test_ssh_is_checked_for_people_and_one_login_for_the_runner(graph: Graph) -> None:
    acl = Acl(acl_policy(graph, [YOU]))
    for node in graph.nodes:
        target = node_tag(node.name)
        assert acl.ssh(YOU, target, "deploy") == "check"
        assert acl.ssh(YOU, target, "anna") == "check"
        assert acl.ssh(YOU, target, "root") == "deny"
        assert acl.ssh(CI_TAG, target, "deploy") == "accept"
        assert acl.ssh(CI_TAG, target, "root") == "deny"
        assert acl.ssh(CI_TAG, target, "anna") == "deny"
        for other in graph.nodes:
            assert acl.ssh(node_tag(other.name), target, "deploy") == "deny"


def test_tags_are_owned_by_operators_and_by_the_key_owner(graph: Graph) -> None:
    owners = acl_policy(graph, [YOU])["tagOwners"]
    for node in graph.nodes:
        assert owners[node_tag(node.name)] == [YOU, KEY_OWNER_TAG]
    assert owners[CI_TAG] == [YOU]
    assert owners[KEY_OWNER_TAG] == [YOU]


@pytest.mark.parametrize("operators", [[YOU], [YOU, TEAM], ["autogroup:admin"]])
def test_own_tests_hold(graph: Graph, operators: list[str]) -> None:
    assert Acl(acl_policy(graph, operators)).failures() == []


def test_each_source_has_accepts_and_denies() -> None:
    graph = GRAPHS["two nodes"]
    policy = acl_policy(graph, [YOU, TEAM, "autogroup:admin"])
    for source in (*(node_tag(n.name) for n in graph.nodes), CI_TAG, YOU, TEAM):
        tests = [t for t in policy["tests"] if t["src"] == source]
        assert any(t.get("accept") for t in tests)
        assert any(t.get("deny") for t in tests)
    assert {t["src"] for t in policy["sshTests"]} == {
        *(node_tag(n.name) for n in graph.nodes),
        CI_TAG,
        YOU,
    }


def narrowed(policy: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The policy without one grant, without one port of a grant, without one SSH rule."""
    for i, grant in enumerate(policy["grants"]):
        less = copy.deepcopy(policy)
        del less["grants"][i]
        yield f"grant {i}", less
        for j, ip in enumerate(grant["ip"]):
            less = copy.deepcopy(policy)
            del less["grants"][i]["ip"][j]
            yield f"grant {i} {ip}", less
        for j, target in enumerate(grant["dst"]):
            less = copy.deepcopy(policy)
            del less["grants"][i]["dst"][j]
            yield f"grant {i} {target}", less
    for i in range(len(policy["ssh"])):
        less = copy.deepcopy(policy)
        del less["ssh"][i]
        yield f"ssh {i}", less


def test_own_tests_notice_every_grant_that_goes_missing(graph: Graph) -> None:
    cases = list(narrowed(acl_policy(graph, [YOU])))
    assert len(cases) > 10
    unnoticed = [what for what, policy in cases if not Acl(policy).failures()]
    assert unnoticed == []


def widened(graph: Graph) -> Iterator[tuple[str, dict[str, Any]]]:
    """The policy with a connection too many."""
    tags = [node_tag(n.name) for n in graph.nodes]
    base = acl_policy(graph, [YOU])
    for source in (*tags, CI_TAG, KEY_OWNER_TAG, YOU):
        for node in graph.nodes:
            target = node_tag(node.name)
            if source == target:
                continue
            ports = {p.number for s in graph.on(node.name) for p in s.ports} | {22, 2375, 15090}
            for port in sorted(ports - Acl(base).ports(source, target)):
                yield _with(base, source, target, f"tcp:{port}")
            yield _with(base, source, target, "*")
            if Acl(base).ports(source, target):
                yield _with(base, source, target, "udp:*")
        if source != CI_TAG:
            yield _with(base, source, CI_TAG, "tcp:22")
    yield _with(base, "*", "*", "*")
    for user in ("root", "autogroup:nonroot"):
        more = copy.deepcopy(base)
        more["ssh"].append({"action": "accept", "src": [CI_TAG], "dst": tags, "users": [user]})
        yield f"ssh {user}", more


def _with(base: dict[str, Any], src: str, dst: str, ip: str) -> tuple[str, dict[str, Any]]:
    more = copy.deepcopy(base)
    more["grants"].append({"src": [src], "dst": [dst], "ip": [ip]})
    return f"{src} -> {dst} {ip}", more


def test_own_tests_notice_every_known_port_that_opens() -> None:
    cases = list(widened(GRAPHS["two nodes"]))
    assert len(cases) > 100
    unnoticed = [what for what, policy in cases if not Acl(policy).failures()]
    assert unnoticed == []


@pytest.mark.parametrize(
    "operator",
    ["autogroup:danger-all", "autogroup:tagged", "*", "group:ops", "tag:agentic-mesh-ci", "you"],
)
def test_operators_that_are_no_people_are_refused(operator: str) -> None:
    with pytest.raises(ValueError, match="operator"):
        acl_policy(GRAPHS["two nodes"], [operator])


def test_somebody_must_operate() -> None:
    with pytest.raises(ValueError, match="no operator"):
        acl_policy(GRAPHS["two nodes"], [])


def test_a_node_cannot_take_the_runners_tag() -> None:
    graph = Graph(SERVICES, (Node(name="ci", role="gpu", address="100.64.1.1"),))
    with pytest.raises(ValueError, match="rename it"):
        acl_policy(graph, [YOU])


def test_the_evaluator_refuses_what_it_does_not_understand() -> None:
    base = acl_policy(GRAPHS["two nodes"], [YOU])
    tag = node_tag("thanos")
    for change in (
        {"acls": [{"action": "accept", "src": ["*"], "dst": ["*:*"]}]},
        {"grants": [{"src": ["autogroup:tagged"], "dst": [tag], "ip": ["*"]}]},
        {"grants": [{"src": [tag], "dst": ["100.64.1.2"], "ip": ["*"]}]},
        {"grants": [{"src": [tag], "dst": ["tag:unowned"], "ip": ["*"]}]},
        {"grants": [{"src": [tag], "dst": [tag], "ip": ["sctp:1"]}]},
        {"grants": [{"src": [tag], "dst": [tag], "ip": ["tcp:http"]}]},
        {"grants": [{"src": [tag], "dst": [tag], "ip": ["*"], "via": ["tag:x"]}]},
        {"ssh": [{"action": "check", "src": [tag], "dst": [tag], "users": ["x"]}]},
        {"tests": [{"src": "autogroup:admin", "accept": [f"{tag}:22"]}]},
    ):
        with pytest.raises(PolicyError):
            Acl({**base, **change})


def test_the_evaluator_reads_ports_as_tailscale_does() -> None:
    base = acl_policy(GRAPHS["two nodes"], [YOU])
    src, dst = node_tag("thanos"), node_tag("oracle1")

    def ports(*ips: str, proto: str = "tcp") -> frozenset[int]:
        grant = {"src": [src], "dst": [dst], "ip": list(ips)}
        return Acl({**base, "grants": [grant]}).ports(src, dst, proto)

    assert ports("22") == ports("22", proto="udp") == {22}
    assert ports("tcp:80-82", "tcp:90") == {80, 81, 82, 90}
    assert ports("udp:53") == frozenset()
    assert ports("*") == ports("tcp:*") == frozenset(ALL_PORTS)

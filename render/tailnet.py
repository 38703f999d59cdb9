"""The tailnet's policy file, derived from the graph: who may open which connection between machines.

Tailscale denies what no grant allows. Grants name tags, one for each node, because an address in a grant would also
admit whatever machine gets that address later. The policy carries tests of its own, which Tailscale runs before it
accepts a change: a hand edit that opens or closes too much is refused there too.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from topology.graph import Graph
from topology.network import EGRESS_PORT, METRICS_PORT

TAG_PREFIX: Final = "tag:agentic-mesh-"
CI_TAG: Final = f"{TAG_PREFIX}ci"
"""What the deploy runner joins as: it drives Docker through SSH and reaches nothing else."""
KEY_OWNER_TAG: Final = f"{TAG_PREFIX}pulumi"
"""Carried by no machine. The OAuth client that deploys the tailnet has it: such a client may make keys only for
tags that its own tag owns, and were that the runner's tag, a stolen runner could join as a node."""
SSH_PORT: Final = 22
DEPLOY_USER: Final = "deploy"
"""The login on each node that Docker connections use."""

_ROLES: Final = frozenset({"owner", "admin", "network-admin", "it-admin", "member"})
_NEVER: Final = (SSH_PORT, 443, 2375, 2376)
"""Ports of a host that matter though no service of the graph has them: SSH, the public edge, Docker's API."""


def node_tag(node: str) -> str:
    """The tag that the machine of a node carries, and no other machine."""
    return f"{TAG_PREFIX}{node}"


def acl_policy(graph: Graph, operators: Sequence[str]) -> dict[str, Any]:
    """The policy file as an object.

    `operators` are logins, groups synced from the identity provider (`group:name@domain`), or `autogroup:` roles.
    ValueError names an operator that Tailscale would refuse or that stands for more than people.

    Operators have the ports that the graph calls direct, and SSH, without which the SSH rules would let nobody in.
    Tests have one gap that is Tailscale's: it takes no `autogroup:` as the source of a test, nor reliably a group as
    the source of an SSH test, so those operators are granted access that no test of the policy covers.
    """
    for operator in operators:
        _check_operator(operator)
    if not operators:
        raise ValueError("no operator is named: nobody could reach the nodes to fix them")
    nodes = [node.name for node in graph.nodes]
    tags = [node_tag(node) for node in nodes]
    clash = {CI_TAG, KEY_OWNER_TAG} & set(tags)
    if clash:
        raise ValueError(f"a node cannot have the name behind {min(clash)}; rename it")
    return {
        "tagOwners": _tag_owners(tags, operators),
        "grants": _grants(graph, operators),
        "ssh": _ssh(tags, operators),
        "tests": _tests(graph, operators),
        "sshTests": _ssh_tests(tags, operators),
    }


def acl_policy_text(graph: Graph, operators: Sequence[str]) -> str:
    """The policy file as JSON, the same text for the same graph, so that only real changes show as a diff."""
    return json.dumps(acl_policy(graph, operators), indent=2) + "\n"


def _check_operator(operator: str) -> None:
    kind, _, name = operator.partition(":")
    if kind == "autogroup":
        if name not in _ROLES:
            raise ValueError(
                f"operator {operator!r} does not stand for people with a role; "
                f"allowed: {', '.join(f'autogroup:{role}' for role in sorted(_ROLES))}"
            )
    elif not re.fullmatch(r"(group:)?[^\s@*:]+@[^\s@*:]+", operator):
        raise ValueError(
            f"operator {operator!r} is neither a login (you@example.com) nor a synced group "
            "(group:name@example.com); the policy has no groups section of its own"
        )


def _tag_owners(tags: Iterable[str], operators: Sequence[str]) -> dict[str, list[str]]:
    owners = {tag: [*operators, KEY_OWNER_TAG] for tag in tags}
    return {**owners, CI_TAG: [*operators], KEY_OWNER_TAG: [*operators]}


def _crossing(graph: Graph) -> Mapping[tuple[str, str], tuple[int, ...]]:
    """(source node, destination node) -> the ports of the edges between them."""
    ports: dict[tuple[str, str], set[int]] = {}
    for edge in graph.crossing():
        ports.setdefault((edge.caller.node, edge.callee.node), set()).add(edge.tailnet)
    return {pair: tuple(sorted(numbers)) for pair, numbers in sorted(ports.items())}


def _operator_ports(graph: Graph, node: str) -> tuple[int, ...]:
    return tuple(sorted({SSH_PORT, *graph.direct_ports(node)}))


def _grants(graph: Graph, operators: Sequence[str]) -> list[dict[str, list[str]]]:
    grants = [
        _grant([node_tag(source)], [node_tag(target)], ports) for (source, target), ports in _crossing(graph).items()
    ]
    grants.append(_grant([CI_TAG], [node_tag(n.name) for n in graph.nodes], (SSH_PORT,)))
    grants += [_grant(operators, [node_tag(n.name)], _operator_ports(graph, n.name)) for n in graph.nodes]
    return grants


def _grant(sources: Sequence[str], targets: Sequence[str], ports: Iterable[int]) -> dict[str, list[str]]:
    return {"src": [*sources], "dst": [*targets], "ip": [f"tcp:{port}" for port in ports]}


def _ssh(tags: Sequence[str], operators: Sequence[str]) -> list[dict[str, Any]]:
    """Operators prove who they are again before each session (the default period is 12 hours).

    The runner has nobody to ask, and Tailscale refuses check mode for tags: it gets one login instead.
    """
    return [
        {
            "action": "check",
            "src": [*operators],
            "dst": [*tags],
            "users": ["autogroup:nonroot"],
        },
        {"action": "accept", "src": [CI_TAG], "dst": [*tags], "users": [DEPLOY_USER]},
    ]


def _tests(graph: Graph, operators: Sequence[str]) -> list[dict[str, Any]]:
    """For each source: what it must reach, what it must not, and that nothing of it is UDP."""
    nodes = [node.name for node in graph.nodes]
    crossing = _crossing(graph)
    sources: dict[str, dict[str, tuple[int, ...]]] = {
        node_tag(source): {n: crossing.get((source, n), ()) for n in nodes if n != source} for source in nodes
    }
    sources[CI_TAG] = dict.fromkeys(nodes, (SSH_PORT,))
    sources[KEY_OWNER_TAG] = dict.fromkeys(nodes, ())
    for operator in operators:
        if not operator.startswith("autogroup:"):
            sources[operator] = {n: _operator_ports(graph, n) for n in nodes}
    return [test for source, reach in sources.items() for test in _test(graph, source, reach)]


def _test(graph: Graph, source: str, reach: Mapping[str, tuple[int, ...]]) -> Iterable[dict[str, Any]]:
    accept = [f"{node_tag(node)}:{port}" for node, ports in reach.items() for port in ports]
    deny = [
        f"{node_tag(node)}:{port}"
        for node, ports in reach.items()
        for port in _known_ports(graph, node)
        if port not in ports
    ]
    if source != CI_TAG:
        deny.append(f"{CI_TAG}:{SSH_PORT}")
    tcp: dict[str, Any] = {"src": source, "proto": "tcp"}
    if accept:
        tcp["accept"] = accept
    yield {**tcp, "deny": deny}
    if accept:
        yield {"src": source, "proto": "udp", "deny": accept}


def _known_ports(graph: Graph, node: str) -> tuple[int, ...]:
    """Every port that means something on a node, published or not."""
    ports = [port for service in graph.on(node) for port in service.ports]
    own = {number for p in ports for number in (p.number, p.app_port, p.tailnet_port)}
    probes = {service.probe.port for service in graph.on(node)}
    return tuple(sorted(own | probes | {METRICS_PORT, EGRESS_PORT, *_NEVER}))


def _ssh_tests(tags: Sequence[str], operators: Sequence[str]) -> list[dict[str, Any]]:
    tests: list[dict[str, Any]] = [
        {"src": operator, "dst": [*tags], "check": [DEPLOY_USER], "deny": ["root"]}
        for operator in operators
        if not operator.startswith(("autogroup:", "group:"))
    ]
    tests.append({"src": CI_TAG, "dst": [*tags], "accept": [DEPLOY_USER], "deny": ["root", "nobody"]})
    for tag in tags:
        others = [other for other in tags if other != tag]
        if others:
            tests.append({"src": tag, "dst": others, "deny": ["root", DEPLOY_USER]})
    return tests

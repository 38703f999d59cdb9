"""The tailnet of the lab: a network namespace for each node and one virtual cable between them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from lab.machine import in_namespace, run, succeeds
from lab.places import Node

INTERFACE: Final = "tailscale0"
MTU: Final = "1280"
PUBLIC_ADDRESS: Final = "203.0.113.7"
"""Of the control node, reached from that node alone: an address that documents use and nobody has."""
# Before anything else looks at what comes in, after everything else looked at what goes out.
_CUT: Final = (("raw", "PREROUTING", "-i"), ("mangle", "POSTROUTING", "-o"))


def make_link(nodes: Sequence[Node]) -> None:
    """Make namespaces and cable, or what is missing of them."""
    for node in nodes:
        if not succeeds("ip", "netns", "exec", node.namespace, "true"):
            # One that was only half made cannot be entered; its name is in the way.
            run("ip", "netns", "delete", node.namespace, check=False)
            run("ip", "netns", "add", node.namespace)
        run("ip", "-n", node.namespace, "link", "set", "lo", "up")
        bind_early(node)
        run(*in_namespace(node.namespace, "sysctl", "-q", "-w", "net.ipv4.ip_forward=1"))
    first, second = nodes
    if not all(succeeds("ip", "-n", node.namespace, "link", "show", INTERFACE) for node in nodes):
        for node in nodes:
            run("ip", "-n", node.namespace, "link", "delete", INTERFACE, check=False)
        run(
            *("ip", "link", "add", INTERFACE, "netns", first.namespace, "mtu", MTU, "type", "veth"),
            *("peer", "name", INTERFACE, "netns", second.namespace, "mtu", MTU),
        )
    for node in nodes:
        give_address(node)
    run("ip", "-n", second.namespace, "address", "replace", f"{PUBLIC_ADDRESS}/32", "dev", "lo")


def give_address(node: Node) -> None:
    """Put the tailnet address on the node and its end of the cable up."""
    run("ip", "-n", node.namespace, "address", "replace", f"{node.address}/24", "dev", INTERFACE)
    run("ip", "-n", node.namespace, "link", "set", INTERFACE, "up")


def take_address(node: Node) -> None:
    """The node as it is while its tailnet client has not come up yet."""
    run("ip", "-n", node.namespace, "address", "flush", "dev", INTERFACE)


def bind_early(node: Node, *, possible: bool = True) -> None:
    """Whether a program may listen on an address that the node has not got yet, as a prepared host has it."""
    run(*in_namespace(node.namespace, "sysctl", "-q", "-w", f"net.ipv4.ip_nonlocal_bind={int(possible)}"))


def forget_docker(node: Node) -> None:
    """Take away the bridges and rules that a daemon made and did not take away itself."""
    for bridge in json.loads(run("ip", "-n", node.namespace, "-json", "link", "show", "type", "bridge") or "[]"):
        run("ip", "-n", node.namespace, "link", "delete", bridge["ifname"])
    for table in ("nat", "filter"):
        for action in ("--flush", "--delete-chain"):
            run(*in_namespace(node.namespace, "iptables", "-w", "-t", table, action))


def cut(node: Node) -> None:
    """Take a node off the tailnet, as others see it: packets vanish, nobody is told."""
    for table, chain, side in _CUT:
        if not _drops(node, table, chain, side):
            run(*_rule(node, table, "-I", chain, side))


def heal(node: Node) -> None:
    """Undo `cut`, however often it was done."""
    for table, chain, side in _CUT:
        while _drops(node, table, chain, side):
            run(*_rule(node, table, "-D", chain, side))


def is_cut(node: Node) -> bool:
    """Whether the node is off the tailnet."""
    return any(_drops(node, *where) for where in _CUT)


def remove_link(nodes: Sequence[Node]) -> None:
    """Take away the namespaces, and with them the cable."""
    for node in nodes:
        run("ip", "netns", "delete", node.namespace, check=False)


def _drops(node: Node, table: str, chain: str, side: str) -> bool:
    return succeeds(*_rule(node, table, "-C", chain, side))


def _rule(node: Node, table: str, action: str, chain: str, side: str) -> Sequence[str]:
    words = ("iptables", "-w", "-t", table, action, chain, side, INTERFACE, "-j", "DROP")
    return in_namespace(node.namespace, *words)

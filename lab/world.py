"""The world outside the lab: a network namespace that both nodes reach, and that answers for every address.

A bridge joins the nodes and this machine, which gets the network's own route and no other. The nodes' default route
leads here, so that what tries to leave a node does leave it, and arrives: a TCP connection to whatever address and
port is taken by `lab.sinks`, which writes down who came.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping, Sequence
from typing import Final

from lab import processes
from lab.images.outside import HOSTS
from lab.link import PUBLIC_ADDRESS
from lab.machine import LabError, in_namespace, run, succeeds
from lab.places import PREFIX, Node
from lab.resolver import names_file
from settings.model import BackupStore

NAMESPACE: Final = f"{PREFIX}-world"
INTERFACE: Final = "world0"
"""In each node."""
ROOT_INTERFACE: Final = "lab-world"
"""In this machine's own namespace, where the providers run."""
NETWORK: Final = ipaddress.IPv4Network("198.51.100.0/24")
"""Addresses that documents use and nobody has."""

GATEWAY: Final = "198.51.100.1"
NODES: Final = {"thanos": "198.51.100.11", "oracle1": "198.51.100.12"}
ROOT: Final = "198.51.100.254"
S3: Final = "198.51.100.20"
APIS: Final = "198.51.100.21"
SINKS: Final = "198.51.100.22"
AWS: Final = "198.51.100.23"
"""The stand-in for what the S3 server does not do."""
AWS_URL: Final = f"http://{AWS}"

STRAYS: Final = 9
"""The gateway's port where all TCP arrives that was meant for an address of nobody here."""
DOMAIN: Final = "oracle1.example.com"
SMTP_HOST: Final = "smtp.example.com"
WEBHOOK_HOST: Final = "hooks.example.com"
STORE: Final = BackupStore()

_MTU: Final = "1500"
_BRIDGE: Final = "outside"


def names() -> Mapping[str, str]:
    """The names of the world and their addresses."""
    return {
        **dict.fromkeys(HOSTS, APIS),
        **{STORE.host(node): S3 for node in NODES},
        SMTP_HOST: SINKS,
        WEBHOOK_HOST: SINKS,
        DOMAIN: PUBLIC_ADDRESS,
    }


def make_world(nodes: Sequence[Node]) -> None:
    """Make namespace, bridge and cables, or what is missing of them, and tell the nodes' resolvers the names."""
    _refuse_taken()
    if not succeeds("ip", "netns", "exec", NAMESPACE, "true"):
        # One that was only half made cannot be entered; its name is in the way.
        run("ip", "netns", "delete", NAMESPACE, check=False)
        run("ip", "netns", "add", NAMESPACE)
    _make_inside()
    for node in nodes:
        _join(node.name, INTERFACE, NODES[node.name], ("-n", node.namespace))
        run("ip", "-n", node.namespace, "route", "replace", "default", "via", GATEWAY, "dev", INTERFACE)
    _join("root", ROOT_INTERFACE, ROOT)
    _lead_to_edge(nodes)
    for node in nodes:
        _write_names(node)


def remove_world(nodes: Sequence[Node]) -> None:
    """Take the namespace away, and with it the bridge and every server in it."""
    processes.kill([int(pid) for pid in run("ip", "netns", "pids", NAMESPACE, check=False).split()])
    run("ip", "link", "delete", ROOT_INTERFACE, check=False)
    for node in nodes:
        run("ip", "-n", node.namespace, "link", "delete", INTERFACE, check=False)
        names_file(node).unlink(missing_ok=True)
    run("ip", "netns", "delete", NAMESPACE, check=False)


def _refuse_taken() -> None:
    for route in json.loads(run("ip", "-json", "-4", "route", "show") or "[]"):
        if route["dst"] == "default" or route.get("dev") == ROOT_INTERFACE:
            continue
        if NETWORK.overlaps(ipaddress.IPv4Network(route["dst"])):
            raise LabError(
                f"this machine has a route to {route['dst']} already, through {route.get('dev', 'no interface')}; "
                f"the lab needs {NETWORK} for the world outside"
            )


def _make_inside() -> None:
    """Bridge, addresses, and an answer for every other address."""
    settings = ("net.ipv4.ip_forward=0", "net.ipv4.ip_nonlocal_bind=1")
    run(*in_namespace(NAMESPACE, "sysctl", "-q", "-w", *settings))
    # Where the kernel shows a bridge's packets to iptables, those between the nodes would be turned to the gateway.
    run(*in_namespace(NAMESPACE, "sysctl", "-e", "-q", "-w", "net.bridge.bridge-nf-call-iptables=0"))
    inside = ("ip", "-n", NAMESPACE)
    run(*inside, "link", "set", "lo", "up")
    if not succeeds(*inside, "link", "show", _BRIDGE):
        run(*inside, "link", "add", _BRIDGE, "mtu", _MTU, "type", "bridge")
    run(*inside, "link", "set", _BRIDGE, "up")
    run(*inside, "address", "replace", f"{GATEWAY}/{NETWORK.prefixlen}", "dev", _BRIDGE)
    for address in (S3, APIS, SINKS, AWS):
        run(*inside, "address", "replace", f"{address}/32", "dev", _BRIDGE)
    run(*inside, "route", "replace", "local", "0.0.0.0/0", "dev", "lo", "table", "main")
    if not succeeds(*_stray_rule("-C")):
        run(*_stray_rule("-A"))


def _stray_rule(action: str) -> Sequence[str]:
    meant = ("PREROUTING", "-p", "tcp", "!", "-d", str(NETWORK))
    words = ("iptables", "-w", "-t", "nat", action, *meant, "-j", "DNAT", "--to-destination", f"{GATEWAY}:{STRAYS}")
    return in_namespace(NAMESPACE, *words)


def _join(name: str, interface: str, address: str, place: Sequence[str] = ()) -> None:
    """A cable to the bridge, where its end has the name of who is at the other one; `place` are words for `ip`."""
    there, inside = ("ip", *place), ("ip", "-n", NAMESPACE)
    ends = ((*there, "link", "show", interface), (*inside, "link", "show", name))
    if not all(succeeds(*end) for end in ends):
        run(*there, "link", "delete", interface, check=False)
        run(*inside, "link", "delete", name, check=False)
        run(
            *(*there, "link", "add", interface, "mtu", _MTU, "type", "veth"),
            *("peer", "name", name, "netns", NAMESPACE, "mtu", _MTU),
        )
    run(*inside, "link", "set", name, "master", _BRIDGE, "up")
    run(*there, "address", "replace", f"{address}/{NETWORK.prefixlen}", "dev", interface)
    run(*there, "link", "set", interface, "up")


def _lead_to_edge(nodes: Sequence[Node]) -> None:
    """The public address is the control node's, for the others too: over the bridge, as over the internet."""
    edge = next(node for node in nodes if node.role == "control")
    for node in nodes:
        if node != edge:
            way = (f"{PUBLIC_ADDRESS}/32", "via", NODES[edge.name], "dev", INTERFACE)
            run("ip", "-n", node.namespace, "route", "replace", *way)


def _write_names(node: Node) -> None:
    """All at once: the resolver reads them anew for each question."""
    file = names_file(node)
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(".part")
    unfinished.write_text(json.dumps(names(), indent=2))
    unfinished.rename(file)

"""Who listens where: gateways alone, on the tailnet address, and the edge on the public one."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network, ip_address
from typing import Any, Final

from policies.labels import gateway_nodes
from policies.subject import CONTAINER, GATEWAY_PART, PREFLIGHT, subject
from policies.values import Props, finding, listed, show, whole
from topology.catalog import SERVICES

_TAILNET: Final = IPv4Network("100.64.0.0/10")


def published_ports(type_: str, props: Props) -> Iterator[str]:
    """Published ports bind an address, the node's tailnet one; other containers publish none."""
    if type_ != CONTAINER:
        return
    it = subject(props)
    if props.get("publishAllPorts") not in (None, False):
        yield finding(it.name, "publish_all_ports is set", "leave it out and name each port with its address")
    ports = listed(props, "ports")
    if ports and it.part not in (GATEWAY_PART, PREFLIGHT):
        yield finding(
            it.name, f"it publishes {_numbers(ports)}", "let the node's gateway publish the service; take ports out"
        )
        return
    nodes = {node.name: node for node in gateway_nodes(props)}
    node = nodes.get(it.node)
    public = {
        service.public_port
        for service in SERVICES
        if it.part == GATEWAY_PART and (node is None or service.role in (None, node.role))
    }
    for port in ports:
        address, number = port.get("ip"), whole(port.get("external"))
        if not isinstance(address, str) or not address:
            yield finding(
                it.name,
                f"port {_numbers([port])} is published on every address (ip is {show(address)})",
                "set ip to the node's tailnet address",
            )
        elif number is not None and number in public:
            continue
        elif not _on_tailnet(address):
            yield finding(
                it.name,
                f"port {_numbers([port])} is published on {address}, which is not of the tailnet ({_TAILNET})",
                "set ip to the node's tailnet address; only the topology's public_port may be public",
            )
        elif node is not None and address != node.address:
            yield finding(
                it.name,
                f"port {_numbers([port])} is published on {address}, but {it.node} has {node.address}",
                "set ip to the node's own tailnet address",
            )


def _numbers(ports: list[Any]) -> str:
    return ", ".join(show(port.get("external")) for port in ports)


def _on_tailnet(address: str) -> bool:
    try:
        return ip_address(address) in _TAILNET
    except ValueError:
        return False

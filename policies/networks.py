"""Networks shut off from the host and the world, and who may be on which."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from policies.subject import APP, CONTAINER, GATEWAY_PART, LOADER, PREFIX, PREFLIGHT, PROXY, Subject, subject
from policies.values import Props, Resource, finding, listed, pairs, show

NETWORK: Final = "docker:index/network:Network"
LABEL: Final = PREFIX + "network"

POD: Final = "pod"
MESH: Final = "mesh"
OUTSIDE: Final = "outside"
PREFLIGHT_NETWORK: Final = "preflight"
KINDS: Final = (POD, MESH, OUTSIDE, PREFLIGHT_NETWORK)

# Without it the bridge has an address on the network, and by it a container reaches listeners on the host.
INHIBIT: Final = "com.docker.network.bridge.inhibit_ipv4"

_PLACES: Final[Mapping[str, frozenset[str]]] = {
    APP: frozenset({POD}),
    PROXY: frozenset({POD, MESH}),
    GATEWAY_PART: frozenset({MESH, OUTSIDE}),
    PREFLIGHT: frozenset({PREFLIGHT_NETWORK}),
    LOADER: frozenset(),
}
_NO_RESOLVER: Final = ["127.0.0.1"]


def internal_networks(type_: str, props: Props) -> Iterator[str]:
    """Internal, with the topology's subnet and without an address of the host on it."""
    if type_ != NETWORK:
        return
    name = show(props.get("name"))
    kind = pairs(props, "labels").get(LABEL)
    if kind not in KINDS:
        yield finding(name, f"label {LABEL} is {show(kind)}", f"give it one of {', '.join(KINDS)}")
    if props.get("driver") not in (None, "bridge"):
        yield finding(name, f"its driver is {show(props.get('driver'))}", "use a bridge: it never leaves the node")
    subnets = [config.get("subnet") for config in listed(props, "ipamConfigs")]
    if not subnets or not all(isinstance(subnet, str) and "/" in subnet for subnet in subnets):
        yield finding(name, "it has no explicit subnet", "give it its subnet from topology/network.py")
    if kind in (OUTSIDE, PREFLIGHT_NETWORK):
        return  # the first leads outside by its purpose, the second must be able to publish on the tailnet address
    if props.get("internal") is not True:
        yield finding(
            name,
            f"internal is {show(props.get('internal'))}: its containers reach the world past the gateway",
            f"set internal=True; only the gateway's network, labelled {OUTSIDE}, leads out",
        )
    if (props.get("options") or {}).get(INHIBIT) != "true":
        yield finding(
            name,
            "its containers reach listeners on the host by the bridge's address",
            f'set options={{"{INHIBIT}": "true"}}',
        )
    if props.get("ipv6") not in (None, False):
        yield finding(name, "with IPv6 the bridge has an address again", "leave ipv6 out")


def no_outside_resolver(type_: str, props: Props) -> Iterator[str]:
    """No DNS but the node's own names: through the host's resolver data could leave an internal network."""
    if type_ != CONTAINER:
        return
    it = subject(props)
    if it.part in (LOADER, GATEWAY_PART, PREFLIGHT):
        return
    if listed(props, "dns") != _NO_RESOLVER:
        yield finding(
            it.name,
            f"dns is {show(props.get('dns'))}: Docker would ask the host's resolver for it",
            f"set dns={_NO_RESOLVER}; names of the mesh come by hosts entries",
        )


def right_networks(resources: Sequence[Resource]) -> Iterator[tuple[str, str]]:
    """Apps are on their own pod's network alone, proxies on that and the mesh, gateways on the mesh and outside."""
    kinds = network_kinds(resources)
    owners: dict[str, Subject] = {}
    for resource in resources:
        if resource.type != CONTAINER:
            continue
        it = subject(resource.props)
        allowed = _PLACES.get(it.part, frozenset())
        joined = [entry.get("name") for entry in listed(resource.props, "networksAdvanced")]
        # Absent and not known look the same here. A loader has none, which its own rule checks.
        if it.part != LOADER and not any(isinstance(name, str) for name in joined):
            fix = "join networks by networks_advanced, by the plain name of a network of this stack"
            yield resource.urn, finding(it.name, "it is on Docker's default bridge, which leads outside", fix)
            continue
        for name in joined:
            if isinstance(name, str):
                yield from ((resource.urn, message) for message in _joins(it, name, kinds.get(name), allowed, owners))


def _joins(
    it: Subject, network: str, kind: str | None, allowed: frozenset[str], owners: dict[str, Subject]
) -> Iterator[str]:
    """One container on one network."""
    if kind is None:
        yield finding(it.name, f"network {network} is none of this stack's", f"make it here, labelled {LABEL}")
    elif kind not in allowed:
        yield finding(
            it.name,
            f"it is a container of part {it.part or 'unknown'} on network {network}, of kind {kind}",
            f"join only {' and '.join(sorted(allowed)) or 'none'}; the gateway is the one way outside",
        )
    elif kind == POD:
        owner = owners.setdefault(network, it)
        if (owner.service, owner.node) != (it.service, it.node):
            yield finding(
                it.name,
                f"network {network} is the pod of {owner.service}, so {it.service} would pass its proxy by",
                "give each service a pod network of its own and let the proxies talk",
            )


def network_kinds(resources: Sequence[Resource]) -> dict[str, str]:
    """Network name -> kind, of the stack's networks."""
    labels: dict[str, Any] = {
        resource.props["name"]: pairs(resource.props, "labels").get(LABEL)
        for resource in resources
        if resource.type == NETWORK and isinstance(resource.props.get("name"), str)
    }
    return {name: kind for name, kind in labels.items() if isinstance(kind, str)}

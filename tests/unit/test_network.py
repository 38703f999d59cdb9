"""Addresses: one for each pod, none twice, none that moves when a service is added."""

from ipaddress import IPv4Address, IPv4Network, ip_address, ip_network
from itertools import pairwise

import pytest

from tests.unit.samples import NETWORKS
from topology.catalog import SERVICES
from topology.network import MAX_SLOT, NodeNetworks

SHARED = (NETWORKS.mesh_subnet, NETWORKS.outside_subnet, NETWORKS.preflight_subnet)
ALL = [NETWORKS.pod(slot) for slot in range(1, MAX_SLOT + 1)]


def test_no_two_networks_overlap_and_all_lie_in_the_range() -> None:
    networks = [IPv4Network(subnet) for subnet in (*SHARED, *(pod.subnet for pod in ALL))]
    assert all(network.subnet_of(NETWORKS.base) for network in networks)
    networks.sort(key=lambda network: int(network.network_address))
    for one, after in pairwise(networks):
        assert not one.overlaps(after), (one, after)


def test_no_address_is_given_twice() -> None:
    addresses = [address for pod in ALL for address in (pod.app, pod.sidecar, pod.mesh)]
    addresses += [NETWORKS.gateway_mesh, NETWORKS.gateway_outside]
    assert len(set(addresses)) == len(addresses)


def test_addresses_lie_in_their_network_and_off_its_ends() -> None:
    """The first host address is the bridge's own."""
    for pod in ALL:
        for address in (pod.app, pod.sidecar):
            assert _usable(address, pod.subnet), pod
        assert _usable(pod.mesh, NETWORKS.mesh_subnet), pod
    assert _usable(NETWORKS.gateway_mesh, NETWORKS.mesh_subnet)
    assert _usable(NETWORKS.gateway_outside, NETWORKS.outside_subnet)


def _usable(address: str, subnet: str) -> bool:
    network = IPv4Network(subnet)
    ends = (network.network_address, network.network_address + 1, network.broadcast_address)
    return IPv4Address(address) in network and IPv4Address(address) not in ends


def test_a_pod_of_two_has_room_for_two() -> None:
    assert {ip_network(pod.subnet).prefixlen for pod in ALL} == {29}


def test_these_addresses_are_those_of_running_nodes_and_must_not_move() -> None:
    """A changed layout replaces every network of a node, and with it every container."""
    pod = NETWORKS.pod(1)
    assert (pod.subnet, pod.app, pod.sidecar, pod.mesh) == (
        "10.231.0.8/29",
        "10.231.0.10",
        "10.231.0.11",
        "10.231.16.11",
    )
    assert NETWORKS.pod(53).mesh == "10.231.16.63"
    assert (NETWORKS.gateway_mesh, NETWORKS.gateway_outside) == ("10.231.16.2", "10.231.17.2")
    assert SHARED == ("10.231.16.0/24", "10.231.17.0/24", "10.231.18.0/24")


def test_these_slots_are_given_away_for_good() -> None:
    """A slot is an address; a service keeps its own, whatever comes and goes around it."""
    slots = {s.name: s.slot for s in SERVICES}
    assert len(set(slots.values())) == len(slots)
    known = {"vllm": 1, "qdrant": 2, "ocr": 8, "edge": 20, "kong": 22, "redis": 29, "victorialogs": 40, "backup": 53}
    assert known.items() <= slots.items()
    assert 37 not in slots.values(), "Loki's, which is gone"


def test_another_range_moves_everything() -> None:
    other = NodeNetworks(base=IPv4Network("172.28.0.0/16"))
    assert other.pod(1).app == "172.28.0.10"
    assert all(ip_address(p.mesh) in ip_network("172.28.16.0/24") for p in (other.pod(1), other.pod(MAX_SLOT)))


@pytest.mark.parametrize("slot", [0, -1, MAX_SLOT + 1])
def test_slots_end_where_the_addresses_do(slot: int) -> None:
    with pytest.raises(ValueError, match=f"slot {slot} is outside 1 to {MAX_SLOT}"):
        NETWORKS.pod(slot)

"""A table that contradicts itself is refused, with the row and the fix in the message."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.samples import NODES
from topology.catalog import SERVICES
from topology.graph import Graph, GraphError, check_ports, start_order, with_egress, with_ports
from topology.model import Call, Port, Probe, Protocol, Service
from topology.network import EGRESS_PORT, MAX_SLOT, METRICS_PORT


def service(name: str, slot: int, **changes: Any) -> Service:
    least = Service(
        name=name,
        slot=slot,
        role="gpu",
        purpose="",
        resource="CPU",
        image="kong",
        probe=Probe(port=1),
        memory_mib=1,
        cpus=1,
        user="1:1",
    )
    return replace(least, **changes)


def listening(name: str, slot: int, *numbers: int, **changes: Any) -> Service:
    ports = tuple(Port(number=number, name=f"p{number}") for number in numbers)
    return service(name, slot, ports=ports, **changes)


CALLEE = service("callee", 1, ports=(Port(number=80),))
TCP = service("tcp", 3, role="control", ports=(Port(number=80, protocol=Protocol.TCP),))
CASES: dict[str, tuple[tuple[Service, ...], str]] = {
    "one name twice": ((CALLEE, replace(CALLEE, slot=2)), "two services are named 'callee'"),
    "the gateway's name": ((service("gateway", 1),), "'gateway' is the node gateway's name"),
    "one slot twice": ((CALLEE, service("other", 1)), "'callee' and 'other' share slot 1; give the new one"),
    "slot nought": ((service("low", 0),), f"'low': slot must be 1 to {MAX_SLOT}"),
    "slot too high": ((service("high", MAX_SLOT + 1),), f"'high': slot must be 1 to {MAX_SLOT}"),
    "unknown callee": ((service("a", 1, calls=(Call(to="b"),)),), "'a' calls unknown service 'b'"),
    "unknown fallback": (
        (CALLEE, service("a", 2, calls=(Call(to="callee", fallback="b"),))),
        "'a' calls unknown service 'b'",
    ),
    "unknown port": (
        (CALLEE, service("a", 2, calls=(Call(to="callee", port="x"),))),
        "'a' calls port 'x' of 'callee', which has api",
    ),
    "port of one that has none": (
        (service("mute", 1), service("a", 2, calls=(Call(to="mute"),))),
        "'a' calls port 'api' of 'mute', which has none",
    ),
    "fallback without the port": (
        (CALLEE, service("mute", 2), service("a", 3, calls=(Call(to="callee", fallback="mute"),))),
        "'a' calls port 'api' of 'mute'",
    ),
    "a route in small letters": (
        (service("a", 1, ports=(Port(number=1, routes=("get /v1/",)),)),),
        "'a': 'get /v1/' is no route; write it like",
    ),
    "a route without a path": (
        (CALLEE, service("a", 2, calls=(Call(to="callee", routes=("POST",)),))),
        "'a': 'POST' is no route; write it like",
    ),
    "itself": ((replace(CALLEE, calls=(Call(to="callee"),)),), "'callee' calls itself"),
    "two callees on a port, one TCP": (
        (CALLEE, TCP, service("a", 2, calls=(Call(to="callee"), Call(to="tcp")))),
        "'a' calls 'callee' and 'tcp' on port 80, one of them TCP",
    ),
    "two callees on a port, the first TCP": (
        (CALLEE, TCP, service("a", 2, calls=(Call(to="tcp"), Call(to="callee")))),
        "'a' calls 'tcp' and 'callee' on port 80, one of them TCP",
    ),
    "one port twice on a node": (
        (listening("a", 1, 80), listening("b", 2, 80)),
        "'a' and 'b' both have port 80 on gpu",
    ),
    "one port twice in a service": ((listening("a", 1, 80, 80),), "'a' and 'a' both have port 80"),
    "one port twice, one of them everywhere": (
        (listening("a", 1, 80, role="control"), listening("b", 2, 80, role=None)),
        "'a' and 'b' both have port 80 on control",
    ),
    "the metrics port": ((listening("a", 1, METRICS_PORT),), f"'metrics' and 'a' both have port {METRICS_PORT}"),
    "the egress port": ((listening("a", 1, EGRESS_PORT),), f"'egress' and 'a' both have port {EGRESS_PORT}"),
    "a circle": (
        (
            service("a", 1, ports=(Port(number=1),), calls=(Call(to="b"),)),
            service("b", 2, ports=(Port(number=2),), calls=(Call(to="a"),)),
        ),
        "services call each other in a circle: [ab] -> [ab] -> [ab]",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_table_that_contradicts_itself(case: str) -> None:
    services, message = CASES[case]
    with pytest.raises(GraphError, match=message):
        Graph(services, NODES)


def test_the_same_port_on_nodes_of_different_roles_is_fine() -> None:
    Graph((listening("a", 1, 80), listening("b", 2, 80, role="control")), NODES)


def test_http_callees_share_a_port() -> None:
    other = service("other", 3, role="control", ports=(Port(number=80),))
    graph = Graph((CALLEE, other, service("a", 2, calls=(Call(to="callee"), Call(to="other")))), NODES)
    assert graph.callers("other") == ("a",)


def test_two_calls_of_one_tcp_callee_are_fine() -> None:
    Graph((TCP, service("a", 2, calls=(Call(to="tcp"), Call(to="tcp", routes=("/x",))))), NODES)


def test_peers_may_call_each_other() -> None:
    a = service("a", 1, ports=(Port(number=1),), calls=(Call(to="b", peer=True),))
    b = service("b", 2, ports=(Port(number=2),), calls=(Call(to="a", peer=True),))
    assert set(start_order((a, b))) == {"a", "b"}


def test_a_published_port_clashes_with_another_service() -> None:
    with pytest.raises(GraphError, match="'vllm' and 'embeddings' both have port 8000"):
        check_ports(with_ports(SERVICES, {"embeddings": 8000}))
    with pytest.raises(GraphError, match=f"'metrics' and 'vllm' both have port {METRICS_PORT}"):
        check_ports(with_ports(SERVICES, {"vllm": METRICS_PORT}))


def test_a_published_port_of_another_role_s_node_is_free() -> None:
    check_ports(with_ports(SERVICES, {"vllm": 5678}))


def test_an_unknown_group_of_outside_hosts() -> None:
    with pytest.raises(GraphError, match="'vllm': unknown egress group '@model-hub'; known: n8n"):
        with_egress(SERVICES, {"n8n": ()})

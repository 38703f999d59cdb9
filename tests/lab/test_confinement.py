"""What an app, a proxy or a container beside the mesh can reach past the proxies: nothing.

Each is tried beside the same attempt from where it passes, so that none is refused because nobody is there.
"""

import contextlib
import json
import secrets
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from ipaddress import IPv4Network
from typing import Any

import pytest

from components.platform.preflight import PORT as PREFLIGHT
from lab import world
from lab.machine import in_namespace
from tests.lab.attacker import (
    OPERATOR_NAME,
    Attempt,
    Ear,
    Place,
    Scene,
    as_a_stranger,
    attacker,
    each,
    encoded,
    everyone,
    graph,
    http,
    in_parallel,
    inside,
    inside_of,
    listening,
    networks,
    on_node,
    pods,
    scene_of,
    shut,
)
from tests.lab.mesh import Mesh
from topology.egress import Outside, outside
from topology.graph import GATEWAY, METRICS
from topology.model import Instance, Service
from topology.network import EGRESS_PORT, FORWARD_PORT, METRICS_PORT

pytestmark = [pytest.mark.lab, pytest.mark.engine, pytest.mark.rehearsal]

NODES = ("thanos", "oracle1")
nodes = pytest.mark.parametrize("node", NODES)
NOBODY = "192.0.2.77"
"""An address of the world: whoever gets out to it is answered, and written down."""
WORLD = "the world outside"
HOST_SERVICE = """
import socket
server = socket.create_server(("0.0.0.0", 0))
print(server.getsockname()[1], flush=True)
while True:
    connection, _ = server.accept()
    connection.sendall(b"the host")
    connection.close()
"""
ADMIN, HEALTH = 9901, 9902
PATIENCE = 2
"""Seconds for what has no way at all: what has one is there at once."""


@pytest.fixture(scope="module")
def scene(platform: Mesh) -> Iterator[Scene]:
    with scene_of(platform) as made:
        yield made


def app_ports(service: Service) -> list[int]:
    """Where the app listens on its pod's network."""
    found = {service.probe.port, *(port.app_port for port in service.ports)}
    return sorted(found | ({service.metrics.port} if service.metrics else set()))


@nodes
def test_an_app_s_own_port_is_reached_by_its_proxy_alone(mesh: Mesh, scene: Scene, node: str) -> None:
    """From the inner network, from another pod, and from a container beside the mesh."""
    place = networks(mesh, node)
    targets = [(s, number) for s in pods(mesh, node) for number in app_ports(s)]
    tries = [Attempt(address=place.pod(s.slot).app, port=number, seconds=PATIENCE) for s, number in targets]
    speaking = [replace(attempt, send=http("/")) for attempt in tries]
    names = [f"{service.name}:{number}" for service, number in targets]
    # The log shipper's and the backup's own are the first and the last of these that they could reach.
    others = [n for n, s in enumerate(targets) if s[0].name != "node-exporter"]
    each(names, scene.at(node, tries), lambda o: o.end == "unreachable")
    pod = inside(mesh, node, "node-exporter")
    each([names[n] for n in others], pod.tries([tries[n] for n in others]), lambda o: o.end == "unreachable")
    with attacker(mesh, node, "bridge") as beside:
        # The node passes it on by its default route: it leaves for the world, and no app of the node has it.
        each(names, beside.tries(speaking), lambda o: o.end in ("unreachable", "silent") or WORLD in o.data)
    work = []
    for service in pods(mesh, node):
        own = [replace(t, seconds=1) for t, (s, _) in zip(tries, targets, strict=True) if s == service]
        work.append(partial(inside(mesh, node, f"{service.name}-proxy").tries, own))
    reached = [outcome for outcomes in in_parallel(work) for outcome in outcomes]
    each(names, reached, lambda o: o.end in ("silent", "data", "closed"))


def test_a_proxy_forwards_nothing_that_is_not_addressed_to_it(mesh: Mesh) -> None:
    """An attacker with rights over its own network sends the packets for an app to the app's proxy, and to the gateway
    those for the world."""
    place = networks(mesh, "oracle1")
    redis = place.pod(graph(mesh, "oracle1").service("redis").slot)
    # A host that runs Docker forwards, and hands that on to new network namespaces; the lab's machine need not.
    for container in [f"{service.name}-proxy" for service in pods(mesh, "oracle1")] + [GATEWAY]:
        setting = subprocess.run(
            [*inside_of(mesh, "oracle1", container), "cat", "/proc/sys/net/ipv4/ip_forward"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert setting.stdout.strip() == "0", f"{container} forwards"
    routes = [(redis.subnet, redis.mesh), (f"{NOBODY}/32", place.gateway_mesh)]
    with attacker(mesh, "oracle1", "agentic-mesh", routes) as there:
        tries = [
            Attempt(address=redis.app, port=6379, send=encoded("PING\r\n"), seconds=PATIENCE),
            Attempt(address=NOBODY, port=80, send=http("/"), seconds=PATIENCE),
        ]
        each(["app", "world"], there.tries(tries), lambda o: o.end == "unreachable")


def listeners(prefix: Iterable[str]) -> list[tuple[str, int]]:
    """Addresses and ports on which something in a network listens."""
    done = subprocess.run(
        [*prefix, "ss", "--listening", "--tcp", "--numeric", "--no-header"], capture_output=True, text=True, check=True
    )
    found = [line.split()[3].rpartition(":") for line in done.stdout.splitlines()]
    return [(address.strip("[]"), int(port)) for address, _, port in found]


def allowed_ports(mesh: Mesh, instance: Instance) -> set[int]:
    """What the graph lets an app dial at its proxy."""
    plan = graph(mesh, instance.node)
    ports = {plan.service(call.to).port(call.port).number for call in plan.calls(instance)}
    ports |= {edge.number for edge in plan.outbound(instance) if edge.port == METRICS}
    service = plan.service(instance.service)
    return ports | {outside(entry).port for entry in service.egress} | ({FORWARD_PORT} if service.proxied else set())


@nodes
def test_an_app_reaches_what_it_may_call_and_nothing_else_of_its_proxy(mesh: Mesh, node: str) -> None:
    """Neither the proxy's admin interface, nor its doors, nor its health."""
    place = networks(mesh, node)

    def look(service: Service) -> str:
        proxy, pod = f"{service.name}-proxy", place.pod(service.slot)
        numbers = sorted({port for _, port in listeners(inside_of(mesh, node, proxy))} | {ADMIN, HEALTH})
        assert METRICS_PORT in numbers
        tries = [Attempt(address=pod.sidecar, port=number, seconds=PATIENCE) for number in numbers]
        tries += [Attempt(address=pod.mesh, port=number, seconds=PATIENCE) for number in numbers]
        tries += [Attempt(address="127.0.0.1", port=number, seconds=PATIENCE) for number in (ADMIN, HEALTH)]
        outcomes = inside(mesh, node, service.name).tries(tries)
        open_ = {(t.address, t.port) for t, o in zip(tries, outcomes, strict=True) if o.end != "unreachable"}
        wanted = {(pod.sidecar, number) for number in allowed_ports(mesh, Instance(service.name, node))}
        return "" if open_ == wanted else f"{service.name}: {sorted(open_ ^ wanted)}"

    wrong = in_parallel([partial(look, service) for service in pods(mesh, node)])
    assert not any(wrong), "\n".join(filter(None, wrong))
    for service in pods(mesh, node):
        own = Attempt(address="127.0.0.1", port=ADMIN, send=http("/ready"), to_the_end=True)
        assert "LIVE" in inside(mesh, node, f"{service.name}-proxy").one(own).data, service.name


# The host.


def addresses(mesh: Mesh, node: str) -> list[str]:
    """All that a node has, but its loopback's."""
    found = json.loads(mesh.on_node(node, "ip", "-json", "-4", "address", "show").stdout)
    every = [entry["local"] for interface in found for entry in interface["addr_info"]]
    return [address for address in every if not address.startswith("127.")]


@contextlib.contextmanager
def host_service(mesh: Mesh, node: str) -> Iterator[int]:
    """Something that listens on every address of a node, as a host's SSH does; its port."""
    command = in_namespace(mesh.node(node).namespace, sys.executable, "-c", HOST_SERVICE)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield int(server.stdout.readline())
        finally:
            server.kill()


@nodes
def test_a_pod_reaches_no_listener_of_the_host(mesh: Mesh, scene: Scene, node: str) -> None:
    """By no address: of its bridges, the tailnet, the public one; nor the host's end of the pod's own network."""
    place, tailnet = networks(mesh, node), graph(mesh, node).node(node).address
    other = next(n for n in graph(mesh, node).nodes if n.name != node)
    with host_service(mesh, node) as port:
        mine = addresses(mesh, node)
        heard = listeners(in_namespace(mesh.node(node).namespace))
        of_host = [(a, p) for a, p in heard if a in mine] + [(address, port) for address in mine]
        assert {(tailnet, p) for p in graph(mesh, node).published(node)} <= set(of_host)
        tries = [Attempt(address=address, port=number, seconds=PATIENCE) for address, number in of_host]
        question = {"port": 53, "udp": True, "send": encoded(dns_question("api.anthropic.com")), "seconds": PATIENCE}
        ask = Attempt(address=tailnet, **question)
        names = [f"{address}:{number}" for address, number in of_host]
        here = on_node(mesh, node).tries(tries)
        # The preflight's probe has gone, Docker's end of it has not.
        closed = {name for name, o in zip(names, here, strict=True) if o.end == "unreachable"}
        assert closed <= {f"{tailnet}:{PREFLIGHT}"}
        assert on_node(mesh, node).one(ask).end == "data"
        # Another node's doors are not the pods' to knock at either: their gateway does that.
        tries += [
            Attempt(address=other.address, port=p, seconds=PATIENCE) for p in graph(mesh, node).published(other.name)
        ]
        names += [f"{attempt.address}:{attempt.port}" for attempt in tries[len(names) :]]

        def look(place_to_try: Place, bridge: str) -> str:
            own = [Attempt(address=bridge, port=port, seconds=PATIENCE), replace(ask, address=bridge)]
            outcomes = place_to_try.tries([*tries, ask, *own])
            return " ".join(
                f"{name}:{o.end}"
                for name, o in zip([*names, "DNS", f"{bridge}:{port}", f"{bridge}:DNS"], outcomes, strict=True)
                if o.end not in ("unreachable", "silent") or (o.end == "silent" and not name.endswith("DNS"))
            )

        places = {"attacker": (scene.containers[node], place.mesh_subnet)}
        for service in pods(mesh, node):
            for container in (service.name, f"{service.name}-proxy"):
                places[container] = (inside(mesh, node, container), place.pod(service.slot).subnet)
        bridges = [(there, str(IPv4Network(subnet)[1])) for there, subnet in places.values()]
        reached = in_parallel([partial(look, *one) for one in bridges])
        found = [f"{name}: {text}" for name, text in zip(places, reached, strict=True) if text]
        assert not found, "\n".join(found)


def test_a_container_beside_the_mesh_finds_the_tailnet_address_shut(mesh: Mesh, scene: Scene) -> None:
    """One that somebody started by hand gets as far as the other node's gateway; only a certificate opens."""
    found = [door for door in scene.doors("thanos") if door.direct]
    at = {"address": graph(mesh, "oracle1").node("thanos").address}
    names = [door.name for door in found]
    with attacker(mesh, "oracle1", "bridge") as beside:
        for kind in ("plain HTTP", "", "other authority"):
            tries = [as_a_stranger(door, kind, port=door.tailnet, **at) for door in found]
            each(names, beside.tries(tries, scene.certificates), shut)
        tries = [door.attempt(Instance("n8n", "oracle1").identity, port=door.tailnet, **at) for door in found]
        each(names, beside.tries(tries, scene.certificates), lambda o: o.refused)
        allowed = [door.attempt(OPERATOR_NAME, port=door.tailnet, **at) for door in found]
        each(names, beside.tries(allowed, scene.certificates), lambda o: o.answered)


# The world.


def strays(mesh: Mesh) -> list[dict[str, Any]]:
    """Who got out to an address of nobody."""
    path = mesh.session.folder / "outside" / "strays.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def a_port() -> int:
    """One by which this test's strays are known."""
    return 20000 + secrets.randbelow(20000)


@nodes
def test_no_pod_reaches_an_outside_address(mesh: Mesh, scene: Scene, node: str) -> None:
    """Neither app nor proxy, with a list of outside hosts or without: by address there is no way."""
    port = a_port()
    tries = [
        Attempt(address=NOBODY, port=port, send=http("/"), seconds=PATIENCE),
        Attempt(address=NOBODY, port=443, hello="example.com", seconds=PATIENCE),
        Attempt(address=world.APIS, port=443, hello="api.anthropic.com", seconds=PATIENCE),
        Attempt(address=world.S3, port=443, hello="s3.example.com", seconds=PATIENCE),
        Attempt(address=world.GATEWAY, port=port, send=http("/"), seconds=PATIENCE),
        Attempt(address=NOBODY, port=53, udp=True, send=encoded(dns_question("example.com")), seconds=PATIENCE),
    ]
    own = on_node(mesh, node).tries(tries)
    assert [o.end for o in own[:4]] == ["data"] * 4, own
    assert own[5].end == "data"
    mine = [s for s in strays(mesh) if s["port"] == port]
    assert [(s["from"], s["to"]) for s in mine] == [(world.NODES[node], NOBODY)]
    before = sum(s["protocol"] == "udp" and s["to"] == NOBODY for s in strays(mesh))
    names, work = [], []
    for service in pods(mesh, node):
        for container in (service.name, f"{service.name}-proxy"):
            names.append(container)
            work.append(partial(inside(mesh, node, container).tries, tries))
    work.append(partial(scene.containers[node].tries, tries))
    for name, outcomes in zip([*names, "attacker"], in_parallel(work), strict=True):
        each([f"{name} {t.address}:{t.port}" for t in tries[:5]], outcomes[:5], lambda o: o.end == "unreachable")
        assert outcomes[5].end in ("unreachable", "silent"), name
    assert [s for s in strays(mesh) if s["port"] == port] == mine
    assert sum(s["protocol"] == "udp" and s["to"] == NOBODY for s in strays(mesh)) == before


def reachable(mesh: Mesh, node: str) -> Mapping[Outside, tuple[str, ...]]:
    """The outside hosts of the node's lists that the lab's world has, and who may reach them."""
    return {host: names for host, names in graph(mesh, node).egress(node).items() if host.host in world.names()}


@nodes
def test_a_pod_with_outside_hosts_reaches_no_other(mesh: Mesh, scene: Scene, node: str) -> None:
    """By no other name, nor without one, nor without TLS, at the proxy that leads to those of the list."""
    place, known = networks(mesh, node), reachable(mesh, node)
    assert known
    elsewhere = {
        "example.com",
        "api.anthropic.com.example.com",
        "smtp.example.com",
        "oracle1.agentic-mesh",
        *(h.host for h in known),
    }
    for service in pods(mesh, node):
        own = {outside(entry).host for entry in service.egress}
        if not own:
            continue
        pod, here = place.pod(service.slot), inside(mesh, node, service.name)
        at = {"address": pod.sidecar, "port": 443, "seconds": PATIENCE}
        tries = {f"{name}": Attempt(hello=name, **at) for name in sorted(elsewhere - own)}
        tries |= {f"*.{name}": Attempt(hello=f"x.{name}", **at) for name in sorted(own)}
        tries |= {
            "no name": Attempt(tls=True, send=http("/"), **at),
            "by address": Attempt(tls=True, server_name=world.APIS, send=http("/"), **at),
            "without TLS": Attempt(send=http("/", host=min(own)), **at),
            "CONNECT": Attempt(send=http("example.com:443", method="CONNECT", host="example.com:443"), **at),
        }
        each([f"{service.name}: {name}" for name in tries], here.tries(tries.values()), lambda o: o.end == "closed")
        for name in own & {host.host for host in known if host.port == 443}:
            passed = here.one(Attempt(hello=name, **at))
            assert passed.data.startswith("\x16"), f"{service.name}: {name}: {passed}"


@nodes
def test_the_forward_proxy_of_a_pod_leads_to_no_other_name(mesh: Mesh, scene: Scene, node: str) -> None:
    """Nor by another port or method, nor to an address; its names are not in the lab's world."""
    place, proxied = networks(mesh, node), [s for s in pods(mesh, node) if s.proxied]
    assert proxied
    asked = ["example.com:443", f"{world.APIS}:443", "hf.co.example.com:443", "huggingface.co:80", "oracle1:8081"]
    for service in proxied:
        at = {"address": place.pod(service.slot).sidecar, "port": FORWARD_PORT, "seconds": PATIENCE}
        here = inside(mesh, node, service.name)
        tries = [Attempt(send=http(name, method="CONNECT", host=name), **at) for name in asked]
        each([f"{service.name}: {n}" for n in asked], here.tries(tries), lambda o: o.data.startswith("HTTP/1.1 403"))
        assert here.one(Attempt(send=http("/", host="huggingface.co"), **at)).data.startswith("HTTP/1.1 404")


@nodes
def test_the_way_out_knows_who_may_go_where(mesh: Mesh, scene: Scene, node: str) -> None:
    """Each identity and each outside host at the gateway itself, past the caller's own proxy."""
    place, hosts = networks(mesh, node), graph(mesh, node).egress(node)
    known = reachable(mesh, node)
    at = {"address": place.gateway_mesh, "port": EGRESS_PORT, "tls": True, "seconds": 8}
    pairs = [(who, host) for who in everyone(mesh) for host in hosts]
    tries = [
        Attempt(server_name=host.sni, certificate=who.identity, hello=host.host, **at)
        for who, host in pairs
        if host in known or who.node != node or who.service not in hosts[host]
    ]
    pairs = [(w, h) for w, h in pairs if h in known or w.node != node or w.service not in hosts[h]]

    def may(who: Instance, host: Outside) -> bool:
        return who.node == node and who.service in hosts[host]

    wrong = [
        f"{who.host} -> {host.name}: {o}"
        for (who, host), o in zip(pairs, scene.at(node, tries), strict=True)
        if not (o.data.startswith("\x16") if may(who, host) else shut(o))
    ]
    assert not wrong, "\n".join(wrong[:20])
    assert any(may(*pair) for pair in pairs)
    # Nor does it take a name that is on nobody's list, or a stranger.
    name = min(known).sni
    first = Instance(known[min(known)][0], node).identity
    for server_name, certificate in (("example.com", first), ("", first), (name, ""), (name, "other authority")):
        outcome = scene.one(node, Attempt(server_name=server_name, certificate=certificate, hello="example.com", **at))
        assert shut(outcome), (server_name, certificate, outcome)


def dns_question(name: str) -> bytes:
    """Asks a name server for an address."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return secrets.token_bytes(2) + b"\1\0\0\1\0\0\0\0\0\0" + labels + b"\0\0\1\0\1"


@nodes
def test_nothing_leaves_by_a_question_for_a_name(mesh: Mesh, scene: Scene, node: str) -> None:
    """Docker's resolver in each container would pass on what it does not know; here nobody takes it."""
    marker = secrets.token_hex(8)
    tailnet = graph(mesh, node).node(node).address
    everywhere = in_namespace(mesh.node(node).namespace)

    def questions(*servers: str) -> list[Attempt]:
        asked = [f"{marker}.example.com", f"{marker}.anthropic.com"]
        at = {"port": 53, "udp": True, "seconds": 1}
        return [Attempt(address=server, send=encoded(dns_question(name)), **at) for server in servers for name in asked]

    with listening(marker, *everywhere) as ear:
        ask = partial(inside, mesh, node)
        work = [
            partial(ask(container).tries, questions("127.0.0.11", tailnet))
            for service in pods(mesh, node)
            for container in (service.name, f"{service.name}-proxy")
        ]
        work.append(partial(scene.containers[node].tries, questions("127.0.0.11", tailnet)))
        in_parallel(work)
        ear.stop()
    out = left(ear)
    assert not out, f"{len(out)} packets, the first by {out[0]['interface']}"
    # A container beside the mesh has a resolver that passes it on, and that is heard.
    with listening(marker, *everywhere) as ear, attacker(mesh, node, "bridge") as beside:
        beside.tries(questions(tailnet))
        ear.stop()
    assert left(ear)


def left(ear: Ear) -> list[dict[str, str]]:
    """Packets on the way out of a node, or to its own resolver."""
    return [packet for packet in ear.heard if packet["interface"] in ("lo", "docker0", "tailscale0", world.INTERFACE)]

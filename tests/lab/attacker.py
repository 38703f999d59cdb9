"""An attacker in the lab: places to try from, certificates of all kinds, and the doors of the mesh.

A place is a container of the attacker's own on some network, the inside of a container that is there, or a node
itself. `attempts.py` runs there and tells how each attempt ended.
"""

import base64
import contextlib
import json
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, Final

import yaml
from cryptography import x509

from engine.placeholders import PLACEHOLDERS
from lab.machine import in_namespace
from render.client_errors import FROM_ENVOY, NOT_SERVED, text
from settings.graph import planned_graph
from settings.load import load
from tests.lab.mesh import PREFIX, Mesh
from tests.lab.mint import Mint
from topology.graph import GATEWAY, METRICS, Graph
from topology.model import OPERATOR, TRUST_DOMAIN, Edge, Instance, Protocol, Service
from topology.network import METRICS_PORT, NodeNetworks
from topology.routes import route

SCRIPT: Final = Path(__file__).with_name("attempts.py").read_text()
NAME: Final = "lab-attacker"
INNER: Final = PREFIX
"""The inner network's name; the pods' are `agentic-mesh-pod-SERVICE`."""
OPERATOR_NAME: Final = f"spiffe://{TRUST_DOMAIN}/{OPERATOR}/ann"
STRANGER: Final = f"spiffe://{TRUST_DOMAIN}.example.com/oracle1/prometheus"
"""Of another trust domain."""
DENIED: Final = ("RBAC: access denied", f'"code":"{FROM_ENVOY[403].code}"')
"""Envoy's own words, and those that it has where a client's request can come to."""
NOT_SERVED_TO_KONG: Final = text(NOT_SERVED.openai())
"""On behalf of a client."""
PASSED_ON: Final = "x-envoy-upstream-service-time"
"""A header of Envoy's, with every answer that is not its own."""
AWAY: Final = ("upstream connect error", f'"code":"{FROM_ENVOY[503].code}"')
_FREE: Final = 0x1000 + 240


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One connection, and what to say on it."""

    address: str
    port: int
    tls: bool = False
    server_name: str = ""
    certificate: str = ""
    """The name of one that goes along; empty: none is shown."""
    alpn: tuple[str, ...] = ()
    client: str = ""
    """The client's address that a PROXY header ahead of everything tells."""
    send: str = ""
    """Base64."""
    hello: str = ""
    """Instead: the first words of a TLS client that looks for this name, inside whatever TLS there is."""
    drip: tuple[str, ...] = ()
    """What follows, piece by piece as long as nothing comes back."""
    every: float = 1
    to_the_end: bool = False
    """Read on after the first piece of the answer."""
    udp: bool = False
    seconds: float = 5


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How it ended.

    `unreachable`: no connection; `alert`: TLS was refused, by a word of its own; `closed`: the other side ended it
    without a word; `silent`: it said nothing until the time was over; `data`: it answered.
    """

    end: str
    why: str
    data: str
    server: str
    """The server's certificate: base64 of DER."""
    seconds: float

    @property
    def status(self) -> int:
        """Of an HTTP answer; 0 where it is none."""
        words = self.data.split(" ", 2)
        return int(words[1]) if self.data.startswith("HTTP/1.1 ") and words[1].isdigit() else 0

    @property
    def refused(self) -> bool:
        """By the proxy, once it knew who called: an error in its words, or the end of a connection that had TLS."""
        ended = self.end in ("closed", "alert") and bool(self.server)
        denied = self.status == 403 and any(word in self.data for word in DENIED)
        # Kong says the same of a path that it has no route for; then the proxy tells how long that took.
        unserved = self.status == 404 and self.data.endswith(NOT_SERVED_TO_KONG) and PASSED_ON not in self.data
        return denied or unserved or ended

    @property
    def answered(self) -> bool:
        """By what is behind the proxy."""
        return self.end == "data" and not self.refused and not any(word in self.data for word in AWAY)

    @property
    def server_identity(self) -> str:
        """Who answered."""
        certificate = x509.load_der_x509_certificate(base64.b64decode(self.server))
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return ", ".join(names.get_values_for_type(x509.UniformResourceIdentifier))


@dataclass(frozen=True)
class Place:
    """From where attempts are made."""

    command: tuple[str, ...]
    """Runs Python there."""

    def tries(
        self, attempts: Iterable[Attempt], certificates: Mapping[str, str] | None = None, seconds: float = 120
    ) -> list[Outcome]:
        """How each attempt ended, in their order."""
        listed = [asdict(attempt) for attempt in attempts]
        used = {attempt["certificate"] for attempt in listed} - {""}
        asked = {"certificates": {name: (certificates or {})[name] for name in used}, "attempts": listed}
        done = subprocess.run(
            [*self.command, "-c", SCRIPT],
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )
        assert done.returncode == 0, done.stderr
        return [Outcome(**found) for found in json.loads(done.stdout)]

    def one(self, attempt: Attempt, certificates: Mapping[str, str] | None = None) -> Outcome:
        """How one ended."""
        return self.tries([attempt], certificates)[0]


@contextlib.contextmanager
def attacker(mesh: Mesh, node: str, network: str = INNER, routes: Iterable[tuple[str, str]] = ()) -> Iterator[Place]:
    """A container of the attacker's own, gone afterwards; one of a killed test ends by itself.

    `routes`: (network, by which address), as one sets them who has rights over the container's own network.
    """
    client = mesh.docker(node)
    name = f"{NAME}-{secrets.token_hex(4)}"
    image = mesh.containers(node)[f"{PREFIX}-node-exporter"]["Image"]  # on each node, with all that Debian has
    client.create_container(
        image,
        entrypoint=["sleep", "1800"],
        name=name,
        user="0:0",
        host_config=client.create_host_config(network_mode=network, init=True, mem_limit="256m", auto_remove=True),
        networking_config=client.create_networking_config(
            {INNER: client.create_endpoint_config(ipv4_address=_free_address(mesh, node))} if network == INNER else {}
        ),
    )
    try:
        client.start(name)
        pid = client.inspect_container(name)["State"]["Pid"]
        for to, via in routes:
            command = ("nsenter", f"--target={pid}", "--net", "ip", "route", "add", to, "via", via)
            subprocess.run(command, check=True, capture_output=True)
        yield _executed(mesh, node, name)
    finally:
        client.remove_container(name, force=True)


def _free_address(mesh: Mesh, node: str) -> str:
    """Of the inner network, one that no slot has: a pod that is made meanwhile finds its own free."""
    taken = {found["IPv4Address"] for found in mesh.docker(node).inspect_network(INNER)["Containers"].values()}
    free = (networks(mesh, node).base[_FREE + n] for n in range(10))
    return next(str(address) for address in free if f"{address}/24" not in taken)


def inside(mesh: Mesh, node: str, container: str) -> Place:
    """The network as a container has it, whatever its image lacks."""
    name = f"{PREFIX}-{container}"
    # gVisor takes the addresses of the network namespace over into its own stack.
    if mesh.docker(node).inspect_container(name)["HostConfig"]["Runtime"] == "runsc":
        return _executed(mesh, node, name)
    return Place((*inside_of(mesh, node, container), sys.executable))


def _executed(mesh: Mesh, node: str, name: str) -> Place:
    """By the Python of a container."""
    return Place(("docker", "--host", mesh.node(node).host, "exec", "--interactive", name, "python3"))


def inside_of(mesh: Mesh, node: str, container: str) -> tuple[str, ...]:
    """Begins a command in the network of a container."""
    pid = mesh.docker(node).inspect_container(f"{PREFIX}-{container}")["State"]["Pid"]
    assert pid, f"{container} does not run"
    return ("nsenter", f"--target={pid}", "--net")


def on_node(mesh: Mesh, node: str) -> Place:
    """A node itself: to the other one, whoever has got hold of a machine of the tailnet."""
    return Place((*in_namespace(mesh.node(node).namespace, sys.executable),))


# What the network carries, seen from the side.

_LISTENER: Final = """
import json, socket, sys
marker = sys.argv[1].encode()
packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
print("ready", flush=True)
while True:
    data, where = packets.recvfrom(65535)
    if marker in data:
        print(json.dumps({"interface": where[0], "data": data.decode("latin-1")}), flush=True)
"""


class Ear:
    """Packets that hold a marker, as they pass."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.heard: list[dict[str, str]] = []

    def stop(self) -> None:
        """Listen no more; `heard` is all there was."""
        self._process.terminate()
        rest, _ = self._process.communicate(timeout=10)
        self.heard += [json.loads(line) for line in rest.splitlines()]

    def headers(self, marker: str) -> dict[str, list[str]]:
        """Of the GET with the marker, as the app was sent it."""
        for packet in self.heard:
            _, begin, rest = packet["data"].partition("GET /")
            if begin and marker in rest:
                found: dict[str, list[str]] = {}
                for line in rest.partition("\r\n\r\n")[0].split("\r\n")[1:]:
                    name, _, value = line.partition(": ")
                    found.setdefault(name.lower(), []).append(value)
                return found
        return {}


@contextlib.contextmanager
def listening(marker: str, *prefix: str) -> Iterator[Ear]:
    """Listen in a network namespace; `prefix` begins a command there."""
    command = [*prefix, sys.executable, "-c", _LISTENER, marker]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        ear = Ear(process)
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield ear
        finally:
            if process.poll() is None:
                ear.stop()


def until(condition: Callable[[], Any], seconds: float = 15) -> Any:
    """Look until it holds; what it returned."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.1)
    return found


# What the mesh should be.


def graph(mesh: Mesh, node: str) -> Graph:
    """The graph as the stack's program reads it."""
    settings = _settings(mesh, node)
    return planned_graph(settings)


def networks(mesh: Mesh, node: str) -> NodeNetworks:
    """Where the node's networks lie."""
    return NodeNetworks(base=IPv4Network(_settings(mesh, node).container_range))


def _settings(mesh: Mesh, node: str) -> Any:
    given = yaml.safe_load((mesh.stacks.work_dir / f"Pulumi.{node}.yaml").read_text())["config"]
    config = {k: v if isinstance(v, str) else json.dumps(v) for k, v in given.items() if not isinstance(v, list)}
    return load(node, config, PLACEHOLDERS)


@dataclass(frozen=True, kw_only=True)
class Door:
    """A port of the mesh, at the proxy that guards it."""

    callee: Instance
    port: str
    number: int
    tailnet: int
    protocol: Protocol
    address: str
    """On the inner network of the callee's node."""
    direct: bool = False
    public: bool = False
    routes: tuple[str, ...] = ()
    """The port's own, for callers that the graph has no edge of: operators."""
    edges: tuple[Edge, ...] = field(default=(), repr=False)

    @property
    def name(self) -> str:
        return f"{self.callee.host}:{self.port}"

    def edge(self, identity: str) -> Edge | None:
        """The graph's edge from a caller."""
        return next((edge for edge in self.edges if edge.caller.identity == identity), None)

    def allows(self, identity: str) -> bool:
        """Whether the graph does."""
        return self.edge(identity) is not None or (self.direct and identity == OPERATOR_NAME)

    def friends(self) -> list[str]:
        """Identities that may come in."""
        return [edge.caller.identity for edge in self.edges] + ([OPERATOR_NAME] if self.direct else [])

    def attempt(self, certificate: str, **changes: Any) -> Attempt:
        """A call in the callee's own language that its app answers, on a route that this caller may have."""
        edge = self.edge(certificate) or next(iter(self.edges), None)
        routes = [route(entry) for entry in (edge.routes if edge else self.routes)]
        words: dict[str, Any] = {
            "address": self.address,
            "port": self.number,
            "tls": True,
            "server_name": self.callee.sni,
            "certificate": certificate,
        }
        if self.protocol is not Protocol.TCP:
            method, path = routes[0].example if routes else ("GET", "/")
            path += "lab-attempt" if path.endswith("/") else ""
            words |= {"send": http(path, method=method), "to_the_end": True}
        elif self.public:
            words |= {"hello": "lab.example.com", "client": "192.0.2.1"}
        else:
            words |= {"send": _FIRST_WORDS[self.callee.service]}
        return Attempt(**{**words, **changes})


def http(path: str, *headers: str, method: str = "GET", host: str = "lab") -> str:
    """A request, as `Attempt.send` has it."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close", *headers]
    return encoded("\r\n".join(lines) + "\r\n\r\n")


def encoded(text: str | bytes) -> str:
    """Base64."""
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


_FIRST_WORDS: Final = {
    "redis": encoded("PING\r\n"),
    "postgres": encoded((8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")),  # asks whether it speaks TLS
}


def doors(mesh: Mesh, node: str) -> list[Door]:
    """Each port of each pod of a node, the metrics of pods and gateway among them."""
    found, plan, place = [], graph(mesh, node), networks(mesh, node)
    for service in plan.on(node):
        callee = Instance(service.name, node)
        inbound = plan.inbound(callee)
        at = place.pod(service.slot).mesh
        found += [
            Door(
                callee=callee,
                port=port.name,
                number=port.number,
                tailnet=port.tailnet_port,
                protocol=port.protocol,
                address=at,
                direct=port.direct,
                public=service.public_port is not None,
                routes=port.routes,
                edges=tuple(edge for edge in inbound if edge.port == port.name),
            )
            for port in service.ports
        ]
        found.append(_metrics(callee, at, inbound))
    gateway = Instance(GATEWAY, node)
    return [*found, _metrics(gateway, place.gateway_mesh, plan.inbound(gateway))]


def _metrics(callee: Instance, at: str, inbound: Sequence[Edge]) -> Door:
    return Door(
        callee=callee,
        port=METRICS,
        number=METRICS_PORT,
        tailnet=METRICS_PORT,
        protocol=Protocol.HTTP,
        address=at,
        edges=tuple(edge for edge in inbound if edge.port == METRICS),
    )


def everyone(mesh: Mesh) -> list[Instance]:
    """All instances of both nodes, the gateways among them."""
    found = []
    for node in mesh.names():
        found += [Instance(service.name, node) for service in graph(mesh, node).on(node)]
        found.append(Instance(GATEWAY, node))
    return found


# All of it together.


@dataclass(frozen=True)
class Scene:
    """The attacker's own containers, and certificates of all kinds by name; valid ones by identity."""

    mesh: Mesh
    containers: Mapping[str, Place]
    certificates: Mapping[str, str]

    def doors(self, *node: str) -> list[Door]:
        """Of one node or of both."""
        return [door for name in node or self.mesh.names() for door in doors(self.mesh, name)]

    def door(self, callee: Instance, port: str = "api") -> Door:
        return next(d for d in doors(self.mesh, callee.node) if (d.callee, d.port) == (callee, port))

    def at(self, node: str, attempts: Iterable[Attempt]) -> list[Outcome]:
        """From the attacker's container on a node's inner network."""
        return self.containers[node].tries(attempts, self.certificates)

    def one(self, node: str, attempt: Attempt) -> Outcome:
        return self.at(node, [attempt])[0]


@contextlib.contextmanager
def scene_of(mesh: Mesh) -> Iterator[Scene]:
    """A container on each inner network, and certificates."""
    mint = Mint(mesh)
    made = mint.issue_all([*(instance.identity for instance in everyone(mesh)), OPERATOR_NAME, STRANGER])
    friend = Instance("prometheus", "oracle1").identity
    made |= {
        "other authority": Mint().issue(friend),
        "expired": mint.issue(friend, starts_hours=-48, ends_hours=-1),
        "not yet valid": mint.issue(friend, starts_hours=1, ends_hours=2),
        "no identity": mint.issue(None),
        "node's name alone": mint.issue("spiffe://agentic-mesh/oracle1/"),
        "signed by a pod": mint.issued_by_a_leaf(friend),
    }
    with contextlib.ExitStack() as stack:
        yield Scene(mesh, {node: stack.enter_context(attacker(mesh, node)) for node in mesh.names()}, made)


def each(described: Iterable[str], outcomes: Iterable[Outcome], right: Any) -> None:
    """Every outcome is right; those that are not are named."""
    wrong = [
        f"{name}: {o.end} {o.why} {o.data[:120]!r}" for name, o in zip(described, outcomes, strict=True) if not right(o)
    ]
    assert not wrong, "\n".join(wrong[:40])


def friendly(door: Door) -> Attempt:
    """The call that passes."""
    return door.attempt(door.friends()[0])


def as_a_stranger(door: Door, kind: str, **changes: Any) -> Attempt:
    """The friend's call, with that certificate, without any (an empty name), or without TLS."""
    changed = {"tls": False, "send": http("/"), "hello": ""} if kind == "plain HTTP" else {"certificate": kind}
    if kind == "plain HTTP":
        changed["certificate"] = ""
    return replace(friendly(door), **changed, **changes)


def shut(outcome: Outcome) -> bool:
    """Ended before a word of any protocol but TLS; 21 begins a TLS alert."""
    return outcome.end in ("alert", "closed") or (outcome.end == "data" and outcome.data.startswith("\x15"))


def in_parallel(work: Iterable[Any]) -> list[Any]:
    """Results of functions without arguments, some at once: most of the time they wait for what never comes."""
    with ThreadPoolExecutor(8) as threads:
        return list(threads.map(lambda one: one(), work))


def pods(mesh: Mesh, node: str) -> list[Service]:
    return list(graph(mesh, node).on(node))

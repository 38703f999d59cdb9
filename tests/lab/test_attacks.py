"""What must be refused, tried by an attacker in the lab; beside each, the same attempt by one who may, which passes."""

import secrets
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from render.envoy.parts import HANDSHAKE_SECONDS
from tests.lab.attacker import (
    OPERATOR_NAME,
    STRANGER,
    Attempt,
    Door,
    Scene,
    as_a_stranger,
    each,
    encoded,
    friendly,
    graph,
    http,
    inside,
    inside_of,
    listening,
    networks,
    on_node,
    scene_of,
    shut,
    until,
)
from tests.lab.mesh import PREFIX, Mesh
from topology.graph import GATEWAY, METRICS
from topology.model import Instance, Protocol
from topology.routes import route

pytestmark = [pytest.mark.lab, pytest.mark.engine, pytest.mark.rehearsal]

NODES = ("thanos", "oracle1")
nodes = pytest.mark.parametrize("node", NODES)
VLLM, LITELLM = Instance("vllm", "thanos"), Instance("litellm", "oracle1")
REDIS, GRAFANA = Instance("redis", "oracle1"), Instance("grafana", "oracle1")
WELL = "/.well-known/agentic-mesh/health"


@pytest.fixture(scope="module")
def scene(platform: Mesh) -> Iterator[Scene]:
    with scene_of(platform) as made:
        yield made


# Who comes with nothing, or with the wrong thing.

UNKNOWN = ("plain HTTP", "", "other authority", "expired", "not yet valid", "signed by a pod")
KNOWN_TO_NOBODY = ("no identity", "node's name alone", STRANGER)


@pytest.mark.parametrize("kind", UNKNOWN, ids=[kind or "no certificate" for kind in UNKNOWN])
@nodes
def test_no_door_opens_to_who_is_not_known(mesh: Mesh, scene: Scene, node: str, kind: str) -> None:
    """Of each pod and of the gateway."""
    found = scene.doors(node)
    outcomes = scene.at(node, [as_a_stranger(door, kind) for door in found])
    each([door.name for door in found], outcomes, shut)
    each([door.name for door in found], scene.at(node, map(friendly, found)), lambda o: o.answered)


@pytest.mark.parametrize("kind", KNOWN_TO_NOBODY, ids=["no identity", "a node", "foreign trust domain"])
@nodes
def test_no_door_opens_to_a_certificate_without_an_identity_of_the_mesh(
    mesh: Mesh, scene: Scene, node: str, kind: str
) -> None:
    """The authority signed it, yet it names nobody whom the graph knows."""
    found = scene.doors(node)
    each([d.name for d in found], scene.at(node, [as_a_stranger(d, kind) for d in found]), lambda o: o.refused)
    each([d.name for d in found], scene.at(node, map(friendly, found)), lambda o: o.answered)


@pytest.mark.parametrize("kind", UNKNOWN, ids=[kind or "no certificate" for kind in UNKNOWN])
@nodes
def test_no_published_port_opens_to_who_is_not_known(mesh: Mesh, scene: Scene, node: str, kind: str) -> None:
    """The node's tailnet address, tried from the other node."""
    plan, other = graph(mesh, node), next(name for name in NODES if name != node)
    led = {
        (callee, port.name if port else METRICS) for found in plan.published(node).values() for callee, port in found
    }
    found = [door for door in scene.doors(node) if (door.callee, door.port) in led]
    at = {"address": plan.node(node).address, "client": ""}
    assert found
    tries = [as_a_stranger(door, kind, port=door.tailnet, **at) for door in found]
    allowed = [replace(friendly(door), port=door.tailnet, **at) for door in found]
    names = [door.name for door in found]
    each(names, on_node(mesh, other).tries(tries, scene.certificates), shut)
    each(names, on_node(mesh, other).tries(allowed, scene.certificates), lambda o: o.answered)


@pytest.mark.parametrize("caller", [GRAFANA, Instance("vllm", "thanos"), Instance(GATEWAY, "oracle1")], ids=str)
@pytest.mark.parametrize(
    ("callee", "port"),
    [(LITELLM, "api"), (REDIS, "api"), (Instance("qdrant-replica", "oracle1"), "peer"), (LITELLM, METRICS)],
    ids=["HTTP", "TCP", "gRPC", "metrics"],
)
def test_a_service_that_is_no_caller_is_refused(
    mesh: Mesh, scene: Scene, callee: Instance, port: str, caller: Instance
) -> None:
    """By 403, or by the end of the connection where there is no status."""
    door = scene.door(callee, port)
    refused, allowed = scene.at(callee.node, [door.attempt(caller.identity), friendly(door)])
    assert refused.refused, refused
    assert refused.status == (0 if door.protocol is Protocol.TCP else 403)
    assert allowed.answered, allowed


# Paths.

OTHER_PATHS = (
    "/lab-not-listed",
    "/",
    "/admin",
    "/pause",
    "{in}../lab-not-listed",
    "//lab-not-listed",
    "{in}%2e%2e/lab",
)


@nodes
def test_a_caller_on_another_path_is_refused(mesh: Mesh, scene: Scene, node: str) -> None:
    """Each edge of the graph that has a list of paths, and ways to write a path that look as if they were on it."""
    tries: list[tuple[str, Attempt]] = []
    allowed: list[tuple[str, Attempt]] = []
    for door in scene.doors(node):
        for edge in door.edges:
            routes = [route(entry) for entry in edge.routes]
            if not routes:
                continue
            name = f"{edge.caller.host} -> {door.name}"
            inner = next((r.path for r in routes if r.path.endswith("/")), f"{routes[0].path}/")
            method = routes[0].example[0]
            for path in OTHER_PATHS:
                asked = path.replace("{in}", inner)
                if asked not in [r.path for r in routes]:
                    send = http(asked, method=method)
                    tries.append((f"{name}{asked}", door.attempt(edge.caller.identity, send=send)))
            allowed.append((name, door.attempt(edge.caller.identity)))
    assert len(allowed) > 10
    outcomes = scene.at(node, [attempt for _, attempt in tries])
    # An escaped slash or dot is no request at all (400).
    each([name for name, _ in tries], outcomes, lambda o: o.refused or o.status == 400)
    assert sum(outcome.status == 403 for outcome in outcomes) > len(outcomes) // 2
    each([name for name, _ in allowed], scene.at(node, [a for _, a in allowed]), lambda o: o.answered)


OTHER_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PURGE", "get", "POSTX")


@nodes
def test_a_caller_by_another_method_is_refused(mesh: Mesh, scene: Scene, node: str) -> None:
    """Each edge of the graph whose routes name methods, on a path of its own."""
    names: list[str] = []
    tries: list[Attempt] = []
    for door in scene.doors(node):
        for edge in door.edges:
            found = [route(entry) for entry in edge.routes]
            for path in {r.path for r in found if r.methods}:
                listed = {method for r in found if r.path == path for method in r.methods}
                for method in [m for m in OTHER_METHODS if m not in listed]:
                    names.append(f"{edge.caller.host} -> {door.name}: {method} {path}")
                    send = http(path + "lab" if path.endswith("/") else path, method=method)
                    tries.append(door.attempt(edge.caller.identity, send=send))
    assert len(tries) > 100
    outcomes = scene.at(node, tries)
    # A word that is no method is no request (400); the answer to HEAD has no words. To Kong it is not served.
    for kong in (True, False):
        said = [(name, o) for name, o in zip(names, outcomes, strict=True) if name.startswith("kong.") is kong]
        each([name for name, _ in said], [o for _, o in said], lambda o, s=404 if kong else 403: o.status in (400, s))
    assert sum(outcome.status == 403 for outcome in outcomes) > len(outcomes) // 2


@nodes
def test_an_operator_gets_no_path_that_the_service_does_not_offer(mesh: Mesh, scene: Scene, node: str) -> None:
    plan = graph(mesh, node)
    found = [d for d in scene.doors(node) if d.direct and plan.service(d.callee.service).port(d.port).routes]
    assert found
    names = [door.name for door in found]
    asked = [door.attempt(OPERATOR_NAME, send=http("/lab-not-listed")) for door in found]
    each(names, scene.at(node, asked), lambda o: o.status == 403)
    listed = [route(plan.service(door.callee.service).port(door.port).routes[0]).example for door in found]
    sent = [http(path + "lab" if path.endswith("/") else path, method=method) for method, path in listed]
    passing = [door.attempt(OPERATOR_NAME, send=words) for door, words in zip(found, sent, strict=True)]
    each(names, scene.at(node, passing), lambda o: o.answered)


def test_health_tells_a_member_nothing_but_whether_it_is_well(mesh: Mesh, scene: Scene) -> None:
    """Any member may ask any pod, as the proxies do of each other; what the app says does not come with it."""
    door = scene.door(VLLM)
    told = scene.one("thanos", door.attempt(GRAFANA.identity, send=http(WELL)))
    assert told.status == 200
    assert told.data.partition("\r\n\r\n")[2] == ""
    assert shut(scene.one("thanos", door.attempt("", send=http(WELL))))


# What a caller says of itself.

FORGED = "By=spiffe://agentic-mesh/oracle1/kong;Hash=00;URI=spiffe://agentic-mesh/oracle1/kong"
FORGED_NAMES = ("X-Forwarded-Client-Cert", "x-forwarded-client-cert", "X-FORWARDED-CLIENT-CERT")


@pytest.mark.parametrize("way", ["its own proxy", "past it"])
def test_a_forged_identity_is_set_anew(mesh: Mesh, scene: Scene, way: str) -> None:
    """What arrives at the app names the caller whose certificate it was, and nobody else."""
    marker = secrets.token_hex(8)
    headers = [*(f"{name}: {FORGED}" for name in FORGED_NAMES), f"x-lab-marker: {marker}"]
    with listening(marker, *inside_of(mesh, "thanos", "vllm")) as ear:
        if way == "past it":
            attempt = scene.door(VLLM).attempt(LITELLM.identity, send=http("/v1/models", *headers))
            outcome = scene.one("thanos", attempt)
        else:
            sidecar = networks(mesh, "oracle1").pod(graph(mesh, "oracle1").service("litellm").slot).sidecar
            said = http("/v1/models", *headers, host="vllm:8000")
            outcome = inside(mesh, "oracle1", "litellm").one(Attempt(address=sidecar, port=8000, send=said))
        assert outcome.answered, outcome
        ear.stop()
    seen = ear.headers(marker)
    assert seen, "the app was not asked"
    identity = seen["x-forwarded-client-cert"]
    assert len(identity) == 1
    assert f"URI={LITELLM.identity}" in identity[0]
    assert "kong" not in identity[0]
    # The audit trail has it from the certificate too.
    line = until(lambda: [entry for entry in mesh.audit("thanos", "vllm-proxy") if entry.get("path") == "/v1/models"])[
        -1
    ]
    assert line["caller"] == LITELLM.identity


def test_a_caller_sets_no_rules_for_the_callee_s_proxy(mesh: Mesh, scene: Scene) -> None:
    """Envoy's own headers, which ask it for a timeout, retries or another route, are not taken from callers."""
    marker = secrets.token_hex(8)
    orders = {
        "x-envoy-upstream-rq-timeout-ms": "1",
        "x-envoy-original-path": "/pause",
        "x-envoy-force-trace": "1",
        "x-envoy-internal": "true",
        "x-envoy-max-retries": "100",
        "x-envoy-retry-on": "5xx",
        "x-envoy-hedge-on-per-try-timeout": "true",
        "x-envoy-decorator-operation": "other",
        "x-envoy-ip-tags": "other",
    }
    said = [*(f"{name}: {value}" for name, value in orders.items()), f"x-lab-marker: {marker}"]
    with listening(marker, *inside_of(mesh, "thanos", "vllm")) as ear:
        outcome = scene.one("thanos", scene.door(VLLM).attempt(LITELLM.identity, send=http("/v1/models", *said)))
        assert outcome.answered, outcome
        ear.stop()
    seen = ear.headers(marker)
    assert seen
    taken = {name: seen[name] for name, value in orders.items() if seen.get(name) == [value]}
    assert not taken


# Too much, and too slowly.


@pytest.mark.parametrize(
    "headers",
    [
        (f"x-large: {'a' * 40_000}",),
        tuple(f"x-{n}: {'a' * 400}" for n in range(90)),
        tuple(f"x-{n}: a" for n in range(200)),
    ],
    ids=["one of 40 KB", "36 KB of many", "200 of them"],
)
@pytest.mark.parametrize(("callee", "port"), [(VLLM, "api"), (LITELLM, "api"), (LITELLM, METRICS)], ids=str)
def test_oversized_headers_are_refused(
    mesh: Mesh, scene: Scene, callee: Instance, port: str, headers: tuple[str, ...]
) -> None:
    """And the proxy lives on, with its other connections."""
    door = scene.door(callee, port)
    before = mesh.identities(callee.node)[f"{PREFIX}-{callee.service}-proxy"]
    caller = door.friends()[0]
    method, path = route(door.edges[0].routes[0]).example
    refused = scene.one(callee.node, door.attempt(caller, send=http(path, *headers, method=method)))
    assert refused.status == 431 or refused.end == "closed", refused
    small = tuple(header for header in headers[:20] if len(header) < 1000)
    assert scene.one(callee.node, door.attempt(caller, send=http(path, *small, method=method))).answered
    assert mesh.identities(callee.node)[f"{PREFIX}-{callee.service}-proxy"] == before


GENEROUS = 4 * HANDSHAKE_SECONDS
"""The proxies' configuration states 10 seconds for a handshake and for the headers of a request."""


def slow(door: Door, kind: str) -> Attempt:
    """A client that keeps a connection by saying next to nothing."""
    start = "GET / HTTP/1.1\r\nHost: lab\r\n"
    changes: dict[str, Any] = {
        "no word at all": {"tls": False, "send": "", "hello": "", "client": ""},
        "half a handshake": {
            "tls": False,
            "send": encoded(b"\x16\x03\x01\x02\0\1\0\1\xfc\3\3"),
            "hello": "",
            "client": "",
        },
        "headers one by one": {
            "send": encoded(start),
            "drip": tuple(encoded(f"x-{n}: a\r\n") for n in range(GENEROUS)),
            "every": 1,
        },
    }[kind]
    return replace(friendly(door), seconds=GENEROUS, **changes)


def connections(mesh: Mesh, node: str, app: str, port: int) -> int:
    """That an app has at its port."""
    command = ("ss", "--tcp", "--numeric", "--no-header", "state", "established", "sport", "=", f":{port}")
    done = subprocess.run([*inside_of(mesh, node, app), *command], capture_output=True, text=True, check=True)
    return len(done.stdout.splitlines())


@pytest.mark.parametrize("app", ["redis", "postgres"])
@pytest.mark.parametrize("certificate", ["", GRAFANA.identity], ids=["no certificate", "no caller"])
def test_who_may_not_call_takes_up_no_connection_of_a_database(
    mesh: Mesh, scene: Scene, app: str, certificate: str
) -> None:
    """A hundred such connections would keep the callers of a database out."""
    door, many = scene.door(Instance(app, "oracle1")), 20
    before = connections(mesh, "oracle1", app, door.number)
    idle = replace(door.attempt(certificate), tls=bool(certificate), send="", seconds=4)
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(lambda: scene.at("oracle1", [idle] * many))
        most = before
        while not waiting.done():
            most = max(most, connections(mesh, "oracle1", app, door.number))
        outcomes = waiting.result()
    assert {outcome.end for outcome in outcomes} == {"alert" if certificate else "silent"}
    assert most < before + many
    assert scene.one("oracle1", friendly(door)).answered
    # Who has shown a certificate is written down with its name.
    if certificate:
        lines = until(lambda: [e for e in mesh.audit("oracle1", f"{app}-proxy") if e.get("caller") == certificate])
        assert lines[-1]["tls"], lines[-1]


@pytest.mark.parametrize("app", ["redis", "postgres"])
def test_a_caller_that_leaves_without_a_word_is_let_go(mesh: Mesh, scene: Scene, app: str) -> None:
    """As each health check of another proxy does, some thousand times an hour."""
    door = scene.door(Instance(app, "oracle1"))

    def held() -> int:
        """Connections of the proxy that the other side has left."""
        prefix = inside_of(mesh, "oracle1", f"{app}-proxy")
        command = [*prefix, "ss", "-Htn", "state", "close-wait"]
        return len(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines())

    wordless = replace(friendly(door), send="", seconds=0.2)
    assert {outcome.end for outcome in scene.at("oracle1", [wordless] * 50)} == {"silent"}
    until(lambda: held() < 10)


@pytest.mark.parametrize("kind", ["no word at all", "half a handshake", "headers one by one"])
@nodes
def test_slow_clients_are_let_go(mesh: Mesh, scene: Scene, node: str, kind: str) -> None:
    """Each door ends the connection by itself, and meanwhile serves others."""
    found = [d for d in scene.doors(node) if d.protocol is not Protocol.TCP or kind != "headers one by one"]
    names = [door.name for door in found]
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(lambda: scene.at(node, [slow(door, kind) for door in found]))
        each(names, scene.at(node, map(friendly, found)), lambda o: o.answered)
        outcomes = waiting.result()
    each(names, outcomes, lambda o: o.end in ("closed", "alert") or o.status == 408)
    print(f"{kind}: let go after {max(o.seconds for o in outcomes):.1f} s at most")


# What stays of it.


def test_the_audit_trail_tells_who_did_what_and_no_credential(mesh: Mesh, scene: Scene) -> None:
    """Of a refused and of an allowed request, at both proxies that it passes, under one id."""
    secret, request_id = secrets.token_hex(12), f"lab-{secrets.token_hex(8)}"
    sidecar = networks(mesh, "oracle1").pod(graph(mesh, "oracle1").service("litellm").slot).sidecar
    said = [f"x-request-id: {request_id}", f"Authorization: Bearer {secret}", f"Cookie: {secret}"]
    call = inside(mesh, "oracle1", "litellm")
    for path in ("/v1/models", "/pause"):
        call.one(
            Attempt(
                address=sidecar, port=8000, send=http(f"{path}?key={secret}", *said, host="vllm:8000"), to_the_end=True
            )
        )

    def lines(node: str, proxy: str) -> dict[str, Mapping[str, Any]]:
        found = {e["path"]: e for e in mesh.audit(node, proxy) if e.get("request_id") == request_id}
        return found if len(found) == 2 else {}

    for node, proxy, caller in (("oracle1", "litellm-proxy", None), ("thanos", "vllm-proxy", LITELLM.identity)):
        found = until(partial(lines, node, proxy))
        assert found.keys() == {"/v1/models", "/pause"}
        for path, line in found.items():
            assert line["method"] == "GET"
            assert line["caller"] == caller
            assert line["status"] == (403 if path == "/pause" else 401)
            assert isinstance(line["duration_ms"], int)
            assert line["bytes_out"] > 0
            assert line["bytes_in"] == 0
        assert secret not in bytes(mesh.docker(node).logs(f"{PREFIX}-{proxy}")).decode(errors="replace")


def test_metrics_are_read_by_prometheus_alone_through_the_mesh(mesh: Mesh, scene: Scene) -> None:
    """Of both nodes, apps' and proxies'; that no other may, the pairs show."""
    for node in NODES:
        at = [door for door in scene.doors(node) if door.port == METRICS]
        names, tries = [], []
        for door in at:
            (edge,) = door.edges
            assert edge.caller == Instance("prometheus", "oracle1")
            for path in [route(entry).path for entry in edge.routes[:2]]:
                names.append(f"{door.name}{path}")
                tries.append(door.attempt(edge.caller.identity, send=http(path)))
        each(names, scene.at(node, tries), lambda o: o.status == 200)

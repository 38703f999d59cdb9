"""Certificates are renewed and the authority is replaced by `up`, proxy by proxy, while apps run on."""

import base64
import datetime
import time
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Final

import pytest
from cryptography import x509

from components.platform.authority import CERTIFICATE_HOURS, RENEWAL_HOURS
from components.platform.authority_check import SUBJECT
from lab.bench.renewal import age
from tests.lab.attacker import Attempt, Outcome, Place, attacker, doors, graph, http, inside, networks, shut
from tests.lab.mesh import PREFIX, Mesh, replaced
from tests.lab.mint import Mint
from topology.graph import GATEWAY, METRICS
from topology.model import Instance
from topology.network import METRICS_PORT

pytestmark = [pytest.mark.lab, pytest.mark.engine]

CALLS: Final = (
    # caller, callee as it calls it, port, path; across the nodes both ways, and on one
    (Instance("litellm", "oracle1"), "vllm", 8000, "/v1/models"),
    (Instance("prometheus", "oracle1"), "vllm.thanos", METRICS_PORT, "/metrics"),
    (Instance("blackbox-exporter", "thanos"), "litellm", 8081, "/health/liveliness"),
    (Instance("kong", "oracle1"), "agents", 8080, "/v1/models"),
)


def proxy(instance: Instance) -> set[str]:
    """The container and what fills its volume."""
    if instance.service == GATEWAY:
        return {f"{PREFIX}-gateway", f"{PREFIX}-{instance.node}-gateway-proxy-config-loader"}
    return {f"{PREFIX}-{instance.service}-proxy", f"{PREFIX}-{instance.service}-pod-proxy-config-loader"}


def test_renewal_replaces_the_proxy_of_what_ends_within_15_days_and_nothing_else(mesh: Mesh) -> None:
    due, not_due, day = Instance("whisper", "thanos"), Instance("ocr", "thanos"), datetime.timedelta(hours=24)
    before = mesh.identities("thanos")
    age(mesh.stacks, due, datetime.timedelta(hours=RENEWAL_HOURS) - day)
    age(mesh.stacks, not_due, datetime.timedelta(hours=RENEWAL_HOURS) + day)
    mesh.up("thanos")
    after = mesh.identities("thanos")
    assert replaced(before, after) == proxy(due)
    untouched = before.keys() - proxy(due)
    assert {name: after[name] for name in untouched} == {name: before[name] for name in untouched}
    ends = datetime.datetime.fromisoformat(mesh.secret("thanos", "certificateExpiry")[due.service])
    left, whole = ends - datetime.datetime.now(datetime.UTC), datetime.timedelta(hours=CERTIFICATE_HOURS)
    assert whole - day < left <= whole


def calls_pass(mesh: Mesh) -> None:
    """From the callers' own pods, until the proxies have found each other again."""
    for caller, callee, port, path in CALLS:
        at = networks(mesh, caller.node).pod(graph(mesh, caller.node).service(caller.service).slot).sidecar
        attempt = Attempt(address=at, port=port, send=http(path, host=f"{callee}:{port}"), to_the_end=True)
        pod = inside(mesh, caller.node, caller.service)
        end, outcome = time.monotonic() + 30, pod.one(attempt)
        while outcome.status not in (200, 401):
            assert time.monotonic() < end, f"{caller.host} -> {callee}: {outcome}"
            outcome = pod.one(attempt)


def step(mesh: Mesh, *generations: int) -> None:
    """Set them, and bring up one stack and then the other; only proxies change, and calls pass after each."""
    mesh.configure("thanos", authorities=",".join(map(str, generations)))
    for node in mesh.names():
        before = mesh.identities(node)
        with mesh.fixing(node):
            mesh.up(node)
        mesh.wait_healthy()
        after = mesh.identities(node)
        there = [*(Instance(service.name, node) for service in graph(mesh, node).on(node)), Instance(GATEWAY, node)]
        assert replaced(before, after) == set().union(*map(proxy, there))
        kept = before.keys() - replaced(before, after)
        assert {name: after[name] for name in kept} == {name: before[name] for name in kept}, "an app restarted"
        calls_pass(mesh)


def tried(mesh: Mesh, places: Mapping[str, Place], mint: Mint) -> list[Outcome]:
    """What a proxy of each node makes of a caller whose certificate that authority has signed."""
    friend = Instance("prometheus", "oracle1").identity
    found = [next(door for door in doors(mesh, node) if door.port == METRICS) for node in places]
    made = {friend: mint.issue(friend)}
    return [places[door.callee.node].one(door.attempt(friend), made) for door in found]


def signers(outcomes: list[Outcome]) -> set[str]:
    """Who has signed the certificates that the proxies show."""
    shown = [x509.load_der_x509_certificate(base64.b64decode(outcome.server)) for outcome in outcomes]
    return {str(c.issuer.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value) for c in shown}


@pytest.mark.rehearsal
def test_a_new_authority_takes_over_while_both_are_trusted(mesh: Mesh) -> None:
    """As the runbook has it. At the end the old one is worth nothing any more."""
    old = int(str(mesh.setting("thanos", "authorities") or 1).split(",")[0])
    new = old + 1
    # What a run that was killed left half done.
    mesh.configure("thanos", authorities=str(old))
    mesh.up()
    first = Mint(mesh)
    with ExitStack() as stack:
        places = {node: stack.enter_context(attacker(mesh, node)) for node in mesh.names()}

        assert all(outcome.answered for outcome in tried(mesh, places, first))
        step(mesh, old, new)
        assert all(outcome.answered for outcome in tried(mesh, places, first))

        step(mesh, new, old)
        second = Mint(mesh)
        outcomes = [*tried(mesh, places, first), *tried(mesh, places, second)]
        assert all(outcome.answered for outcome in outcomes)
        assert signers(outcomes) == {f"{SUBJECT} {new}"}

        step(mesh, new)
        assert all(outcome.answered for outcome in tried(mesh, places, second))
        assert all(shut(outcome) for outcome in tried(mesh, places, first))
    mesh.assert_nothing_to_do()

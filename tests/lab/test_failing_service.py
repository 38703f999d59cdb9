"""A service that cannot start fails the `up` by its name, `make diagnose` shows why, and the others stay up."""

import io
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import docker
import pytest

from engine.root import CHECKOUT
from tests.lab.mesh import PREFIX, Mesh
from topology.catalog import SERVICES
from topology.images import IMAGES

pytestmark = [pytest.mark.lab, pytest.mark.engine, pytest.mark.rehearsal]

NODE = "oracle1"
# Services that nobody calls but Prometheus, with the shortest time limit that there is; the last two run their images'
# own entry point, which is what the test replaces.
NO_IMAGE, CRASHES, SILENT = "redis-exporter", "postgres-exporter", "blackbox-exporter"
LIMIT = 5 * 60 + 30
"""Seconds that `up` gives each of them: 300 to start, and 30 more."""
PROGRAMS = {CRASHES: "echo no database of mine >&2; exit 3", SILENT: "echo waiting for a sign; exec sleep 2147483647"}


def reference(service: str) -> str:
    return IMAGES[next(s.image for s in SERVICES if s.name == service)].reference


@pytest.fixture
def broken(mesh: Mesh) -> Iterator[dict[str, str]]:
    """Images that do not do what their services want, by the reference that they stand for."""
    client = mesh.docker(NODE)
    images = {reference(NO_IMAGE): f"{PREFIX}-test/nowhere:1"}
    for service, script in PROGRAMS.items():
        tag = f"{PREFIX}-test/{service}:1"
        base = mesh.session.images[reference(service)]
        build(client, tag, f'FROM {base}\nENTRYPOINT ["sh", "-c", "{script}"]\n')
        images[reference(service)] = tag
    yield images
    for service in PROGRAMS:
        client.remove_image(f"{PREFIX}-test/{service}:1")


def build(client: docker.APIClient, tag: str, dockerfile: str) -> None:
    said = list(
        client.build(
            fileobj=io.BytesIO(dockerfile.encode()), tag=tag, network_mode="none", rm=True, forcerm=True, decode=True
        )
    )
    assert not any("error" in line for line in said), said


def diagnose(mesh: Mesh) -> tuple[int, str]:
    command = [sys.executable, "-m", "scripts.diagnose", "--stack", NODE, "--host", mesh.node(NODE).host]
    result = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=120)
    return result.returncode, result.stdout + result.stderr


def section(report: str, service: str) -> str:
    """What the report says of one service."""
    return next(part for part in report.split("\n\n") if part.startswith(f"== {service}:"))


def others(identities: dict[str, Any]) -> dict[str, Any]:
    changed = {f"{PREFIX}-{service}{part}" for service in PROGRAMS for part in ("", "-proxy")}
    return {name: identity for name, identity in identities.items() if name not in changed}


def test_services_that_cannot_start(mesh: Mesh, broken: dict[str, str]) -> None:
    assert {s.start_seconds for s in SERVICES if s.name in (NO_IMAGE, CRASHES, SILENT)} == {LIMIT - 30}
    before = mesh.identities(NODE)
    with mesh.fixing(NODE):
        with mesh.session.with_images(broken).stacks() as stacks:
            outcome = stacks.operate("up", NODE)
        print(f"lab: failed after {outcome.seconds:.0f} s: {outcome.errors}")
        status, report = diagnose(mesh)
        during = mesh.identities(NODE)
        unhealthy = mesh.unhealthy()
    mesh.up(NODE)
    fixed = mesh.wait_healthy()
    print(f"lab: healthy {fixed:.1f} s after the up with the right images")

    assert not outcome.passed
    # They wait side by side. What the engine does besides is generous.
    assert outcome.seconds < LIMIT + 90
    for service in (NO_IMAGE, CRASHES, SILENT):
        assert any(f"{service}" in error.partition(": ")[0] for error in outcome.errors), outcome.errors

    assert status == 1
    crashed = section(report, CRASHES)
    assert "app restarting" in crashed or "app exited" in crashed
    assert "exit code 3" in crashed
    assert "no database of mine" in crashed
    silent = section(report, SILENT)
    assert "proxy unhealthy" in silent
    assert "last probe ended with 1" in silent
    assert "waiting for a sign" in silent

    # The one without a new image goes on with the one it has, as everything else does.
    assert others(during) == others(before)
    assert {name.removesuffix("-proxy") for name in unhealthy[NODE]} <= {f"{PREFIX}-{s}" for s in PROGRAMS}
    assert set(unhealthy) == {NODE}

    status, report = diagnose(mesh)
    assert status == 0, report
    assert mesh.strangers(NODE) == set()

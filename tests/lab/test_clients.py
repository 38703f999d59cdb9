"""The real packages of `tests/clients`, at the public edge: what works is what `docs/clients.md` says."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import world
from tests.clients.running import differences, environment, fits, outcomes
from tests.clients.table import CLIENTS, Client
from tests.lab.mesh import Mesh
from tests.lab.user import URL, User

pytestmark = [pytest.mark.lab, pytest.mark.engine]

DOCUMENT = """\
The Borealis P-70 pump is made by Nordlys Pumper in Narvik. It moves sea water in fish farms.

The Borealis P-70 pump has to be serviced every 14 months, by the workshop in Tromsdalen.
"""
REQUESTS = 40
"""As many as a client sends, with some to spare."""


def inside(mesh: Mesh, folder: Path):
    """Makes of a command one that runs on thanos, with the name server of the lab."""
    node = mesh.node("thanos")
    resolver = folder / "resolv.conf"
    resolver.write_text(f"nameserver {node.address}\noptions timeout:2 attempts:1\n")
    script = 'mount --bind "$1" /etc/resolv.conf && shift && exec "$@"'
    before = ("nsenter", f"--net=/var/run/netns/{node.namespace}", "unshare", "--mount", "sh", "-c", script, "sh")
    return lambda *command: (*before, str(resolver), *command)


@pytest.fixture(scope="module")
def document(platform: Mesh, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Taken in for the clients' owner; gone afterwards."""
    folder = tmp_path_factory.mktemp("document")
    (folder / "pump.txt").write_text(DOCUMENT)
    platform.wait_healthy()
    user = User(platform, folder)
    key = user.headers.read_text().splitlines()[0]
    status, _, body = user.ask("/v1/documents", None, "-F", f"file=@{folder}/pump.txt", "-H", key, key=False)
    assert status in (200, 201, 202), body
    identifier = json.loads(body)["id"]
    end = time.monotonic() + 120
    while (state := json.loads(user.ask(f"/v1/documents/{identifier}")[2])["status"]) != "ready":
        assert time.monotonic() < end, state
        time.sleep(1)
    yield identifier
    assert user.ask(f"/v1/documents/{identifier}", None, "-X", "DELETE")[0] in (200, 204)


def wait_for_room(user: User) -> None:
    """Until a client's requests fit into the gateway's limit of the minute."""
    _, headers, _ = user.ask("/v1/models")
    if int(headers.get("x-ratelimit-remaining-minute", REQUESTS)) < REQUESTS:
        time.sleep(61 - time.time() % 60)


@pytest.mark.parametrize(
    "client",
    [
        pytest.param(client, id=client.name, marks=() if client.core else pytest.mark.rehearsal)
        for client in CLIENTS
        if client.program and fits(client)
    ],
)
def test_a_client_does_what_the_table_says(
    client: Client, user: User, mesh: Mesh, document: str, tmp_path: Path
) -> None:
    wait_for_room(user)
    key = mesh.passwords("oracle1")["gateway-owner-key"]
    variables = environment(URL, key, user.certificate, tmp_path)
    assert world.DOMAIN in variables["MESH_URL"]
    found = outcomes(client, variables, inside(mesh, tmp_path))
    told = differences(client, found)
    assert not told, "\n".join(told)

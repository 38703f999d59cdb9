"""`destroy` takes containers, networks and credentials and leaves the data, which the next `up` finds again."""

import time

import pytest

from tests.lab.mesh import PREFIX, Mesh
from topology.catalog import SERVICES
from topology.graph import Graph
from topology.nodes import NODES

pytestmark = [pytest.mark.lab, pytest.mark.engine, pytest.mark.rehearsal]

GRAPH = Graph(SERVICES, NODES)
NODE = "oracle1"
WORD = "kept over a destroy"
FILE = "/home/node/.n8n/kept-over-a-destroy"


def psql(mesh: Mesh, statement: str) -> str:
    command = ("psql", "--no-psqlrc", "-qtA", "-h", "/var/run/postgresql", "-U", "postgres", "-c", statement)
    return said(mesh, "postgres", *command)


def redis(mesh: Mesh, *words: str) -> str:
    password = mesh.passwords(NODE)["redis-admin-password"]
    return said(mesh, "redis", "redis-cli", "--user", "admin", "--no-auth-warning", "-a", password, *words)


def said(mesh: Mesh, container: str, *command: str) -> str:
    status, output = mesh.execute(NODE, container, *command)
    assert status == 0, output
    return output.strip()


def volumes(mesh: Mesh, node: str) -> set[str]:
    return {volume["Name"] for volume in mesh.docker(node).volumes()["Volumes"] or ()}


def protected(mesh: Mesh, node: str) -> set[str]:
    return {resource["urn"] for resource in mesh.resources(node) if resource.get("protect")}


def test_data_outlives_a_destroy(mesh: Mesh) -> None:
    sealed = {node: protected(mesh, node) for node in mesh.names()}
    kept = {
        node: {name: v for name, v in mesh.passwords(node).items() if any(u.endswith(f"-{name}") for u in sealed[node])}
        for node in mesh.names()
    }
    keys = {"n8n-encryption-key", "litellm-salt-key", "grafana-secret-key", "backup-passphrase"}
    assert keys == kept[NODE].keys()
    assert {"backup-passphrase"} == kept["thanos"].keys()
    before = {node: set(mesh.containers(node)) for node in mesh.names()}
    try:
        with mesh.fixing(*mesh.names()):
            psql(mesh, f"DROP TABLE IF EXISTS kept; CREATE TABLE kept AS SELECT '{WORD}' AS word")
            assert redis(mesh, "set", "kept", WORD) == "OK"
            said(mesh, "n8n", "sh", "-c", f"echo '{WORD}' >{FILE}")

            started = time.monotonic()
            mesh.operate("destroy")
            print(f"lab: destroyed in {time.monotonic() - started:.0f} s")
            for node in mesh.names():
                _look_at_what_is_left(mesh, node, sealed[node])

            started = time.monotonic()
            mesh.up()
            mesh.wait_healthy()
            print(f"lab: up again and healthy in {time.monotonic() - started:.0f} s")
        assert {node: set(mesh.containers(node)) for node in mesh.names()} == before
        for node in mesh.names():
            assert mesh.strangers(node) == set()
            assert protected(mesh, node) == sealed[node]
            # What data is sealed with is what it was.
            assert mesh.passwords(node).items() >= kept[node].items()
        assert psql(mesh, "SELECT word FROM kept") == WORD
        assert redis(mesh, "get", "kept") == WORD
        assert said(mesh, "n8n", "cat", FILE) == WORD
    finally:
        if f"{PREFIX}-n8n" in mesh.containers(NODE):  # else it failed with nothing to tidy
            psql(mesh, "DROP TABLE IF EXISTS kept")
            redis(mesh, "del", "kept")
            said(mesh, "n8n", "rm", "-f", FILE)


def _look_at_what_is_left(mesh: Mesh, node: str, sealed: set[str]) -> None:
    assert mesh.containers(node) == {}
    assert {n["Name"] for n in mesh.docker(node).networks()} == {"bridge", "host", "none"}
    assert volumes(mesh, node) == {
        f"{PREFIX}-{service.name}-{volume.name}" for service in GRAPH.on(node) for volume in service.volumes
    }
    assert protected(mesh, node) == sealed
    # Besides those the state holds components and providers: nothing that is anywhere but in the state.
    others = {r["type"] for r in mesh.resources(node) if r.get("custom") and r["urn"] not in sealed}
    assert {kind for kind in others if not kind.startswith("pulumi:")} == set()

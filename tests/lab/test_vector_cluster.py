"""A peer of the vector cluster that was down for too long fetches what it missed from another peer's REST port.

The peers are stand-ins that hand over shards as Qdrant 1.19 does (`lab/images/standins/peers.py`); what is real here is
the mesh between them: without the peers' calls to each other's REST ports, or without a writable snapshots folder, the
replica would stay behind.
"""

import json
import time
from typing import Any

import pytest

from tests.lab.mesh import PREFIX, Mesh

pytestmark = [pytest.mark.lab, pytest.mark.engine]

CALL = """
import http.client, sys
port, method, path, key, body = sys.argv[1:]
connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=60)
connection.request(method, path, body or None, {"api-key": key, "content-type": "application/json"})
response = connection.getresponse()
print(response.status, response.read().decode())
"""
PRIMARY, WITNESS, REPLICA = (
    ("thanos", "qdrant", 6333),
    ("thanos", "qdrant-witness", 6338),
    ("oracle1", "qdrant-replica", 6334),
)
COLLECTION = "/collections/of-the-test"
SECONDS = 120


def call(mesh: Mesh, peer: tuple[str, str, int], key: str, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """What a peer answers itself, in its own container."""
    node, container, port = peer
    content = json.dumps(body) if body is not None else ""
    _, output = mesh.execute(node, container, "python3", "-c", CALL, str(port), method, path, key, content)
    status, _, text = output.partition(" ")
    assert status.isdigit(), output
    return int(status), json.loads(text)


def restart(mesh: Mesh, peer: tuple[str, str, int]) -> None:
    mesh.docker(peer[0]).restart(f"{PREFIX}-{peer[1]}", timeout=10)


def wait_for_the_others(mesh: Mesh) -> None:
    """Everything is healthy but the replica, which is stopped."""
    apart = {f"{PREFIX}-{REPLICA[1]}", f"{PREFIX}-{REPLICA[1]}-proxy"}
    end = time.monotonic() + SECONDS
    while found := {name for names in mesh.unhealthy().values() for name in names} - apart:
        assert time.monotonic() < end, found
        time.sleep(0.5)


def test_a_replica_that_missed_too_much_fetches_a_snapshot_through_the_mesh(mesh: Mesh) -> None:
    secrets = mesh.passwords("thanos")
    key = secrets["qdrant-api-key"]
    shape = {"vectors": {"size": 2, "distance": "Cosine"}}
    assert call(mesh, PRIMARY, key, "PUT", COLLECTION, shape)[0] == 200
    docker = mesh.docker(REPLICA[0])
    try:
        docker.stop(f"{PREFIX}-{REPLICA[1]}", timeout=10)
        points = [{"id": number, "vector": [1.0, 0.5]} for number in range(5)]
        assert call(mesh, PRIMARY, key, "PUT", f"{COLLECTION}/points?wait=true", {"points": points})[0] == 200
        # Peers remember single changes while they run: now nobody does.
        for peer in (PRIMARY, WITNESS):
            restart(mesh, peer)
        wait_for_the_others(mesh)
        docker.start(f"{PREFIX}-{REPLICA[1]}")
        end, counted = time.monotonic() + SECONDS, -1
        while counted != len(points) and time.monotonic() < end:
            time.sleep(1)
            status, answer = call(mesh, REPLICA, key, "POST", f"{COLLECTION}/points/count", {})
            counted = answer["result"]["count"] if status == 200 else -1
        said = bytes(docker.logs(f"{PREFIX}-{REPLICA[1]}", tail=20)).decode(errors="replace")
        assert counted == len(points), said
        assert "by snapshots" in said
    finally:
        docker.start(f"{PREFIX}-{REPLICA[1]}")
        mesh.wait_healthy()
        call(mesh, PRIMARY, key, "DELETE", COLLECTION)

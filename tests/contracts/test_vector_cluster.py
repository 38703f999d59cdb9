"""Three vector peers with the configuration that we render, behind the real proxies of both nodes.

The peers are stand-ins that hand over shards as Qdrant 1.19 does (`lab/images/standins/peers.py`); the mesh between
them is real. A peer that was down for too long fetches what it missed from another's REST port.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from render.qdrant import qdrant_config
from tests.contracts.conftest import Tool
from tests.contracts.mesh import GRAPHS, NETWORKS, Mesh
from topology.graph import GATEWAY
from topology.model import Instance

pytestmark = [
    pytest.mark.contract,
    pytest.mark.skipif(os.getuid() != 0, reason="network namespaces need root: sudo make test"),
    pytest.mark.xdist_group("mesh"),
]

PRIMARY, WITNESS = Instance("qdrant", "thanos"), Instance("qdrant-witness", "thanos")
REPLICA = Instance("qdrant-replica", "oracle1")
PEERS = (PRIMARY, WITNESS, REPLICA)
GATEWAYS = Instance(GATEWAY, "thanos"), Instance(GATEWAY, "oracle1")
FIRST = "http://qdrant:6335"
SECONDS = 90


class Cluster:
    """The peers as processes."""

    def __init__(self, mesh: Mesh, folder: Path, python: str) -> None:
        self._mesh, self._folder, self._python = mesh, folder, python

    def start(self, peer: Instance) -> None:
        """Start a peer on its own storage."""
        service = GRAPHS[peer.node].service(peer.service)
        uri = f"http://{peer.service}:{service.port('peer').number}"
        config = yaml.safe_load(
            qdrant_config(
                api_key="all",
                read_only_api_key="read",
                node_type="Listener" if peer == WITNESS else "Normal",
                http_port=service.port("api").app_port,
            )
        )
        own = self._folder / peer.service
        config["service"]["host"] = self._address(peer)
        config["storage"] |= {"storage_path": str(own / "storage"), "snapshots_path": str(own / "snapshots")}
        own.mkdir(exist_ok=True)
        (own / "qdrant.yaml").write_text(yaml.safe_dump(config))
        join = [] if uri == FIRST else ["--bootstrap", FIRST]
        self._mesh.program(
            peer.service,
            peer,
            [other.service for other in PEERS if other != peer],
            *(self._python, "-m", "lab.images.standins.qdrant", "--config-path", str(own / "qdrant.yaml")),
            *("--uri", uri, *join),
        )

    def stop(self, *peers: Instance) -> None:
        """Stop peers; they keep their storage."""
        for peer in peers:
            self._mesh.stop(peer.service)

    def log(self, peer: Instance) -> str:
        """A peer's log since its start."""
        return self._mesh.log(peer.service)

    def ask(self, peer: Instance, method: str, path: str, body: Any = None) -> Any:
        """A peer's answer on its own address; None if it is an error."""
        port = GRAPHS[peer.node].service(peer.service).port("api").app_port
        sent = ["--header", "content-type: application/json", "--data", json.dumps(body)] if body is not None else []
        url = f"http://{self._address(peer)}:{port}{path}"
        status, text = self._mesh.curl("--request", method, "--header", "api-key: all", *sent, url)
        return json.loads(text)["result"] if status == 200 else None

    def count(self, peer: Instance) -> int:
        """Points that a peer holds."""
        found = self.ask(peer, "POST", "/collections/c/points/count", {})
        return int(found["count"]) if found else -1

    @staticmethod
    def _address(peer: Instance) -> str:
        return str(NETWORKS[peer.node].pod(GRAPHS[peer.node].service(peer.service).slot).app)


def eventually(check: Callable[[], bool], cluster: Cluster) -> None:
    """Wait for a condition; on a time-out show the peers' logs."""
    end = time.monotonic() + SECONDS
    while not check():
        if time.monotonic() > end:
            said = [
                f"{peer.host}: {cluster.ask(peer, 'GET', '/cluster')}\n{cluster.log(peer)[-1200:]}" for peer in PEERS
            ]
            pytest.fail("\n".join(said))
        time.sleep(0.3)


def points(first: int, last: int) -> dict[str, Any]:
    """A body that writes points."""
    return {"points": [{"id": number, "vector": [1.0, 0.5]} for number in range(first, last)]}


@pytest.fixture
def cluster(envoy: str, tool: Tool, stand_in_python: str, tmp_path: Path) -> Iterator[Cluster]:
    tool("ip")
    tool("curl")
    mesh = Mesh(envoy, tmp_path)
    with mesh.namespace():
        mesh.proxies(*GATEWAYS, *PEERS)
        made = Cluster(mesh, tmp_path, stand_in_python)
        for peer in PEERS:
            made.start(peer)
        eventually(
            lambda: all(len((made.ask(p, "GET", "/cluster") or {"peers": ()})["peers"]) == 3 for p in PEERS), made
        )
        yield made


def test_a_peer_that_missed_too_much_fetches_a_snapshot_through_the_mesh(cluster: Cluster) -> None:
    shape = {"vectors": {"size": 2, "distance": "Cosine"}}
    eventually(lambda: cluster.ask(PRIMARY, "PUT", "/collections/c", shape) is not None, cluster)
    assert cluster.ask(PRIMARY, "PUT", "/collections/c/points?wait=true", points(0, 3)) is not None
    eventually(lambda: cluster.count(REPLICA) == 3, cluster)
    cluster.stop(REPLICA)
    assert cluster.ask(PRIMARY, "PUT", "/collections/c/points?wait=true", points(3, 6)) is not None
    # Running peers keep a log of single changes; after a restart none has it.
    cluster.stop(PRIMARY, WITNESS)
    for peer in (PRIMARY, WITNESS, REPLICA):
        cluster.start(peer)
    eventually(lambda: cluster.count(REPLICA) == 6, cluster)
    assert "by snapshots" in cluster.log(REPLICA)

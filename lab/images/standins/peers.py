"""The cluster of the Qdrant stand-in: every peer holds everything, and a change needs more than half of them.

Simpler than the real one's consensus, with the outcome that was measured there: with one peer of three away all goes
on, a peer alone answers reads and refuses changes, and who comes back catches up by itself.
"""

from __future__ import annotations

import concurrent.futures
import http.client
import json
import threading
import urllib.parse
from typing import Any, Final

from lab.images.standins import http2
from lab.images.standins.common import Connection, Refused, Request, Server, Service, say
from lab.images.standins.vectors import Store

SECONDS: Final = 5.0
EVERY: Final = 2.0


class Peers:
    """One peer and what it knows of the others."""

    def __init__(self, store: Store, uri: str, bootstrap: str | None, *, listener: bool = False) -> None:
        self.store, self.uri, self.bootstrap, self.listener = store, uri, bootstrap, listener
        self.ready = True
        self._file = store.folder / "peers.json"
        saved: dict[str, Any] = (
            json.loads(self._file.read_text()) if self._file.exists() else {"members": [uri], "version": 0}
        )
        self.members = list(saved["members"])
        self.version = int(saved["version"])
        self._versions: dict[str, int] = {}
        """Of the others that answered lately."""
        self._lock = threading.RLock()
        self.service = Service("qdrant-peer")
        self.service.route("POST", "/lab/join")(self._join)
        self.service.route("POST", "/lab/members")(lambda r: self._learn(r.json()["members"]))
        self.service.route("POST", "/lab/change")(self._changed)
        self.service.route("GET", "/lab/version")(lambda _: {"version": self.version})
        self.service.route("GET", "/lab/state")(lambda _: self._state())

    @property
    def count(self) -> int:
        """Peers of the cluster, whether they answer or not."""
        return len(self.members)

    @property
    def others(self) -> list[str]:
        """All but this one."""
        return [member for member in self.members if member != self.uri]

    def live(self) -> int:
        """Peers that answer, with this one."""
        return 1 + len(self._versions)

    def behind(self) -> int:
        """Changes that this peer knows to lack."""
        return max(0, max(self._versions.values(), default=0) - self.version)

    def start(self, port: int, host: str = "0.0.0.0") -> None:  # noqa: S104 - alone in its pod
        """Listen to the others, and look after them."""
        server = Server((host, port), type("Handler", (_PeerHandler,), {"service": self.service}))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        threading.Thread(target=self._watch, daemon=True).start()
        say(f"peer {self.uri} listens on {port}; bootstrap {self.bootstrap or '-'}")

    def change(self, **operation: Any) -> None:
        """Do a change here and on the others; refused where most of them do not answer."""
        with self._lock:
            version = self.version + 1
            body = {"version": version, "operation": operation}
            with concurrent.futures.ThreadPoolExecutor(max(1, len(self.others))) as threads:
                answers = list(threads.map(lambda peer: self._ask(peer, "POST", "/lab/change", body), self.others))
            if 1 + sum(answer is not None for answer in answers) <= len(self.members) // 2:
                message = "Service internal error: Not enough replicas for the update, consensus has no quorum"
                raise Refused(500, "", {"status": {"error": message}, "time": SECONDS})
            self.store.change(**operation)
            self._note(version)

    def recover(self, name: str, content: bytes) -> None:
        """Put a snapshot in a collection's place, everywhere."""
        with self._lock:
            self.store.recover(name, content)
            points = list(self.store.points[name].values())
            self.change(do="create", collection=name, config=self.store.collections[name])
            self.change(do="put", collection=name, points=points)

    def status(self) -> dict[str, Any]:
        """GET /cluster."""
        peers = {str(abs(hash(m)) % 10**12): {"uri": m} for m in self.members}
        raft = {"term": 1, "commit": self.version, "pending_operations": self.behind(), "leader": 1, "role": "Follower"}
        return {"status": "enabled", "peer_id": 1, "peers": peers, "raft_info": {**raft, "is_voter": True}}

    def replicas(self, points: int) -> dict[str, Any]:
        """GET /collections/{c}/cluster."""
        here = [{"shard_id": 0, "points_count": points, "state": "Active"}]
        there = [
            {"shard_id": 0, "peer_id": n, "state": "Active" if member in self._versions else "Dead"}
            for n, member in enumerate(self.others, 2)
        ]
        return {"peer_id": 1, "shard_count": 1, "local_shards": here, "remote_shards": there, "shard_transfers": []}

    def _changed(self, request: Request) -> Any:
        asked = request.json()
        # No lock: two peers that change at once would wait for each other.
        if asked["version"] <= self.version + 1:
            self.store.change(**asked["operation"])
            self._note(max(self.version + 1, asked["version"]))
        return {"version": self.version}

    def _join(self, request: Request) -> Any:
        self._learn([request.json()["uri"]])
        for member in self.others:
            self._ask(member, "POST", "/lab/members", {"members": self.members})
        return {"members": self.members}

    def _learn(self, members: list[str]) -> dict[str, Any]:
        self.members = sorted({*self.members, *members})
        self._note(self.version)
        return {"members": self.members}

    def _state(self) -> dict[str, Any]:
        with self.store.lock:
            points = {name: list(found.values()) for name, found in self.store.points.items()}
            return {"version": self.version, "collections": self.store.collections, "points": points}

    def _watch(self) -> None:
        joined = self.bootstrap is None or self.bootstrap in self.members
        while True:
            if not joined and self.bootstrap:
                answer = self._ask(self.bootstrap, "POST", "/lab/join", {"uri": self.uri})
                if answer is not None:
                    joined = True
                    self._learn(answer["members"])
            found = {peer: self._ask(peer, "GET", "/lab/version") for peer in self.others}
            self._versions = {peer: answer["version"] for peer, answer in found.items() if answer is not None}
            if self.behind():
                self._catch_up(max(self._versions, key=lambda peer: self._versions[peer]))
            threading.Event().wait(EVERY)

    def _catch_up(self, peer: str) -> None:
        state = self._ask(peer, "GET", "/lab/state")
        if state is None or state["version"] <= self.version:
            return
        with self._lock:
            for name in set(self.store.collections) - set(state["collections"]):
                self.store.change(do="drop", collection=name)
            for name, config in state["collections"].items():
                self.store.change(do="create", collection=name, config=config)
                self.store.change(do="put", collection=name, points=state["points"][name])
            self._note(state["version"])
        say(f"caught up with {peer} at {self.version}")

    def _note(self, version: int) -> None:
        self.version = version
        self._file.write_text(json.dumps({"members": self.members, "version": version}))

    def _ask(self, peer: str, method: str, path: str, body: Any = None) -> Any | None:
        """Another peer's answer; None where it does not answer."""
        address = urllib.parse.urlsplit(peer)
        connection = http.client.HTTPConnection(address.hostname or "", address.port or 6335, timeout=SECONDS)
        try:
            content = json.dumps(body) if body is not None else None
            connection.request(method, path, content, {"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read()
            return json.loads(text) if response.status == 200 else None
        except (OSError, http.client.HTTPException, ValueError):
            return None
        finally:
            connection.close()


class _PeerHandler(Connection):
    def handle(self) -> None:
        """HTTP/2 from the proxy in front, HTTP/1.1 from anybody else."""
        if http2.speaks(self.connection):
            http2.serve(self.connection, self.service)
        else:
            super().handle()

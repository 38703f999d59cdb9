"""The cluster of the Qdrant stand-in: every peer holds everything, and a change needs more than half of them.

Simpler than the real one's consensus, with the outcome that was measured there: with one peer of three away all goes
on, a peer alone answers reads and refuses changes, and who comes back catches up by itself.

It catches up as the real one does (1.19.0, `lib/collection/src/shards/transfer/`): by the changes that the other peer
still remembers, over the peers' port, else by a snapshot that it fetches from the other one's REST port, with the key.
"""

from __future__ import annotations

import concurrent.futures
import http.client
import json
import threading
import urllib.parse
from collections import deque
from typing import Any, Final

from lab.images.standins import http2
from lab.images.standins.common import Connection, Refused, Request, Server, Service, say
from lab.images.standins.vectors import Store

SECONDS: Final = 5.0
EVERY: Final = 2.0
REMEMBERED: Final = 100
"""Changes that a peer can hand on one by one, since its start."""


class Peers:
    """One peer and what it knows of the others."""

    def __init__(
        self,
        store: Store,
        uri: str,
        bootstrap: str | None,
        *,
        listener: bool = False,
        rest_port: int = 6333,
        api_key: str = "",
    ) -> None:
        self.store, self.uri, self.bootstrap, self.listener = store, uri, bootstrap, listener
        self.rest_port, self.api_key = rest_port, api_key
        self.ready = True
        self._file = store.folder / "peers.json"
        saved: dict[str, Any] = (
            json.loads(self._file.read_text()) if self._file.exists() else {"members": [uri], "version": 0}
        )
        self.members = list(saved["members"])
        self.version = int(saved["version"])
        self._versions: dict[str, int] = {}
        """Of the others that answered lately."""
        self._log: deque[tuple[int, dict[str, Any]]] = deque(maxlen=REMEMBERED)
        self._lock = threading.RLock()
        self.service = Service("qdrant-peer")
        self.service.route("POST", "/lab/join")(self._join)
        self.service.route("POST", "/lab/members")(lambda r: self._learn(r.json()["members"]))
        self.service.route("POST", "/lab/change")(self._changed)
        self.service.route("GET", "/lab/version")(lambda _: {"version": self.version, "members": self.members})
        self.service.route("GET", "/lab/changes")(lambda r: {"changes": self._since(int(r.query["since"]))})
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
            self._note(version, operation)

    def recover(self, name: str, content: bytes, priority: str = "snapshot") -> None:
        """Put a snapshot in a collection's place, everywhere (`lib/storage/src/content_manager/snapshots/recover.rs`).

        With the priority `replica`, which is the default of the API, the copies that other peers have win, and the
        snapshot is lost without an error.
        """
        if priority not in ("no_sync", "snapshot", "replica"):
            message = f"unknown variant `{priority}`, expected one of `no_sync`, `snapshot`, `replica`"
            raise Refused(
                400, "", {"status": {"error": f"Deserialize error in query parameters: {message}"}, "time": 0.0}
            )
        if priority == "replica" and self.live() > 1 and name in self.store.collections:
            return
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
            self._note(max(self.version + 1, asked["version"]), asked["operation"])
        return {"version": self.version}

    def _join(self, request: Request) -> Any:
        self._learn([request.json()["uri"]])
        for member in self.others:
            self._ask(member, "POST", "/lab/members", {"members": self.members})
        return {"members": self.members}

    def _learn(self, members: list[str]) -> dict[str, Any]:
        with self._lock:
            self.members = sorted({*self.members, *members})
            self._note(self.version)
        return {"members": self.members}

    def _state(self) -> dict[str, Any]:
        return {"version": self.version, "rest": self.rest_port, "collections": self.store.collections}

    def _since(self, version: int) -> list[list[Any]] | None:
        """The changes after a version; None where they are not remembered any more."""
        with self._lock:
            found = [[number, operation] for number, operation in self._log if number > version]
        return found if [number for number, _ in found] == list(range(version + 1, self.version + 1)) else None

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
            # Whoever joined while a message was lost is known to somebody.
            known = {member for answer in found.values() if answer is not None for member in answer["members"]}
            if known - set(self.members):
                self._learn(sorted(known))
            if self.behind():
                self._catch_up(max(self._versions, key=lambda peer: self._versions[peer]))
            threading.Event().wait(EVERY)

    def _catch_up(self, peer: str) -> None:
        delta = self._ask(peer, "GET", f"/lab/changes?since={self.version}")
        if delta is not None and delta["changes"] is not None:
            with self._lock:
                for version, operation in delta["changes"]:
                    if version == self.version + 1:
                        self.store.change(**operation)
                        self._note(version, operation)
            say(f"caught up with {peer} at {self.version}, change by change")
            return
        state = self._ask(peer, "GET", "/lab/state")
        if state is None or state["version"] <= self.version:
            return
        shards = {}
        for name in state["collections"]:
            content = self._shard(peer, int(state["rest"]), name)
            if content is None:
                return
            shards[name] = content
        with self._lock:
            for name in set(self.store.collections) - set(state["collections"]):
                self.store.change(do="drop", collection=name)
            for name, config in state["collections"].items():
                self.store.change(do="create", collection=name, config=config)
                self.store.change(do="put", collection=name, points=json.loads(shards[name])["points"])
            self._log.clear()
            self._note(state["version"])
        say(f"caught up with {peer} at {self.version}, by snapshots")

    def _shard(self, peer: str, rest: int, name: str) -> bytes | None:
        """The other peer's copy of a collection, by its REST API; it names itself by its own host and REST port."""
        host = urllib.parse.urlsplit(peer).hostname or ""
        try:
            # A folder for its snapshots comes first: toc/collection_container.rs, create_snapshots_path.
            (self.store.snapshots / name).mkdir(parents=True, exist_ok=True)
            connection = http.client.HTTPConnection(host, rest, timeout=SECONDS)
            try:
                path = f"/collections/{urllib.parse.quote(name)}/shards/0/snapshot"
                connection.request("GET", path, headers={"api-key": self.api_key})
                response = connection.getresponse()
                content = response.read()
                if response.status == 200:
                    return content
                why = f"status {response.status}"
            finally:
                connection.close()
        except (OSError, http.client.HTTPException) as error:
            why = str(error)
        say(f"Failed to transfer shard {name}:0 from http://{host}:{rest}: {why}")
        return None

    def _note(self, version: int, operation: dict[str, Any] | None = None) -> None:
        if operation is not None:
            self._log.append((version, operation))
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

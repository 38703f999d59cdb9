"""The routes of the Qdrant stand-in for points: writing, reading, scrolling, counting and searching."""

from __future__ import annotations

import time
from typing import Any

from lab.images.standins import qdrant_rules
from lab.images.standins.common import Request, Service
from lab.images.standins.peers import Peers
from lab.images.standins.qdrant_rules import refused
from lab.images.standins.vectors import Point, Store


def done(result: Any) -> dict[str, Any]:
    """A result in the API's words."""
    return {"result": result, "status": "ok", "time": 0.001}


def updated() -> dict[str, Any]:
    """What a change answers."""
    return done({"operation_id": time.time_ns() % 10**9, "status": "completed"})


def shown(point: Point, asked: dict[str, Any]) -> dict[str, Any]:
    """A point as an answer shows it."""
    payload = asked.get("with_payload")
    wanted: Any = point.get("payload") or {}
    if isinstance(payload, list):
        wanted = {k: v for k, v in wanted.items() if k in payload}
    return {
        "id": point["id"],
        **({"payload": wanted} if payload else {}),
        **({"vector": point["vector"]} if asked.get("with_vector") else {}),
    }


class Points:
    """Routes below a collection; a request's `c` names it."""

    def __init__(self, store: Store, peers: Peers) -> None:
        self.store, self.peers = store, peers

    def register(self, service: Service) -> None:
        """Add the routes."""
        points = "/collections/{c}/points"
        service.route("PUT", points)(self.put)
        service.route("POST", points)(self.get)
        service.route("POST", f"{points}/delete")(self.delete)
        service.route("POST PUT", f"{points}/payload")(self.payload)
        service.route("POST", f"{points}/batch")(self.batch)
        service.route("POST", f"{points}/scroll")(self.scroll)
        service.route("POST", f"{points}/count")(self.count)
        service.route("POST", f"{points}/search")(lambda r: done(self.query(r.groups["c"], r.json())))
        service.route("POST", f"{points}/query")(lambda r: done({"points": self.query(r.groups["c"], r.json())}))
        service.route("POST", f"{points}/query/batch")(
            lambda r: done([{"points": self.query(r.groups["c"], asked)} for asked in r.json()["searches"]])
        )
        service.route("GET", f"{points}/{{id}}")(self.one)

    def put(self, request: Request) -> Any:
        """Insert or replace points, in either of the API's two shapes."""
        name, asked = request.groups["c"], request.json()
        self.store.need(name)
        points = asked.get("points")
        if points is None and (batch := asked.get("batch")):
            payloads = batch.get("payloads") or [None] * len(batch["ids"])
            triples = zip(batch["ids"], batch["vectors"], payloads, strict=True)
            points = [{"id": i, "vector": v, "payload": p} for i, v, p in triples]
        qdrant_rules.points(self.store.collections[name], points or [])
        self.peers.change(do="put", collection=name, points=points or [])
        return updated()

    def get(self, request: Request) -> Any:
        """Points by their ids."""
        asked = {"with_payload": True, **request.json()}
        for key in asked.get("ids") or ():
            qdrant_rules.point_id(key)
        points = self.store.found(request.groups["c"], {"must": [{"has_id": asked["ids"]}]})
        return done([shown(p, asked) for p in points])

    def one(self, request: Request) -> Any:
        """One point."""
        point = self.store.need(request.groups["c"]).get(request.groups["id"])
        if point is None:
            raise refused(404, "Not found: Point with id does not exists!")
        return done(shown(point, {"with_payload": True, "with_vector": True}))

    def delete(self, request: Request) -> Any:
        """Remove points by ids or by a filter."""
        self._remove(request.groups["c"], request.json())
        return updated()

    def _remove(self, name: str, asked: dict[str, Any]) -> None:
        self.store.need(name)
        ids = asked.get("points")
        if ids is None:
            ids = [p["id"] for p in self.store.found(name, asked.get("filter"))]
        self.peers.change(do="remove", collection=name, ids=ids)

    def payload(self, request: Request) -> Any:
        """Add to payloads (POST) or replace them (PUT)."""
        self._payload(request.groups["c"], request.json(), replace=request.method == "PUT")
        return updated()

    def _payload(self, name: str, asked: dict[str, Any], *, replace: bool) -> None:
        condition = {"must": [{"has_id": asked["points"]}]} if "points" in asked else asked.get("filter")
        points = []
        for point in self.store.found(name, condition):
            kept = {} if replace else point.get("payload") or {}
            points.append({**point, "payload": {**kept, **asked["payload"]}})
        self.peers.change(do="put", collection=name, points=points)

    def batch(self, request: Request) -> Any:
        """Several changes in their order; those of the agents are known."""
        changes = {
            "set_payload": lambda name, asked: self._payload(name, asked, replace=False),
            "delete": self._remove,
        }
        asked = [change for operation in request.json()["operations"] for change in operation.items()]
        if unknown := [kind for kind, _ in asked if kind not in changes]:
            raise refused(400, f"the stand-in knows no operation {unknown[0]!r}")
        for kind, what in asked:
            changes[kind](request.groups["c"], what)
        return done([updated()["result"] for _ in asked])

    def scroll(self, request: Request) -> Any:
        """Page by page, in the order of ids."""
        asked = {"with_payload": True, **request.json()}
        qdrant_rules.limit(asked)
        points = self.store.found(request.groups["c"], asked.get("filter"))
        if (start := asked.get("offset")) is not None:
            places = [i for i, p in enumerate(points) if p["id"] == start]
            points = points[places[0] :] if places else []
        limit = int(asked.get("limit") or 10)
        after = points[limit]["id"] if len(points) > limit else None
        return done({"points": [shown(p, asked) for p in points[:limit]], "next_page_offset": after})

    def count(self, request: Request) -> Any:
        """How many meet a filter."""
        return done({"count": len(self.store.found(request.groups["c"], request.json().get("filter")))})

    def query(self, name: str, asked: dict[str, Any]) -> list[dict[str, Any]]:
        """The nearest points to a vector, dense or sparse, or to another point; all of them without either."""
        qdrant_rules.limit(asked)
        if before := asked.get("prefetch"):
            each = before if isinstance(before, list) else [before]
            ids = [point["id"] for first in each for point in self.query(name, first)]
            chosen = [{"has_id": ids}, *([asked["filter"]] if asked.get("filter") else [])]
            asked = {**asked, "prefetch": None, "filter": {"must": chosen}}
        vector = asked.get("query", asked.get("vector"))
        if isinstance(vector, dict):
            asked = {**asked, "using": vector.get("name", asked.get("using"))}
            vector = vector if "indices" in vector else vector.get("nearest", vector.get("vector"))
        if isinstance(vector, int | str):
            point = self.store.need(name).get(str(vector))
            vector = point["vector"] if point else None
        if isinstance(vector, list | dict):
            self.store.need(name)
            qdrant_rules.fits(self.store.collections[name], str(asked.get("using") or ""), vector)
        if vector is None:
            found = [
                (1.0, point) for point in self.store.found(name, asked.get("filter"))[: int(asked.get("limit", 10))]
            ]
        elif isinstance(vector, dict) and "indices" in vector:
            found = self.store.search_sparse(name, vector, asked)
        elif isinstance(vector, list):
            found = self.store.search(name, vector, asked)
        else:
            raise refused(400, "Wrong input: the stand-in searches for one vector")
        return [{**shown(p, asked), "version": 0, "score": score} for score, p in found]

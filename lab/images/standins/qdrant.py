"""Qdrant: `./qdrant --config-path FILE --uri URI [--bootstrap URI]`, its REST API with keys, metrics and snapshots."""

from __future__ import annotations

import argparse
import re
import time
from pathlib import Path
from typing import Any, Final

import yaml

from lab.images.standins.common import TEXT, Answer, Refused, Request, Service, metric, readable, same, wait
from lab.images.standins.peers import Peers
from lab.images.standins.vectors import Point, Store, described

VERSION: Final = "1.19.1"
OPEN: Final = ("/", "/healthz", "/livez", "/readyz")
_READS: Final = re.compile(r"/collections/[^/]+/(points(/(search|query|scroll|count|recommend|facet)(/batch)?)?|facet)")


def refused(status: int, message: str) -> Refused:
    """An error in the API's words."""
    return Refused(status, message, {"status": {"error": message}, "time": 0.0})


def done(result: Any) -> dict[str, Any]:
    """A result in the API's words."""
    return {"result": result, "status": "ok", "time": 0.001}


def guard(config: dict[str, Any], request: Request) -> None:
    """The key does all, the read-only key what changes nothing."""
    keys = config["service"]
    given = request.header("api-key") or request.bearer()
    if request.path in OPEN or same(given, str(keys.get("api_key") or "")):
        return
    if not same(given, str(keys.get("read_only_api_key") or "")):
        raise refused(401, "Must provide an API key or an Authorization bearer token")
    if request.method != "GET" and not (request.method == "POST" and _READS.fullmatch(request.path)):
        raise refused(403, "Forbidden: Global write access is required")


class Qdrant:
    """One peer."""

    def __init__(self, config: dict[str, Any], peers: Peers, store: Store) -> None:
        self.config, self.store, self.peers = config, store, peers
        self.service = Service("qdrant")
        self.service.guard = lambda request: guard(config, request)
        self._system()
        self._collections()
        self._points()
        self._snapshots()

    def _system(self) -> None:
        route = self.service.route
        route("GET", "/")(
            lambda _: {"title": "qdrant - vector search engine", "version": VERSION, "commit": "stand-in"}
        )
        for path in OPEN[1:]:
            route("GET", path)(lambda _: Answer("healthz check passed" if self.peers.ready else "", type="text/plain"))
        route("GET", "/metrics")(lambda _: Answer(self.metrics(), type=TEXT))
        route("GET", "/telemetry")(lambda _: done({"id": "stand-in", "app": {"name": "qdrant", "version": VERSION}}))
        route("GET", "/cluster")(lambda _: done(self.peers.status()))

    def metrics(self) -> str:
        """For the keyed route and for the metrics port."""
        store = self.store
        live = self.peers.live()
        dead = {f'id="{name}"': self.peers.count - live for name in store.collections}
        return (
            metric("app_info", "gauge", {f'name="qdrant",version="{VERSION}"': 1})
            + metric("collections_total", "gauge", {"": len(store.collections)})
            + metric("collection_points", "gauge", {f'id="{n}"': len(p) for n, p in store.points.items()})
            + metric("collection_dead_replicas", "gauge", dead)
            + metric("collection_active_replicas_min", "gauge", {f'id="{n}"': live for n in store.collections})
            + metric("cluster_peers_total", "gauge", {"": self.peers.count})
            + metric("cluster_pending_operations_total", "gauge", {"": self.peers.behind()})
            + self.service.metrics()
        )

    def _collections(self) -> None:
        route, store = self.service.route, self.store

        @route("GET", "/collections")
        def _(_request: Request) -> Any:
            return done({"collections": [{"name": name} for name in sorted(store.collections)]})

        @route("GET", "/collections/{c}/exists")
        def _(request: Request) -> Any:
            return done({"exists": request.groups["c"] in store.collections})

        @route("PUT", "/collections/{c}")
        def _(request: Request) -> Any:
            name = request.groups["c"]
            if name in store.collections:
                raise refused(409, f"Wrong input: Collection `{name}` already exists!")
            defaults = self.config["storage"].get("collection") or {}
            self.peers.change(do="create", collection=name, config={**defaults, **request.json()})
            return done(True)

        @route("GET", "/collections/{c}")
        def _(request: Request) -> Any:
            name = request.groups["c"]
            count, config = len(store.need(name)), store.collections[name]
            schema = {
                field: {"data_type": kind.get("type") if isinstance(kind, dict) else kind, "points": count}
                for field, kind in config.get("indexes", {}).items()
            }
            params = {k: v for k, v in config.items() if k != "indexes"} | {"shard_number": 1}
            hnsw = {"m": 16, "ef_construct": 100, "full_scan_threshold": 10000}
            optimizer = {"deleted_threshold": 0.2, "vacuum_min_vector_number": 1000, "default_segment_number": 0}
            settings = {
                "params": params,
                "hnsw_config": hnsw,
                "optimizer_config": {**optimizer, "flush_interval_sec": 5},
            }
            info = {"status": "green", "optimizer_status": "ok", "segments_count": 1, "config": settings}
            return done({**info, "points_count": count, "indexed_vectors_count": count, "payload_schema": schema})

        @route("DELETE", "/collections/{c}")
        def _(request: Request) -> Any:
            found = request.groups["c"] in store.collections
            self.peers.change(do="drop", collection=request.groups["c"])
            return done(found)

        @route("PUT", "/collections/{c}/index")
        def _(request: Request) -> Any:
            store.need(request.groups["c"])
            asked = request.json()
            schema = asked.get("field_schema", "keyword")
            self.peers.change(do="index", collection=request.groups["c"], field=asked["field_name"], schema=schema)
            return self._updated()

        @route("GET", "/collections/{c}/cluster")
        def _(request: Request) -> Any:
            store.need(request.groups["c"])
            return done(self.peers.replicas(len(store.points[request.groups["c"]])))

    def _updated(self) -> dict[str, Any]:
        return done({"operation_id": time.time_ns() % 10**9, "status": "completed"})

    def _points(self) -> None:
        route, store = self.service.route, self.store

        @route("PUT", "/collections/{c}/points")
        def _(request: Request) -> Any:
            name, asked = request.groups["c"], request.json()
            store.need(name)
            points = asked.get("points")
            if points is None and (batch := asked.get("batch")):
                payloads = batch.get("payloads") or [None] * len(batch["ids"])
                triples = zip(batch["ids"], batch["vectors"], payloads, strict=True)
                points = [{"id": i, "vector": v, "payload": p} for i, v, p in triples]
            store.check(name, points or [])
            self.peers.change(do="put", collection=name, points=points or [])
            return self._updated()

        @route("POST", "/collections/{c}/points")
        def _(request: Request) -> Any:
            asked = request.json()
            points = store.found(request.groups["c"], {"must": [{"has_id": asked["ids"]}]})
            return done([shown(p, asked) for p in points])

        @route("GET", "/collections/{c}/points/{id}")
        def _(request: Request) -> Any:
            point = store.need(request.groups["c"]).get(request.groups["id"])
            if point is None:
                raise refused(404, "Not found: Point with id does not exists!")
            return done(shown(point, {"with_payload": True, "with_vector": True}))

        @route("POST", "/collections/{c}/points/delete")
        def _(request: Request) -> Any:
            asked = request.json()
            ids = asked.get("points")
            if ids is None:
                ids = [p["id"] for p in store.found(request.groups["c"], asked.get("filter"))]
            store.need(request.groups["c"])
            self.peers.change(do="remove", collection=request.groups["c"], ids=ids)
            return self._updated()

        @route("POST PUT", "/collections/{c}/points/payload")
        def _(request: Request) -> Any:
            name, asked = request.groups["c"], request.json()
            condition = {"must": [{"has_id": asked["points"]}]} if "points" in asked else asked.get("filter")
            keep = request.method == "POST"
            points = [
                {**p, "payload": {**((p.get("payload") or {}) if keep else {}), **asked["payload"]}}
                for p in store.found(name, condition)
            ]
            self.peers.change(do="put", collection=name, points=points)
            return self._updated()

        @route("POST", "/collections/{c}/points/scroll")
        def _(request: Request) -> Any:
            asked = {"with_payload": True, **request.json()}
            points = store.found(request.groups["c"], asked.get("filter"))
            if (start := asked.get("offset")) is not None:
                places = [i for i, p in enumerate(points) if p["id"] == start]
                points = points[places[0] :] if places else []
            limit = int(asked.get("limit") or 10)
            after = points[limit]["id"] if len(points) > limit else None
            return done({"points": [shown(p, asked) for p in points[:limit]], "next_page_offset": after})

        @route("POST", "/collections/{c}/points/count")
        def _(request: Request) -> Any:
            return done({"count": len(store.found(request.groups["c"], request.json().get("filter")))})

        @route("POST", "/collections/{c}/points/search")
        def _(request: Request) -> Any:
            return done(self._query(request.groups["c"], request.json()))

        @route("POST", "/collections/{c}/points/query")
        def _(request: Request) -> Any:
            return done({"points": self._query(request.groups["c"], request.json())})

        @route("POST", "/collections/{c}/points/query/batch")
        def _(request: Request) -> Any:
            return done([{"points": self._query(request.groups["c"], a)} for a in request.json()["searches"]])

    def _query(self, name: str, asked: dict[str, Any]) -> list[dict[str, Any]]:
        vector = asked.get("query", asked.get("vector"))
        if isinstance(vector, dict):
            asked = {**asked, "using": vector.get("name", asked.get("using"))}
            vector = vector.get("nearest", vector.get("vector"))
        if isinstance(vector, int | str):
            point = self.store.need(name).get(str(vector))
            vector = point["vector"] if point else None
        if vector is None:
            return [
                {**shown(p, asked), "version": 0, "score": 1.0} for p in self.store.found(name, asked.get("filter"))
            ]
        if not isinstance(vector, list):
            raise refused(400, "Wrong input: the stand-in searches for one vector")
        found = self.store.search(name, vector, asked)
        return [{**shown(p, asked), "version": 0, "score": score} for score, p in found]

    def _snapshots(self) -> None:
        route, store = self.service.route, self.store

        def path(request: Request) -> Path:
            found = store.snapshots / request.groups["c"] / request.groups["s"]
            if not found.resolve().is_relative_to(store.snapshots.resolve()) or not found.is_file():
                raise refused(404, "Not found: Snapshot not found")
            return found

        route("POST", "/collections/{c}/snapshots")(lambda r: done(store.snapshot(r.groups["c"])))

        @route("GET", "/collections/{c}/snapshots")
        def _(request: Request) -> Any:
            store.need(request.groups["c"])
            return done([described(p) for p in sorted((store.snapshots / request.groups["c"]).glob("*.snapshot"))])

        @route("GET", "/collections/{c}/snapshots/{s}")
        def _(request: Request) -> Any:
            return Answer(path(request).read_bytes(), type="application/octet-stream")

        @route("DELETE", "/collections/{c}/snapshots/{s}")
        def _(request: Request) -> Any:
            path(request).unlink()
            return done(True)

        @route("POST", "/collections/{c}/snapshots/upload")
        def _(request: Request) -> Any:
            self.peers.recover(request.groups["c"], request.files().get("snapshot", b""))
            return done(True)

        @route("PUT", "/collections/{c}/snapshots/recover")
        def _(request: Request) -> Any:
            location = str(request.json().get("location", ""))
            if not location.startswith("file://"):
                raise refused(403, "Forbidden: Snapshot recovery from URL is disabled")
            self.peers.recover(request.groups["c"], Path(location.removeprefix("file://")).read_bytes())
            return done(True)


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


def main() -> None:
    """`./qdrant`."""
    parser = argparse.ArgumentParser(prog="qdrant")
    parser.add_argument("--config-path", required=True)
    parser.add_argument("--uri", required=True)
    parser.add_argument("--bootstrap")
    args = parser.parse_args()
    config = yaml.safe_load(readable(args.config_path))
    storage, ports = config["storage"], config["service"]
    store = Store(Path(storage["storage_path"]), Path(storage["snapshots_path"]))
    peers = Peers(store, args.uri, args.bootstrap, listener=storage.get("node_type") == "Listener")
    peers.start(int(config["cluster"]["p2p"]["port"]))
    qdrant = Qdrant(config, peers, store)
    keyless = Service("qdrant-metrics")
    keyless.route("GET", "/metrics")(lambda _: Answer(qdrant.metrics(), type=TEXT))
    keyless.start(int(ports["metrics_port"]), ports["host"])
    qdrant.service.start(int(ports["http_port"]), ports["host"])
    wait()


if __name__ == "__main__":
    main()

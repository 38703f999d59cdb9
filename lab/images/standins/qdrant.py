"""Qdrant: `./qdrant --config-path FILE --uri URI [--bootstrap URI]`, its REST API with keys, metrics and snapshots."""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
from pathlib import Path
from typing import Any, Final

import yaml

from lab.images.standins import qdrant_rules
from lab.images.standins.common import TEXT, Answer, Request, Service, metric, readable, same, say, wait
from lab.images.standins.peers import Peers
from lab.images.standins.qdrant_points import Points, done, updated
from lab.images.standins.qdrant_rules import refused, unauthorized
from lab.images.standins.vectors import Store, described

VERSION: Final = "1.19.1"
OPEN: Final = ("/", "/healthz", "/livez", "/readyz")
_SHARD: Final = re.compile(r"/collections/[^/]+/shards/\d+/snapshot")
_READS: Final = re.compile(r"/collections/[^/]+/(points(/(search|query|scroll|count|recommend|facet)(/batch)?)?|facet)")


def guard(config: dict[str, Any], request: Request) -> None:
    """The key does all, the read-only key what changes nothing (1.19.0, `src/common/auth/mod.rs`; its 401 is text)."""
    keys = config["service"]
    given = request.header("api-key") or request.bearer()
    if request.path in OPEN or same(given, str(keys.get("api_key") or "")):
        return
    if not given:
        raise unauthorized("Must provide an API key or an Authorization bearer token")
    if not same(given, str(keys.get("read_only_api_key") or "")):
        raise unauthorized("Invalid API key or JWT")
    reads = request.method == "GET" and not _SHARD.fullmatch(request.path)
    if not reads and not (request.method == "POST" and _READS.fullmatch(request.path)):
        raise refused(403, "Forbidden: Global manage access is required")


class Qdrant:
    """One peer."""

    def __init__(self, config: dict[str, Any], peers: Peers, store: Store) -> None:
        self.config, self.store, self.peers = config, store, peers
        self.service = Service("qdrant")
        self.service.guard = self._guard
        self._system()
        self._collections()
        Points(store, peers).register(self.service)
        self._snapshots()
        self._recovery()

    def _guard(self, request: Request) -> None:
        guard(self.config, request)
        qdrant_rules.body(request)

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
            qdrant_rules.new_collection(name, request.json())
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
            qdrant_rules.index(asked)
            schema = asked.get("field_schema", "keyword")
            self.peers.change(do="index", collection=request.groups["c"], field=asked["field_name"], schema=schema)
            return updated()

        @route("GET", "/collections/{c}/cluster")
        def _(request: Request) -> Any:
            store.need(request.groups["c"])
            return done(self.peers.replicas(len(store.points[request.groups["c"]])))

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

    def _recovery(self) -> None:
        route, store = self.service.route, self.store

        @route("GET", "/collections/{c}/shards/{n}/snapshot")
        def _(request: Request) -> Any:
            store.need(request.groups["c"])
            try:
                return Answer(store.shard(request.groups["c"]), type="application/octet-stream")
            except OSError as error:
                raise refused(
                    500, f"Service internal error: Failed to create snapshots temp directory: {error}"
                ) from error

        @route("POST", "/collections/{c}/snapshots/upload")
        def _(request: Request) -> Any:
            content = request.files().get("snapshot", b"")
            wanted, found = request.query.get("checksum", ""), hashlib.sha256(content).hexdigest()
            if wanted and wanted.lower() != found:
                raise refused(400, f"Checksum mismatch: expected {found}, actual {wanted}")
            self.peers.recover(request.groups["c"], content, request.query.get("priority", "replica"))
            return done(True)

        @route("PUT", "/collections/{c}/snapshots/recover")
        def _(request: Request) -> Any:
            asked = request.json()
            location = str(asked.get("location", ""))
            if location.startswith(("http:", "https:")):
                message = "Snapshot recovery from remote URLs is disabled in the configuration"
                raise refused(403, f"Forbidden: {message}")
            content = Path(location.removeprefix("file://")).read_bytes()
            self.peers.recover(request.groups["c"], content, asked.get("priority") or "replica")
            return done(True)


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
    peers = Peers(
        store,
        args.uri,
        args.bootstrap,
        listener=storage.get("node_type") == "Listener",
        rest_port=int(ports["http_port"]),
        api_key=str(ports.get("api_key") or ""),
    )
    # One setting for all its listeners.
    peers.start(int(config["cluster"]["p2p"]["port"]), ports["host"])
    qdrant = Qdrant(config, peers, store)
    try:
        store.upload_folder()
    except OSError as error:
        say(f"called `Result::unwrap()` on an `Err` value: Failed to create upload directory: {error}")
        sys.exit(101)
    keyless = Service("qdrant-metrics")
    keyless.route("GET", "/metrics")(lambda _: Answer(qdrant.metrics(), type=TEXT))
    keyless.start(int(ports["metrics_port"]), ports["host"])
    qdrant.service.start(int(ports["http_port"]), ports["host"])
    wait()


if __name__ == "__main__":
    main()

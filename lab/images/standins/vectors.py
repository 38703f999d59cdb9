"""Collections of vectors with payloads: exact search, filters and snapshots, kept in files."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from lab.images.standins.common import Refused

Point = dict[str, Any]
"""`id`, `vector` (a list, or lists and sparse vectors by name) and `payload`."""
Sparse = Mapping[str, Sequence[Any]]
"""`indices` and `values`."""
_RANGES: Final = {
    "gt": lambda a, b: a > b,
    "gte": lambda a, b: a >= b,
    "lt": lambda a, b: a < b,
    "lte": lambda a, b: a <= b,
}


class Store:
    """All collections of a peer. Each change is one line of a file, so that a crash loses nothing that was answered."""

    def __init__(self, folder: Path, snapshots: Path) -> None:
        self.folder, self.snapshots = folder, snapshots
        self.lock = threading.RLock()
        self.collections: dict[str, dict[str, Any]] = {}
        self.points: dict[str, dict[str, Point]] = {}
        folder.mkdir(parents=True, exist_ok=True)
        self._journal = folder / "journal.jsonl"
        text = self._journal.read_text() if self._journal.exists() else ""
        for line in text.splitlines():
            with contextlib.suppress(ValueError):  # the last line of a crash
                self._do(json.loads(line))
        if text and not text.endswith("\n"):
            self._journal.write_text(f"{text}\n")

    def change(self, **operation: Any) -> None:
        """Do one change and keep it."""
        with self.lock, self._journal.open("a") as file:
            self._do(operation)
            file.write(json.dumps(operation) + "\n")

    def _do(self, operation: dict[str, Any]) -> None:
        name = operation["collection"]
        match operation["do"]:
            case "create":
                self.collections[name] = operation["config"]
                self.points[name] = {}
            case "drop":
                self.collections.pop(name, None)
                self.points.pop(name, None)
            case "index":
                self.collections[name].setdefault("indexes", {})[operation["field"]] = operation["schema"]
            case "put":
                self.points[name].update({str(p["id"]): p for p in operation["points"]})
            case "remove":
                for key in operation["ids"]:
                    self.points[name].pop(str(key), None)

    def need(self, name: str) -> dict[str, Point]:
        """A collection's points."""
        if name not in self.collections:
            raise Refused(404, "", {"status": {"error": f"Not found: Collection `{name}` doesn't exist!"}, "time": 0.0})
        return self.points[name]

    def found(self, name: str, condition: Mapping[str, Any] | None) -> list[Point]:
        """Points that meet a filter, in the order of their ids."""
        with self.lock:
            points = [p for p in self.need(name).values() if meets(p, condition)]
        return sorted(points, key=lambda p: (isinstance(p["id"], str), p["id"]))

    def search(self, name: str, vector: Any, asked: Mapping[str, Any]) -> list[tuple[float, Point]]:
        """The nearest points, best first."""
        self.need(name)
        using = str(asked.get("using") or "")
        distance = self._distance(name, using)
        threshold = asked.get("score_threshold")
        scored = [
            (score(distance, vector, found), point)
            for point in self.found(name, asked.get("filter"))
            if (found := vector_of(point, using)) is not None and len(found) == len(vector)
        ]
        smaller_is_nearer = distance in ("Euclid", "Manhattan")
        scored.sort(key=lambda pair: pair[0], reverse=not smaller_is_nearer)
        if threshold is not None:
            scored = [s for s in scored if (s[0] <= threshold if smaller_is_nearer else s[0] >= threshold)]
        start = int(asked.get("offset") or 0)
        return scored[start : start + int(asked.get("limit", 10))]

    def search_sparse(self, name: str, asked: Sparse, query: Mapping[str, Any]) -> list[tuple[float, Point]]:
        """The points that share most with a sparse vector, best first; rarer indices count more where so set."""
        using = str(query.get("using") or "")
        rarely = (self.collections[name].get("sparse_vectors") or {}).get(using, {}).get("modifier") == "idf"
        every = [vector for point in self.need(name).values() if (vector := sparse_of(point, using))]
        weights = dict(zip(asked["indices"], asked["values"], strict=True))
        for index in weights if rarely else ():
            holding = sum(index in vector for vector in every)
            weights[index] *= math.log(1 + (len(every) - holding + 0.5) / (holding + 0.5))
        scored = [
            (sum(weight * vector.get(index, 0.0) for index, weight in weights.items()), point)
            for point in self.found(name, query.get("filter"))
            if (vector := sparse_of(point, using)) and weights.keys() & vector
        ]
        scored.sort(key=lambda pair: -pair[0])
        return scored[: int(query.get("limit") or 10)]

    def _distance(self, name: str, using: str) -> str:
        vectors = self.collections[name].get("vectors") or {}
        config = vectors if "distance" in vectors else vectors.get(using) or next(iter(vectors.values()), {})
        return str(config.get("distance", "Cosine"))

    def upload_folder(self) -> Path:
        """Made before the REST API listens, which it never does otherwise (Qdrant 1.19.0, `src/actix/mod.rs`, init)."""
        folder = self.temporary() / "upload"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def temporary(self) -> Path:
        """Below the snapshots: `lib/storage/src/content_manager/toc/temp_directories.rs`."""
        return self.snapshots / "tmp"

    def shard(self, name: str) -> bytes:
        """A collection's content, written below the snapshots first, for a peer whose own is too old."""
        content = self._content(name)
        self.temporary().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=self.temporary()) as file:
            file.write(content)
        return content

    def _content(self, name: str) -> bytes:
        with self.lock:
            points = list(self.need(name).values())
            return json.dumps({"config": self.collections[name], "points": points}).encode()

    def snapshot(self, name: str) -> dict[str, Any]:
        """Write a collection to a file of its own."""
        content = self._content(name)
        stamp = time.strftime("%Y-%m-%d-%H-%M-%S", time.gmtime())
        path = self.snapshots / name / f"{name}-{time.time_ns() % 10**9}-{stamp}.snapshot"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return described(path)

    def recover(self, name: str, content: bytes) -> None:
        """Put a snapshot in a collection's place."""
        try:
            saved = json.loads(content)
        except ValueError:
            raise Refused(400, "", {"status": {"error": "Wrong input: not a snapshot"}, "time": 0.0}) from None
        self.change(do="create", collection=name, config=saved["config"])
        self.change(do="put", collection=name, points=saved["points"])


def described(path: Path) -> dict[str, Any]:
    """A snapshot as the API lists it."""
    made = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(path.stat().st_mtime))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"name": path.name, "creation_time": made, "size": path.stat().st_size, "checksum": digest}


def vector_of(point: Point, using: str) -> Sequence[float] | None:
    """The vector that a search looks at."""
    vector = point["vector"]
    if isinstance(vector, dict):
        vector = vector.get(using)
    return vector if isinstance(vector, list) else None


def sparse_of(point: Point, using: str) -> dict[int, float]:
    """A point's sparse vector by index; none is empty."""
    vector = point["vector"].get(using) if isinstance(point["vector"], dict) else None
    return dict(zip(vector["indices"], vector["values"], strict=True)) if isinstance(vector, dict) else {}


def score(distance: str, a: Sequence[float], b: Sequence[float]) -> float:
    """How near two vectors are, in the collection's measure."""
    if distance == "Euclid":
        return math.dist(a, b)
    if distance == "Manhattan":
        return sum(abs(x - y) for x, y in zip(a, b, strict=True))
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    if distance == "Dot":
        return dot
    return dot / ((math.hypot(*a) * math.hypot(*b)) or 1.0)


def meets(point: Point, condition: Mapping[str, Any] | None) -> bool:
    """Whether a point meets a filter."""
    if not condition:
        return True
    must, should, never = (_listed(condition.get(word)) for word in ("must", "should", "must_not"))
    return (
        all(_holds(point, c) for c in must)
        and not any(_holds(point, c) for c in never)
        and (not should or any(_holds(point, c) for c in should))
    )


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if value else []


def _holds(point: Point, condition: Mapping[str, Any]) -> bool:
    if "has_id" in condition:
        return point["id"] in condition["has_id"]
    if "key" not in condition:
        if any(word in condition for word in ("is_empty", "is_null")):
            word = "is_empty" if "is_empty" in condition else "is_null"
            return not list(_values(point.get("payload") or {}, condition[word]["key"].split(".")))
        return meets(point, condition.get("filter", condition))
    values = list(_values(point.get("payload") or {}, str(condition["key"]).split(".")))
    if "match" in condition:
        return any(_matches(value, condition["match"]) for value in values)
    limits = {k: v for k, v in (condition.get("range") or {}).items() if v is not None}
    return any(all(_RANGES[word](value, limit) for word, limit in limits.items()) for value in values)


def _values(payload: Any, keys: Sequence[str]) -> Iterator[Any]:
    """The values at a path; lists count by their items."""
    if isinstance(payload, list):
        for item in payload:
            yield from _values(item, keys)
    elif not keys:
        if payload is not None:
            yield payload
    elif isinstance(payload, dict) and keys[0].removesuffix("[]") in payload:
        yield from _values(payload[keys[0].removesuffix("[]")], keys[1:])


def _matches(value: Any, match: Mapping[str, Any]) -> bool:
    if "any" in match:
        return value in match["any"]
    if "except" in match:
        return value not in match["except"]
    if "text" in match:
        return all(word in str(value).lower() for word in str(match["text"]).lower().split())
    return bool(value == match.get("value"))

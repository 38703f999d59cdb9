"""The stand-in of the vector database: one peer, and three of them."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab.images.standins import peers
from lab.images.standins.common import Refused
from lab.images.standins.peers import Peers
from lab.images.standins.qdrant import Qdrant
from lab.images.standins.vectors import Store, meets, score
from tests.lab.images.conftest import Client

CONFIG: dict[str, Any] = {
    "storage": {"collection": {"replication_factor": 3}},
    "service": {"api_key": "all", "read_only_api_key": "read"},
}
ALL, READ = {"api-key": "all"}, {"api-key": "read"}
SHAPE = {"vectors": {"size": 2, "distance": "Cosine"}}
POINTS = [
    {"id": 1, "vector": [1.0, 0.0], "payload": {"tenant": "a", "n": 1, "tags": ["x", "y"]}},
    {"id": 2, "vector": [0.9, 0.1], "payload": {"tenant": "b", "n": 5}},
    {"id": 3, "vector": [0.0, 1.0], "payload": {"tenant": "a", "n": 9, "deep": {"k": "v"}}},
]


def one(folder: Path) -> Qdrant:
    store = Store(folder / "storage", folder / "snapshots")
    return Qdrant(CONFIG, Peers(store, "http://one:6335", None), store)


@pytest.fixture
def qdrant(tmp_path: Path) -> Qdrant:
    return one(tmp_path)


@pytest.fixture
def client(qdrant: Qdrant, serve: Callable[..., Client]) -> Client:
    found = serve(qdrant.service)
    assert found.ask("PUT", "/collections/c", SHAPE, ALL)[0] == 200
    assert found.ask("PUT", "/collections/c/points?wait=true", {"points": POINTS}, ALL)[0] == 200
    return found


@pytest.mark.parametrize("path", ["/readyz", "/livez", "/healthz", "/"])
def test_health_needs_no_key(client: Client, path: str) -> None:
    assert client.ask("GET", path)[0] == 200


@pytest.mark.parametrize("path", ["/collections", "/metrics", "/cluster"])
@pytest.mark.parametrize("headers", [{}, {"api-key": "wrong"}, {"api-key": ""}])
def test_all_else_does(client: Client, path: str, headers: dict[str, str]) -> None:
    assert client.ask("GET", path, None, headers)[0] == 401
    assert client.ask("GET", path, None, READ)[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/collections/d", SHAPE),
        ("DELETE", "/collections/c", None),
        ("PUT", "/collections/c/points", {"points": POINTS}),
        ("POST", "/collections/c/points/delete", {"points": [1]}),
        ("POST", "/collections/c/points/payload", {"points": [1], "payload": {}}),
        ("POST", "/collections/c/points/batch", {"operations": []}),
        ("POST", "/collections/c/snapshots", None),
    ],
)
def test_the_read_only_key_changes_nothing(client: Client, method: str, path: str, body: Any) -> None:
    assert client.ask(method, path, body, READ)[0] == 403


def test_the_read_only_key_reads(client: Client) -> None:
    status, found = client.ask("POST", "/collections/c/points/query", {"query": [1, 0], "with_payload": True}, READ)
    assert status == 200
    assert [point["id"] for point in found["result"]["points"]] == [1, 2, 3]
    assert client.ask("POST", "/collections/c/points/count", {"filter": {}}, READ)[1]["result"]["count"] == 3


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"must": [{"key": "tenant", "match": {"value": "a"}}]}, [1, 3]),
        ({"must": {"key": "tenant", "match": {"any": ["b", "c"]}}}, [2]),
        ({"must_not": [{"key": "tenant", "match": {"value": "a"}}]}, [2]),
        ({"must": [{"key": "n", "range": {"gt": 1, "lte": 9}}]}, [2, 3]),
        ({"should": [{"has_id": [3]}, {"key": "tags[]", "match": {"value": "y"}}]}, [1, 3]),
        ({"must": [{"key": "deep.k", "match": {"value": "v"}}]}, [3]),
        ({"must": [{"is_empty": {"key": "tags"}}]}, [2, 3]),
        ({"must": [{"must_not": [{"has_id": [1, 2]}]}]}, [3]),
        (None, [1, 2, 3]),
    ],
)
def test_filters(condition: Any, expected: list[int]) -> None:
    assert [point["id"] for point in POINTS if meets(point, condition)] == expected


@pytest.mark.parametrize(
    ("distance", "expected"), [("Cosine", 0.6), ("Dot", 3.0), ("Euclid", 20**0.5), ("Manhattan", 6)]
)
def test_measures(distance: str, expected: float) -> None:
    assert score(distance, [1, 0], [3, 4]) == pytest.approx(expected)


def test_search_keeps_to_limit_threshold_and_filter(client: Client) -> None:
    body = {"query": [1, 0], "limit": 2, "score_threshold": 0.5, "filter": {"must": [{"has_id": [2, 3]}]}}
    _, found = client.ask("POST", "/collections/c/points/query", body, ALL)
    assert [point["id"] for point in found["result"]["points"]] == [2]
    _, found = client.ask("POST", "/collections/c/points/query/batch", {"searches": [body, {"query": 3}]}, ALL)
    assert found["result"][1]["points"][0]["id"] == 3


def test_points_are_scrolled_through(client: Client) -> None:
    _, page = client.ask("POST", "/collections/c/points/scroll", {"limit": 2, "with_vector": True}, ALL)
    assert ([p["id"] for p in page["result"]["points"]], page["result"]["next_page_offset"]) == ([1, 2], 3)
    _, page = client.ask("POST", "/collections/c/points/scroll", {"limit": 2, "offset": 3}, ALL)
    assert ([p["id"] for p in page["result"]["points"]], page["result"]["next_page_offset"]) == ([3], None)


def test_changes_of_a_batch_are_made_in_their_order(client: Client) -> None:
    of_a = {"must": [{"key": "tenant", "match": {"value": "a"}}]}
    changes = [{"set_payload": {"payload": {"tenant": "a"}, "points": [2]}}, {"delete": {"filter": of_a}}]
    assert client.ask("POST", "/collections/c/points/batch", {"operations": [*changes, {"upsert": {}}]}, ALL)[0] == 400
    assert client.ask("POST", "/collections/c/points/count", {}, ALL)[1]["result"]["count"] == 3
    assert client.ask("POST", "/collections/c/points/batch", {"operations": changes}, ALL)[0] == 200
    assert client.ask("POST", "/collections/c/points/count", {}, ALL)[1]["result"]["count"] == 0


def test_a_vector_of_another_size_is_refused(client: Client) -> None:
    status, answer = client.ask("PUT", "/collections/c/points", {"points": [{"id": 9, "vector": [1.0]}]}, ALL)
    assert status == 400
    assert "expected dim: 2, got 1" in answer["status"]["error"]
    assert client.ask("PUT", "/collections/c", SHAPE, ALL)[0] == 409
    assert client.ask("POST", "/collections/none/points/count", {}, ALL)[0] == 404


def test_what_was_answered_is_there_after_a_crash(client: Client, tmp_path: Path) -> None:
    with (tmp_path / "storage" / "journal.jsonl").open("a") as journal:
        journal.write('{"do": "put", "collec')
    again = one(tmp_path)
    again.store.change(do="remove", collection="c", ids=[1])
    assert one(tmp_path).store.points["c"].keys() == {"2", "3"}


def test_a_snapshot_brings_a_collection_back(client: Client) -> None:
    name = client.ask("POST", "/collections/c/snapshots", None, ALL)[1]["result"]["name"]
    listed = client.ask("GET", "/collections/c/snapshots", None, ALL)[1]["result"]
    content = client.ask("GET", f"/collections/c/snapshots/{name}", None, ALL)[1]
    assert ([entry["name"] for entry in listed], listed[0]["size"]) == ([name], len(content))
    client.ask("DELETE", "/collections/c", None, ALL)
    form = b'--b\r\nContent-Disposition: form-data; name="snapshot"; filename="s"\r\n\r\n' + content + b"\r\n--b--\r\n"
    headers = {**ALL, "content-type": "multipart/form-data; boundary=b"}
    assert client.ask("POST", "/collections/c/snapshots/upload?priority=snapshot", form, headers)[0] == 200
    assert client.ask("POST", "/collections/c/points/count", {}, ALL)[1]["result"]["count"] == 3


def test_a_snapshot_is_taken_from_no_other_place(client: Client) -> None:
    body = {"location": "http://169.254.169.254/latest"}
    assert client.ask("PUT", "/collections/c/snapshots/recover", body, ALL)[0] == 403
    assert client.ask("GET", "/collections/c/snapshots/..%2F..%2Fstorage%2Fjournal.jsonl", None, ALL)[0] == 404


@pytest.fixture
def cluster(
    tmp_path: Path, serve: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> tuple[list[Peers], Callable[[int], None]]:
    """Three peers that know each other, and a way to cut one off."""
    monkeypatch.setattr(peers, "SECONDS", 0.5)
    found = [Peers(Store(tmp_path / str(n) / "s", tmp_path / str(n) / "p"), "", None) for n in range(3)]
    uris = [f"http://127.0.0.1:{serve(peer.service).port}" for peer in found]
    for peer, uri in zip(found, uris, strict=True):
        peer.uri, peer.members = uri, list(uris)

    def cut(away: int) -> None:
        for peer in found:
            for place, uri in enumerate(uris):
                if away in (place, found.index(peer)) and uri != peer.uri:
                    peer.members[place] = "http://127.0.0.1:1"

    return found, cut


def test_a_change_reaches_every_peer(cluster: tuple[list[Peers], Callable[[int], None]]) -> None:
    found, _ = cluster
    found[0].change(do="create", collection="c", config=SHAPE)
    found[2].change(do="put", collection="c", points=POINTS)
    assert [peer.store.points["c"].keys() for peer in found] == [{"1", "2", "3"}] * 3
    assert [peer.version for peer in found] == [2] * 3


def test_most_of_the_peers_are_enough(cluster: tuple[list[Peers], Callable[[int], None]]) -> None:
    found, cut = cluster
    cut(2)
    found[0].change(do="create", collection="c", config=SHAPE)
    assert ("c" in found[1].store.collections, "c" in found[2].store.collections) == (True, False)
    with pytest.raises(Refused) as refused:
        found[2].change(do="create", collection="d", config=SHAPE)
    assert refused.value.answer.status == 500


def test_who_comes_back_catches_up(tmp_path: Path, serve: Callable[..., Client]) -> None:
    ahead = Peers(Store(tmp_path / "a", tmp_path / "ap"), "", None)
    ahead.uri = f"http://127.0.0.1:{serve(ahead.service).port}"
    ahead.members = [ahead.uri]
    ahead.change(do="create", collection="c", config=SHAPE)
    ahead.change(do="put", collection="c", points=POINTS)
    late = Peers(Store(tmp_path / "b", tmp_path / "bp"), "http://127.0.0.1:1", ahead.uri)
    late.start(0, "127.0.0.1")
    end = time.monotonic() + 10
    while late.version < 2 and time.monotonic() < end:
        time.sleep(0.05)
    assert late.store.points["c"].keys() == {"1", "2", "3"}
    assert sorted(ahead.members) == sorted([ahead.uri, "http://127.0.0.1:1"])

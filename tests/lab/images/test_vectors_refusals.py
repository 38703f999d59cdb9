"""What the stand-in of the vector database refuses, as Qdrant 1.19 does, and how a peer gets what it missed."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab.images.standins import peers, qdrant_rules
from lab.images.standins.common import Refused
from lab.images.standins.peers import Peers
from lab.images.standins.qdrant import Qdrant
from lab.images.standins.vectors import Store
from tests.contracts.upstream_facts import read
from tests.lab.images.conftest import Client
from tests.lab.images.test_vectors import ALL, CONFIG, POINTS, READ, SHAPE, one

NAMED = {"vectors": {"dense": {"size": 2, "distance": "Dot"}}, "sparse_vectors": {"words": {}}}


@pytest.fixture
def client(tmp_path: Path, serve: Callable[..., Client]) -> Client:
    found = serve(one(tmp_path).service)
    assert found.ask("PUT", "/collections/c", SHAPE, ALL)[0] == 200
    assert found.ask("PUT", "/collections/named", NAMED, ALL)[0] == 200
    assert found.ask("PUT", "/collections/c/points", {"points": POINTS}, ALL)[0] == 200
    return found


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("PUT", "d", {"vectors": {"size": 2, "distance": "cosine"}}, 400, "untagged enum VectorsConfig"),
        ("PUT", "d", {"vectors": {"size": 0, "distance": "Dot"}}, 400, "untagged enum VectorsConfig"),
        ("PUT", "d", {"vectors": {"size": 70000, "distance": "Dot"}}, 422, "must be from 1 to 65536"),
        ("PUT", "d", {**SHAPE, "replication_factor": 0}, 422, "replication_factor: value 0 invalid"),
        ("PUT", "a%3Ab", SHAPE, 422, 'collection name cannot contain ":"'),
        ("PUT", "c/index", {"field_name": "n", "field_schema": "int"}, 400, "untagged enum PayloadFieldSchema"),
        ("PUT", "c/points", {"points": [{"id": -1, "vector": [1, 0]}]}, 400, "not a valid point ID"),
        ("PUT", "c/points", {"points": [{"id": "one", "vector": [1, 0]}]}, 400, "not a valid point ID"),
        (
            "PUT",
            "c/points",
            {"points": [{"id": 1, "vector": {"dense": [1, 0]}}]},
            400,
            "Not existing vector name error",
        ),
        ("PUT", "named/points", {"points": [{"id": 1, "vector": [1, 0]}]}, 400, "Not existing vector name error"),
        ("PUT", "named/points", {"points": [{"id": 1, "vector": {"words": [1, 0]}}]}, 400, "sparse and regular"),
        (
            "PUT",
            "named/points",
            {"points": [{"id": 1, "vector": {"words": {"indices": [1, 1], "values": [1, 2]}}}]},
            422,
            "indices: must be unique",
        ),
        ("POST", "c/points/query", {"query": [1, 0, 0]}, 400, "expected dim: 2, got 3"),
        ("POST", "named/points/query", {"query": [1, 0]}, 400, "Not existing vector name error"),
        ("POST", "c/points/query", {"query": [1, 0], "limit": 0}, 422, "limit: value 0 invalid"),
        ("POST", "none/points/query", {"query": [1, 0]}, 404, "Collection `none` doesn't exist!"),
    ],
)
def test_what_does_not_fit_is_refused(
    client: Client, method: str, path: str, body: Any, status: int, said: str
) -> None:
    found, answer = client.ask(method, f"/collections/{path}", body, ALL)
    assert found == status
    assert said in answer["status"]["error"]


@pytest.mark.parametrize("given", [1, 2**64 - 1, "6f0d8ba0-cb1a-4b7e-9b6e-0f3c7f0f3b7a"])
def test_ids_are_whole_numbers_or_uuids(client: Client, given: int | str) -> None:
    body = {"points": [{"id": given, "vector": [1, 0]}]}
    assert client.ask("PUT", "/collections/c/points", body, ALL)[0] == 200


def test_a_missing_and_a_wrong_key_are_told_apart_in_text(client: Client) -> None:
    assert client.ask("GET", "/collections") == (401, "Must provide an API key or an Authorization bearer token")
    assert client.ask("GET", "/collections", None, {"api-key": "x"}) == (401, "Invalid API key or JWT")


def test_a_shard_is_handed_to_who_may_write(client: Client) -> None:
    assert client.ask("GET", "/collections/c/shards/0/snapshot", None, READ)[0] == 403
    assert client.ask("GET", "/collections/c/shards/0/snapshot", None, ALL)[0] == 200


def test_an_upload_has_the_checksum_that_it_names(client: Client) -> None:
    form = b'--b\r\nContent-Disposition: form-data; name="snapshot"; filename="s"\r\n\r\n{}\r\n--b--\r\n'
    headers = {**ALL, "content-type": "multipart/form-data; boundary=b"}
    status, answer = client.ask("POST", "/collections/c/snapshots/upload?checksum=00", form, headers)
    assert (status, "Checksum mismatch" in answer["status"]["error"]) == (400, True)
    status, answer = client.ask("POST", "/collections/c/snapshots/upload?priority=mine", form, headers)
    assert (status, "unknown variant `mine`" in answer["status"]["error"]) == (400, True)


def test_a_body_has_a_limit_that_snapshots_do_not_have(client: Client) -> None:
    body = b"[" + b" " * qdrant_rules.BODY + b"]"
    status, answer = client.ask("PUT", "/collections/c/points", body, {**ALL, "content-type": "application/json"})
    assert (status, "is larger than allowed" in answer["status"]["error"]) == (400, True)
    form = b'--b\r\nContent-Disposition: form-data; name="snapshot"\r\n\r\n' + body + b"\r\n--b--\r\n"
    headers = {**ALL, "content-type": "multipart/form-data; boundary=b"}
    _, answer = client.ask("POST", "/collections/c/snapshots/upload?checksum=00", form, headers)
    assert "Checksum mismatch" in answer["status"]["error"]


def test_the_limits_are_those_of_upstream_s_file() -> None:
    limits = {fact.name: fact.get("value") for fact in read("qdrant").limits}
    assert limits["dimensions of a vector"] == qdrant_rules.DIMENSIONS
    assert limits["MiB of a request (service.max_request_size_mb)"] << 20 == qdrant_rules.BODY


Pair = tuple[Peers, Peers]


@pytest.fixture
def pair(tmp_path: Path, serve: Callable[..., Client], monkeypatch: pytest.MonkeyPatch) -> Pair:
    """One that holds a collection, and one that knows it and has nothing yet."""
    monkeypatch.setattr(peers, "SECONDS", 0.5)
    monkeypatch.setattr(peers, "EVERY", 0.05)
    ahead = Peers(Store(tmp_path / "a" / "s", tmp_path / "a" / "p"), "", None, api_key="all")
    ahead.uri = f"http://127.0.0.1:{serve(ahead.service).port}"
    ahead.members = [ahead.uri]
    ahead.rest_port = serve(Qdrant(CONFIG, ahead, ahead.store).service).port
    ahead.change(do="create", collection="c", config=SHAPE)
    ahead.change(do="put", collection="c", points=POINTS)
    late = Peers(Store(tmp_path / "b" / "s", tmp_path / "b" / "p"), "http://127.0.0.1:1", ahead.uri, api_key="all")
    return ahead, late


def caught_up(late: Peers, seconds: float) -> bool:
    """Whether it holds the points, after so long at most."""
    late.start(0, "127.0.0.1")
    end = time.monotonic() + seconds
    while len(late.store.points.get("c", {})) < len(POINTS) and time.monotonic() < end:
        time.sleep(0.02)
    return len(late.store.points.get("c", {})) == len(POINTS)


def test_what_is_remembered_comes_change_by_change_without_the_rest_port(pair: Pair) -> None:
    ahead, late = pair
    ahead.rest_port = 1
    assert caught_up(late, 20)


def test_what_is_too_old_comes_as_a_snapshot_from_the_rest_port(pair: Pair) -> None:
    ahead, late = pair
    ahead._log.clear()
    assert caught_up(late, 20)
    assert (late.store.snapshots / "c").is_dir()


@pytest.mark.parametrize("why", ["port", "key", "folder"])
def test_without_the_port_the_key_or_a_folder_it_stays_behind(
    pair: Pair, capsys: pytest.CaptureFixture[str], why: str
) -> None:
    ahead, late = pair
    ahead._log.clear()
    if why == "port":
        ahead.rest_port = 1
    elif why == "key":
        late.api_key = "read"
    else:
        # Root writes everywhere: a file where the folder should be is what nobody gets past.
        late.store.snapshots.write_text("")
    assert not caught_up(late, 0.5)
    late._catch_up(ahead.uri)
    assert "Failed to transfer shard c:0" in capsys.readouterr().out


def test_a_restore_with_the_default_priority_is_undone_by_the_other_copies(pair: Pair) -> None:
    ahead, _ = pair
    ahead._versions = {"http://127.0.0.1:2": 2}
    ahead.recover("c", b'{"config": {"vectors": {"size": 2, "distance": "Dot"}}, "points": []}', "replica")
    assert len(ahead.store.points["c"]) == len(POINTS)
    with pytest.raises(Refused):
        ahead.recover("c", b"{}", "mine")


def test_without_a_folder_for_uploads_it_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "snapshots").write_text("")
    with pytest.raises(OSError, match="snapshots"):
        Store(tmp_path / "storage", tmp_path / "snapshots").upload_folder()

"""Documents that runs take in, and a vector database that was lost: real workers, and the lab's stand-in of Qdrant."""

import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from lab.images.standins.peers import Peers
from lab.images.standins.qdrant import Qdrant
from lab.images.standins.vectors import Store
from tests.services.agents import made
from tests.services.agents.conftest import KEY, Worker, serving
from tests.services.agents.servers import Postgres, wait_until
from tests.services.agents.stand_in import StandIn
from tests.services.agents.team import ended, events

LONG = made.pdf([None] * 45)
"""Three conversions."""
TEXT = "\n\n".join(
    f"{made.LIGHTHOUSE} Paragraph {number}. " + "Waves break on the rocks. " * 30 for number in range(60)
)


class Vectors:
    """The vector database, and what befalls it."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder / "storage", folder / "snapshots")
        keys = {"api_key": "secret-of-qdrant-key", "read_only_api_key": "secret-of-qdrant-read-only-key"}
        server = Qdrant({"storage": {}, "service": keys}, Peers(self.store, "http://one:6335", None), self.store)
        self.listening = server.service.start(0, "127.0.0.1")
        self.url = f"http://127.0.0.1:{self.listening.server_address[1]}"

    def lose(self, keep: Callable[[int, dict[str, Any]], bool] | None = None) -> None:
        """All collections, or all points but those to `keep`."""
        for name, points in [*self.store.points.items()]:
            if keep is None:
                self.store.change(do="drop", collection=name)
            else:
                gone = [key for at, (key, point) in enumerate(points.items()) if not keep(at, point)]
                self.store.change(do="remove", collection=name, ids=gone)


@pytest.fixture(scope="module")
def vector_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vectors]:
    made = Vectors(tmp_path_factory.mktemp("vectors"))
    yield made
    made.listening.shutdown()
    made.listening.server_close()


@pytest.fixture(scope="module")
def with_server(environment: dict[str, str], vector_server: Vectors) -> dict[str, str]:
    return {**environment, "AGENTS_QDRANT_URL": vector_server.url}


@pytest.fixture(scope="module")
def its_url(with_server: dict[str, str]) -> Iterator[str]:
    with serving(with_server) as url:
        wait_until(lambda: httpx.get(f"{url}/ready").status_code == 200, what="readiness")
        yield url


@pytest.fixture
def mine(its_url: str, tenant: str, upstream: StandIn) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {KEY}", "x-consumer-username": tenant}
    with httpx.Client(base_url=its_url, headers=headers, timeout=90) as client:
        yield client


@pytest.fixture
def worker(with_server: dict[str, str]) -> Iterator[Worker]:
    started = Worker(with_server)
    yield started
    started.stop()


def _send(client: httpx.Client, content: str | bytes, name: str = "a.txt", **data: str) -> dict[str, Any]:
    answer = client.post("/v1/documents", files={"file": (name, content)}, data=data)
    assert answer.status_code in (200, 201, 202), answer.text
    sent: dict[str, Any] = answer.json()
    return sent


def _later(client: httpx.Client, content: bytes) -> dict[str, Any]:
    sent = _send(client, content, "long.pdf", wait="false")
    assert (sent["outcome"], sent["status"]) == ("accepted", "ingesting")
    return sent


def _state(client: httpx.Client, document: dict[str, Any]) -> dict[str, Any]:
    state: dict[str, Any] = client.get(f"/v1/documents/{document['id']}").json()
    return state


def _found(client: httpx.Client) -> list[dict[str, Any]]:
    answer = client.post("/v1/search", json={"query": "who built the lighthouse?"})
    assert answer.status_code == 200, answer.text
    hits: list[dict[str, Any]] = answer.json()["data"]
    return hits


def _settled(client: httpx.Client, document: dict[str, Any]) -> dict[str, Any]:
    wait_until(lambda: _state(client, document)["status"] != "ingesting", 120, "the document's end")
    return _state(client, document)


def test_a_long_document_says_how_far_it_is_and_is_found_when_it_is_whole(
    mine: httpx.Client, upstream: StandIn, worker: Worker
) -> None:
    upstream.docling.delay = 2
    sent = _later(mine, LONG)
    assert sent["progress"]["pages"] == 45
    seen = set()
    while (state := _state(mine, sent))["status"] == "ingesting":
        seen.add((state["progress"] or {}).get("pages_done"))
        assert _found(mine) == [], "not in parts"
        time.sleep(0.2)
    assert {0, 20, 40} <= seen
    assert (state["status"], state["progress"], state["error"], state["run"]) == ("ready", None, None, None)
    assert len(upstream.docling.converted) == 3
    assert _found(mine)[0]["source"] == "long.pdf"
    run = ended(mine, {"id": sent["run"]})
    assert (run["status"], run["result"]["document"]) == ("succeeded", sent["id"])
    assert _send(mine, LONG, "long.pdf", wait="false")["outcome"] == "unchanged"


def test_a_document_whose_worker_dies_goes_on_where_it_was(
    mine: httpx.Client, upstream: StandIn, with_server: dict[str, str]
) -> None:
    first = Worker(with_server)
    upstream.docling.delay = 1
    sent = _later(mine, LONG)
    wait_until(lambda: (_state(mine, sent)["progress"] or {}).get("pages_done", 0) >= 20, what="the first pages")
    first.kill()
    before = len(upstream.docling.converted)
    assert _state(mine, sent)["status"] == "ingesting"
    second = Worker(with_server)
    try:
        assert _settled(mine, sent)["status"] == "ready"
    finally:
        second.stop()
    assert len(upstream.docling.converted) <= before + 2, "what was read is not read again"
    assert _found(mine)


def test_a_document_that_cannot_be_read_says_so_and_can_be_sent_again(
    mine: httpx.Client, upstream: StandIn, worker: Worker
) -> None:
    upstream.docling.text = None
    state = _settled(mine, _later(mine, made.SCANNED))
    assert (state["status"], state["error"]["code"]) == ("failed", "document_unreadable")
    upstream.docling.text = made.LIGHTHOUSE
    assert _settled(mine, _later(mine, made.SCANNED))["status"] == "ready"


def test_what_is_refused_at_a_glance_is_refused_at_once(mine: httpx.Client) -> None:
    answer = mine.post("/v1/documents", files={"file": ("a.pdf", b"\0\1\2")}, data={"wait": "false"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported_document")
    assert mine.get("/v1/documents").json()["data"] == []


def test_a_cancelled_document_has_failed_and_one_whose_file_was_lost_too(
    mine: httpx.Client, postgres: Postgres, with_server: dict[str, str]
) -> None:
    first = _later(mine, LONG)
    assert mine.post(f"/v1/runs/{first['run']}/cancel").json()["status"] == "cancelled"
    assert _state(mine, first)["error"]["code"] == "ingest_interrupted"
    second = _later(mine, LONG)
    postgres.psql("TRUNCATE document_files")  # as a crash of Postgres leaves it
    worker = Worker(with_server)
    try:
        state = _settled(mine, second)
    finally:
        worker.stop()
    assert (state["status"], state["error"]["code"]) == ("failed", "document_lost")


def test_an_ingest_that_died_with_its_process_has_failed_and_the_same_again_completes_it(
    mine: httpx.Client, postgres: Postgres
) -> None:
    sent = _send(mine, TEXT)
    postgres.psql(f"UPDATE documents SET status = 'ingesting' WHERE id = '{sent['id']}'")  # noqa: S608 - ours
    state = _state(mine, sent)
    assert (state["status"], state["error"]["code"]) == ("failed", "ingest_interrupted")
    assert (_send(mine, TEXT)["outcome"], _state(mine, sent)["status"]) == ("completed", "ready")


def test_sending_a_document_again_restores_its_vectors(mine: httpx.Client, vector_server: Vectors) -> None:
    sent = _send(mine, TEXT)
    assert _send(mine, TEXT)["outcome"] == "unchanged"
    for keep in (None, lambda at, _point: at % 2):
        vector_server.lose(keep)
        assert _send(mine, TEXT)["outcome"] == "restored"
        assert len(_found(mine)) == 6
        again = _send(mine, TEXT)
        assert (again["outcome"], again["chunks"]) == ("unchanged", sent["chunks"])


def _reindexed(client: httpx.Client, **asked: bool) -> dict[str, Any]:
    answer = client.post("/v1/documents:reindex", json=asked)
    assert answer.status_code == 202, answer.text
    run = ended(client, answer.json(), 120)
    assert run["status"] == "succeeded", run
    result: dict[str, Any] = run["result"]
    return result


def test_a_reindex_brings_everything_back(
    mine: httpx.Client, upstream: StandIn, vector_server: Vectors, postgres: Postgres, worker: Worker
) -> None:
    scan = _send(mine, made.SCANNED, "scan.pdf")
    documents = [scan, _send(mine, TEXT), _send(mine, made.word(), "word.docx")]
    vector_server.lose()
    assert _found(mine) == []
    done = _reindexed(mine)
    assert (done["documents"], done["rebuilt"], done["failed"], done["send_again"]) == (3, 3, [], [])
    assert {hit["source"] for hit in _found(mine)} >= {"scan.pdf", "a.txt"}
    assert len(upstream.docling.converted) == 1, "from the text that is kept"
    assert _send(mine, made.SCANNED, "scan.pdf")["outcome"] == "unchanged"
    done = _reindexed(mine, only_missing=True)
    assert (done["whole"], done["rebuilt"]) == (3, 0)
    # As after the restore of an older state: one document is deleted since, one was taken in before texts were kept.
    postgres.psql(f"DELETE FROM documents WHERE id = '{documents[1]['id']}'")  # noqa: S608 - ours
    postgres.psql(f"DELETE FROM document_texts WHERE document = '{scan['id']}'")  # noqa: S608 - ours
    done = _reindexed(mine)
    assert (done["strays"], done["rebuilt"], done["send_again"]) == (1, 1, [scan["id"]])
    assert {hit["source"] for hit in _found(mine)} <= {"scan.pdf", "word.docx"}


def test_a_reindex_is_one_run_however_often_it_is_asked_for(
    mine: httpx.Client, with_server: dict[str, str], postgres: Postgres
) -> None:
    _send(mine, TEXT)
    first, second = (mine.post("/v1/documents:reindex").json()["id"] for _ in range(2))
    assert first == second
    assert mine.post("/v1/documents:reindex", json={"only": 1}).status_code == 400
    worker = Worker(with_server)
    try:
        assert ended(mine, {"id": first})["result"]["rebuilt"] == 1
    finally:
        worker.stop()
    assert "progress" in [event["type"] for event in events(mine, {"id": first})]


def test_while_a_reindex_goes_on_everything_is_found(
    mine: httpx.Client, upstream: StandIn, vector_server: Vectors, worker: Worker
) -> None:
    _send(mine, TEXT)
    run = mine.post("/v1/documents:reindex").json()
    while mine.get(f"/v1/runs/{run['id']}").json()["status"] not in ("succeeded", "failed"):
        assert len(_found(mine)) == 6


def test_a_document_nobody_knows(mine: httpx.Client) -> None:
    answer = mine.get(f"/v1/documents/{uuid.uuid4()}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "document_not_found")


def test_of_two_contents_the_later_is_there_in_the_end(mine: httpx.Client, with_server: dict[str, str]) -> None:
    """Both accepted before a worker begins; the run of the first finds that it is not wanted, and does no harm."""
    first = _send(mine, "An older text about ships.", "a.txt", wait="false")
    second = _send(mine, made.LIGHTHOUSE, "a.txt", wait="false")
    worker = Worker(with_server)
    try:
        assert ended(mine, {"id": first["run"]})["error"]["code"] == "document_lost"
        assert ended(mine, {"id": second["run"]})["status"] == "succeeded"
    finally:
        worker.stop()
    assert (_state(mine, second)["status"], _state(mine, second)["error"]) == ("ready", None)
    assert [hit["text"] for hit in _found(mine)] == [made.LIGHTHOUSE]

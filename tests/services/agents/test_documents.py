"""Documents: ingest, search, cited answers. The vector database is Qdrant's own local mode,
a stand-in for its server."""

import gzip
import io
import itertools
import threading
import time
import uuid
import zipfile
from typing import Any

import httpx
import openai
import pytest
from qdrant_client import AsyncQdrantClient

from tests.services.agents.conftest import KEY, RELEVANT, serving
from tests.services.agents.made import SCANNED
from tests.services.agents.servers import Postgres, wait_until
from tests.services.agents.stand_in import PNG, Say, StandIn

# Of the local mode alone.
pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant")

LIGHTHOUSE = "The lighthouse at Cape Verity was built in 1871 by Elias Thorn. Its lamp is lit at dusk."
BREAD = "Our bakery's sourdough needs twelve hours of rest before it goes into the oven at 240 degrees."


def _send(client: httpx.Client, content: str | bytes, name: str = "a.txt", source: str | None = None) -> httpx.Response:
    data = {"source": source} if source else {}
    return client.post("/v1/documents", files={"file": (name, content)}, data=data)


def _found(client: httpx.Client, query: str) -> list[dict[str, Any]]:
    answer = client.post("/v1/search", json={"query": query})
    assert answer.status_code == 200, answer.text
    hits: list[dict[str, Any]] = answer.json()["data"]
    return hits


def test_ingest_search_list_delete(mine: httpx.Client) -> None:
    made = _send(mine, LIGHTHOUSE, source="lights")
    assert (made.status_code, made.json()["outcome"], made.json()["chunks"]) == (201, "created", 1)
    _send(mine, BREAD, source="bread")
    hits = _found(mine, "who built the lighthouse?")
    assert hits[0]["source"] == "lights"
    assert hits[0]["position"] == 0
    listed = mine.get("/v1/documents").json()["data"]
    assert {document["source"] for document in listed} == {"lights", "bread"}
    assert mine.delete(f"/v1/documents/{made.json()['id']}").status_code == 204
    assert "lights" not in {hit["source"] for hit in _found(mine, "who built the lighthouse?")}
    assert mine.delete(f"/v1/documents/{made.json()['id']}").status_code == 404


def test_the_same_again_changes_nothing(mine: httpx.Client, upstream: StandIn) -> None:
    first = _send(mine, LIGHTHOUSE)
    embedded = list(upstream.embedded)
    second = _send(mine, LIGHTHOUSE)
    assert (second.status_code, second.json()["outcome"]) == (200, "unchanged")
    assert second.json()["id"] == first.json()["id"]
    assert upstream.embedded == embedded, "nothing was embedded again"
    assert len(_found(mine, "lighthouse")) == 1


def test_a_change_replaces_all_old_chunks(mine: httpx.Client) -> None:
    long = "\n\n".join(f"{LIGHTHOUSE} Paragraph {number}. " + "Waves break on the rocks. " * 20 for number in range(12))
    first = _send(mine, long, "doc.md")
    assert first.json()["chunks"] > 5
    second = _send(mine, BREAD, "doc.md")
    assert (second.json()["outcome"], second.json()["chunks"]) == ("replaced", 1)
    assert [hit["text"] for hit in _found(mine, "sourdough rest")] == [BREAD]
    assert _found(mine, "lighthouse built by Elias Thorn") == []


def test_chunks_overlap_and_know_their_place(mine: httpx.Client) -> None:
    text = " ".join(f"Sentence number {number} is about ships." for number in range(200))
    _send(mine, text, "ships.txt")
    hits = mine.post("/v1/search", json={"query": "sentences about ships", "limit": 50}).json()["data"]
    ordered = sorted(hits, key=lambda hit: hit["position"])
    assert len(ordered) > 3
    for before, after in itertools.pairwise(ordered):
        assert text[before["start"] :].startswith(before["text"])
        assert after["start"] < before["start"] + len(before["text"]), "the next begins before this one ends"


def test_embeddings_are_made_in_batches(mine: httpx.Client, upstream: StandIn) -> None:
    text = "\n\n".join(f"Paragraph {number}. " + "It rained on the harbour all day long. " * 27 for number in range(80))
    made = _send(mine, text)
    assert made.json()["chunks"] >= 80
    assert max(upstream.embedded) == 32
    assert sum(upstream.embedded) == made.json()["chunks"]


def test_an_interrupted_ingest_is_finished_by_a_retry(mine: httpx.Client, upstream: StandIn) -> None:
    text = "\n\n".join(
        f"Paragraph {number} on tides. " + "The water rises and falls twice. " * 30 for number in range(140)
    )
    upstream.embedding_fault_after = 4
    broken = _send(mine, text, "tides.txt")
    assert (broken.status_code, broken.json()["error"]["code"]) == (503, "dependency_unavailable")
    [document] = mine.get("/v1/documents").json()["data"]
    assert (document["status"], document["error"]["code"]) == ("failed", "ingest_interrupted")
    assert _found_without_fault(mine, upstream, "tides") == [], "nothing half-stored is found"
    done = _send(mine, text, "tides.txt")
    assert (done.status_code, done.json()["outcome"], done.json()["status"]) == (200, "completed", "ready")
    assert len(_found(mine, "paragraph on tides")) == 6


def _found_without_fault(client: httpx.Client, upstream: StandIn, query: str) -> list[dict[str, Any]]:
    upstream.embedding_fault_after = None
    return _found(client, query)


def test_an_interrupted_replacement_leaves_the_old_one(mine: httpx.Client, upstream: StandIn) -> None:
    _send(mine, LIGHTHOUSE)
    upstream.embedding_fault_after = 0
    assert _send(mine, BREAD).status_code == 503
    assert [hit["text"] for hit in _found_without_fault(mine, upstream, "who built the lighthouse")] == [LIGHTHOUSE]


def test_tenants_are_apart(mine: httpx.Client, http: httpx.Client, tenant: str) -> None:
    made = _send(mine, f"The secret word of the guild is heliotrope. {uuid.uuid4()}", source="guild").json()
    query = "what is the secret word of the guild?"
    assert _found(mine, query)
    for other in ({}, {"x-consumer-username": "someone-else"}, {"x-consumer-username": tenant.upper()}):
        found = http.post("/v1/search", json={"query": query}, headers=other).json()["data"]
        assert all("heliotrope" not in hit["text"] for hit in found)
        assert http.delete(f"/v1/documents/{made['id']}", headers=other).status_code == 404
        listed = http.get("/v1/documents", headers=other).json()["data"]
        assert made["id"] not in {document["id"] for document in listed}
    extra = http.post("/v1/search", json={"query": query, "tenant": tenant, "filter": {}})
    assert extra.status_code == 400, "a caller has no say in the filter"


def test_html_is_read_as_it_is_seen(mine: httpx.Client) -> None:
    page = (
        "<html><head><style>p{}</style><script>var evil</script></head><body><h1>Tides</h1><p>High water at noon.</p>"
    )
    _send(mine, page + "<p hidden>invisible words</p></body></html>", "page.html")
    text = _found(mine, "high water")[0]["text"]
    assert "High water at noon." in text
    assert not any(word in text for word in ("evil", "invisible", "<p>"))


@pytest.mark.parametrize(("content", "media"), [(PNG, "image/png"), (SCANNED, "application/pdf")])
def test_scans_are_read_by_the_ocr_service(mine: httpx.Client, upstream: StandIn, content: bytes, media: str) -> None:
    made = _send(mine, content, "scan.bin")
    assert (made.status_code, made.json()["media_type"]) == (201, media)
    assert upstream.docling.converted == [content]
    assert "1871" in _found(mine, "when was the lighthouse built")[0]["text"]


def _zip_bomb() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", b"\0" * 50_000_000)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 400, "document_empty"),
        (b"   \n ", 400, "document_empty"),
        (b"\x00\x01\x02\xff" * 500, 415, "unsupported_document"),
        (b"MZ\x90\x00 an executable", 415, "unsupported_document"),
        (gzip.compress(b"\0" * 10_000_000), 415, "unsupported_document"),
        (_zip_bomb(), 415, "unsupported_document"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x01\x00\x00\x00\x01\x00\x00", 413, "image_too_large"),
        (b"x" * (3 << 20), 413, "request_too_large"),
    ],
    ids=["empty", "blank", "garbage", "exe", "gzip bomb", "zip bomb", "pixel bomb", "huge"],
)
def test_bad_documents_leave_nothing(mine: httpx.Client, content: bytes, status: int, code: str) -> None:
    answer = _send(mine, content, "a.txt")
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert mine.get("/v1/documents").json()["data"] == []


def test_an_unreadable_scan_leaves_what_was_there(mine: httpx.Client, upstream: StandIn) -> None:
    _send(mine, LIGHTHOUSE, source="one")
    upstream.docling.text = None
    answer = _send(mine, PNG, source="one")
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "document_unreadable")
    assert mine.get("/v1/documents").json()["data"][0]["status"] == "ready"


def test_answers_cite_their_sources(base_url: str, mine: httpx.Client, upstream: StandIn, tenant: str) -> None:
    _send(mine, LIGHTHOUSE, source="lights")
    upstream.script = lambda _: Say("Elias Thorn built it [1], they say [9].")
    with openai.OpenAI(
        base_url=f"{base_url}/v1", api_key=KEY, default_headers={"x-consumer-username": tenant}
    ) as client:
        messages: Any = [{"role": "user", "content": "Who built the lighthouse, according to our documents?"}]
        answer: Any = client.chat.completions.create(model="auto", messages=messages)
        assert answer.metadata["route"] == "search"
        assert answer.metadata["sources"][0]["source"] == "lights"
        assert (answer.metadata["cited"], answer.metadata["invented_citations"]) == ([1], [9])
        assert LIGHTHOUSE in upstream.chats[0]["messages"][1]["content"]
        streamed = list(client.chat.completions.create(model="search", messages=messages, stream=True))
        assert "".join(chunk.choices[0].delta.content or "" for chunk in streamed).startswith("Elias Thorn")


def test_nothing_relevant_is_said_without_asking_a_model(mine: httpx.Client, upstream: StandIn) -> None:
    _send(mine, BREAD)
    body = {"model": "search", "messages": [{"role": "user", "content": "Who won the chess match in Reykjavik?"}]}
    answer = mine.post("/v1/chat/completions", json=body).json()
    assert answer["choices"][0]["message"]["content"] == "I found nothing relevant to this in the documents."
    assert answer["metadata"]["sources"] == []
    assert not upstream.chats


def test_two_at_once_do_not_mix(mine: httpx.Client, postgres: Postgres) -> None:
    made = _send(mine, LIGHTHOUSE).json()
    number = int.from_bytes(uuid.UUID(made["id"]).bytes[:8], "big", signed=True)
    statement = f"SELECT pg_advisory_lock({number}); SELECT pg_sleep(2)"
    other = threading.Thread(target=postgres.psql, args=(statement,))
    other.start()
    time.sleep(0.7)
    answer = _send(mine, BREAD)
    other.join()
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "document_busy")
    assert int(answer.headers["retry-after"]) > 0
    assert _send(mine, BREAD).json()["outcome"] == "replaced"


CODES = ["40817", "48017", "41807", "40871", "47018", "14087", "80417", "17408", "71048", "40178", "87140", "40781"]


def test_a_number_without_meaning_is_found_by_its_digits(mine: httpx.Client) -> None:
    """The embedding sees nearly the same sentence twelve times, and alone picks wrong ones."""
    for code in CODES:
        text = (
            f"The unit reports code {code} when a pump runs dry. Check the hoses, close the valve, wait ten minutes,"
            " then start it again and note the time in the log book."
        )
        _send(mine, text, source=code)
    asked = {code: _found(mine, f"What is to be done about {code}?") for code in CODES}
    assert {code: hits[0]["source"] for code, hits in asked.items()} == {code: code for code in CODES}
    hits = _found(mine, f"Which code does the unit report when a pump runs dry? {CODES[0]}")
    assert all(-1 <= hit["score"] <= 1 for hit in hits), "scores are similarities, however they were ranked"
    assert len({(hit["document"], hit["position"]) for hit in hits}) == len(hits) == 6, "found twice, shown once"
    chess = "Reykjavik chess Fischer Spassky rematch bishop endgame"
    strange = _found(mine, f"pump hoses valve {chess}")
    assert all(hit["score"] >= float(RELEVANT) for hit in strange), "words in common make nothing relevant"


def test_a_passage_that_holds_the_name_asked_for_is_found_whatever_its_similarity(mine: httpx.Client) -> None:
    """As long as few hold it: a name that stands everywhere tells nothing."""
    for number in range(7):
        _send(
            mine, f"Paragraph {number} on the whales of the north, whose ship_code is known to all.", source=str(number)
        )
    _send(mine, "Whales sing at night. The plate beneath the hull reads QX_4711_B, in brass.", source="plate")
    chess = "Reykjavik chess Fischer Spassky rematch bishop endgame"
    assert _found(mine, chess) == []
    [hit] = _found(mine, f"QX_4711_B {chess}")
    assert hit["source"] == "plate"
    assert hit["score"] < float(RELEVANT), "it would not be found by its meaning"
    everywhere = _found(mine, f"ship_code {chess}")
    assert all(hit["score"] >= float(RELEVANT) for hit in everywhere), "by its meaning, if at all"
    assert _found(mine, f"QX_4711_C {chess}") == [], "a name that nobody wrote"


def test_while_only_the_replica_is_there_search_goes_on(
    environment: dict[str, str], mine: httpx.Client, upstream: StandIn, tenant: str, vectors: AsyncQdrantClient
) -> None:
    _send(mine, LIGHTHOUSE)
    away = AsyncQdrantClient(url="http://127.0.0.1:9", check_compatibility=False)
    with serving(environment, vectors, writer=away) as url:
        headers = {"authorization": f"Bearer {KEY}", "x-consumer-username": tenant}
        with httpx.Client(base_url=url, headers=headers, timeout=60) as client:
            wait_until(lambda: client.get("/ready").status_code == 200, what="readiness")
            assert [hit["text"] for hit in _found(client, "who built the lighthouse")] == [LIGHTHOUSE]
            refused = _send(client, BREAD, source="bread")
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "dependency_unavailable")
            assert [hit["text"] for hit in _found(client, "sourdough")] == []
    assert _send(mine, BREAD, source="bread").json()["outcome"] == "completed"

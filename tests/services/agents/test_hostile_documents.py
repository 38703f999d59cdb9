"""Documents that are made to do harm, many at once, and servers that answer nonsense about them."""

import concurrent.futures
import json
import time
from typing import Any

import httpx
import pytest

from tests.services.agents.stand_in import PNG, StandIn

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant")


def _send(client: httpx.Client, content: str | bytes, name: str = "a.txt") -> httpx.Response:
    return client.post("/v1/documents", files={"file": (name, content)})


def _listed(client: httpx.Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/v1/documents").json()["data"]
    return found


@pytest.mark.parametrize(
    "page",
    ["<html>" + "<div>" * 300_000, "<html><p " + " ".join(f"a{n}=1" for n in range(180_000)) + ">x"],
    ids=["deep", "attributes"],
)
def test_a_page_on_which_a_parser_works_for_minutes(mine: httpx.Client, page: str) -> None:
    """It is given up, and nobody else notices."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        answer = pool.submit(_send, mine, page, "page.html")
        slowest = 0.0
        while not answer.done():
            began = time.monotonic()
            assert mine.get("/health").status_code == 200
            slowest = max(slowest, time.monotonic() - began)
            time.sleep(0.2)
    assert (answer.result().status_code, answer.result().json()["error"]["code"]) == (422, "document_unreadable")
    assert slowest < 3
    assert _listed(mine) == []


@pytest.mark.parametrize("name", ["a.txt", "a.md"])
@pytest.mark.parametrize(
    "text", ["x" * 1_900_000, "word " * 380_000, "\n" * 1_900_000, ">" * 1_900_000], ids=["x", "words", "blank", ">"]
)
def test_a_large_text_is_cut_in_time_that_grows_with_its_length(name: str, text: str) -> None:
    from mesh_agents.rag.chunk import chunks

    began = time.process_time()
    pieces = chunks(text, markdown=name.endswith("md"))
    assert time.process_time() - began < 12, "it took minutes"
    assert sum(len(piece.text) for piece in pieces) >= len(text.strip()) * 0.99


def test_cells_of_a_table_are_words_of_their_own(mine: httpx.Client) -> None:
    row = "<tr><td>57P01</td><td>admin_shutdown</td></tr>"
    _send(mine, f"<html><body><h1>Codes</h1><table><tr><th>Code</th><th>Name</th></tr>{row}</table></body></html>")
    [hit] = mine.post("/v1/search", json={"query": "57P01"}).json()["data"]
    assert "Code Name" in hit["text"]
    assert "57P01 admin_shutdown" in hit["text"]


def _jpeg(width: int, height: int) -> bytes:
    frame = b"\xff\xc2\x00\x11\x08" + height.to_bytes(2, "big") + width.to_bytes(2, "big") + b"\x03" + b"\x01\x11\0" * 3
    return b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + b"\0" * 9 + frame + b"\xff\xda"


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (_jpeg(65_000, 65_000), 413, "image_too_large"),
        (b"\xff\xd8\xff garbage", 415, "unsupported_document"),
        (b"\xff\xd8" + b"\xff\xe0\x00\x02" * 5000, 415, "unsupported_document"),
        (b"\xff\xd8\xff\xe0\x00\x00" * 100, 415, "unsupported_document"),
        (b"\x89PNG\r\n\x1a\n", 415, "unsupported_document"),
        (b"PK\x03\x04" + b"\x14\x00" * 20, 415, "unsupported_document"),
    ],
    ids=["pixel bomb", "garbage", "endless", "standing still", "empty png", "office"],
)
def test_images_that_are_none_or_too_much(
    mine: httpx.Client, upstream: StandIn, content: bytes, status: int, code: str
) -> None:
    answer = _send(mine, content, "a.jpg")
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert upstream.docling.converted == []
    assert _listed(mine) == []


def test_a_jpeg_is_read_by_the_ocr_service(mine: httpx.Client, upstream: StandIn) -> None:
    assert _send(mine, _jpeg(640, 480), "a").json()["media_type"] == "image/jpeg"
    assert upstream.docling.converted == [_jpeg(640, 480)]


MALFORMED = [b"<html>", b"[]", b'{"data": [{"embedding": []}]}', b'{"data": 3}', b"\xff", b"null", b"{}"]


@pytest.mark.parametrize("body", MALFORMED)
def test_an_embedding_server_that_answers_nonsense(mine: httpx.Client, upstream: StandIn, body: bytes) -> None:
    upstream.raw["/v1/embeddings"] = body
    for answer in (_send(mine, "some words"), mine.post("/v1/search", json={"query": "words"})):
        assert answer.status_code == 502, answer.text
        assert answer.json()["error"]["code"] in ("embedding_malformed", "embedding_mismatch")
    upstream.raw.clear()
    assert _send(mine, "some words").json()["outcome"] == "completed"


def test_many_documents_at_once_leave_room_for_others(mine: httpx.Client, upstream: StandIn) -> None:
    """Each holds a connection of the database; more of them than there are would wait for one another."""
    upstream.docling.delay = 1.5
    with concurrent.futures.ThreadPoolExecutor(14) as pool:
        sent = [pool.submit(_send, mine, PNG + bytes([number]), f"{number}.png") for number in range(14)]
        time.sleep(0.5)
        began = time.monotonic()
        assert mine.get("/ready").status_code == 200
        assert {document["status"] for document in _listed(mine)} <= {"ingesting"}
        assert time.monotonic() - began < 3
    assert {answer.result().status_code for answer in sent} == {201}
    assert {document["status"] for document in _listed(mine)} == {"ready"}


@pytest.mark.parametrize("name", ["../../etc/passwd", 'a"b.txt', "x" * 400 + ".txt", "ä\r\nX-Y: z.txt", "\u202e.txt"])
def test_strange_file_names(mine: httpx.Client, name: str) -> None:
    made = _send(mine, "some words", name)
    assert made.status_code == 201, made.text
    assert len(made.json()["source"]) <= 500
    assert "\r" not in json.dumps(made.json())

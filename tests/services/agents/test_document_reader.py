"""Conversions by docling-serve: one for each document however long it takes, and every way in which it can fail."""

import concurrent.futures
import time

import httpx
import pytest

from tests.services.agents.made import SCANNED
from tests.services.agents.stand_in import StandIn

# Of the local mode alone.
pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant")

PDF = SCANNED


def _send(http: httpx.Client) -> httpx.Response:
    return http.post("/v1/documents", files={"file": ("a.pdf", PDF)}, timeout=60)


def _listed(http: httpx.Client) -> list[dict[str, object]]:
    found: list[dict[str, object]] = http.get("/v1/documents").json()["data"]
    return found


def test_a_long_document_is_one_conversion(mine: httpx.Client, upstream: StandIn) -> None:
    upstream.docling.delay = 12
    assert _send(mine).status_code == 201
    assert upstream.docling.converted == [PDF]
    assert upstream.docling.tasks == {}, "the result was fetched"


def test_a_document_that_cannot_be_read(mine: httpx.Client, upstream: StandIn) -> None:
    upstream.docling.text = None
    answer = _send(mine)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "document_unreadable")
    assert _listed(mine) == []


def test_a_reader_that_restarts_meanwhile_is_away_and_a_retry_works(mine: httpx.Client, upstream: StandIn) -> None:
    upstream.docling.delay = 30
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        sent = pool.submit(_send, mine)
        while not upstream.docling.tasks:
            time.sleep(0.05)
        upstream.docling.tasks.clear()
        answer = sent.result()
    assert answer.status_code == 503
    upstream.docling.delay = 0
    assert _send(mine).status_code == 201


@pytest.mark.parametrize("step", ["begin", "poll", "result"])
@pytest.mark.parametrize("body", [b"<html>", b"[]", b"\xff", b"null"])
def test_nonsense(mine: httpx.Client, upstream: StandIn, step: str, body: bytes) -> None:
    upstream.docling.raw[step] = body
    answer = _send(mine)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "ocr_malformed")
    assert _listed(mine) == []


@pytest.mark.parametrize(
    ("step", "body"),
    [
        ("begin", b'{"task_id": 3}'),
        ("poll", b'{"task_status": 3}'),
        ("result", b'{"status": "success", "document": 3}'),
    ],
)
def test_answers_of_the_wrong_shape(mine: httpx.Client, upstream: StandIn, step: str, body: bytes) -> None:
    upstream.docling.raw[step] = body
    answer = _send(mine)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "ocr_malformed")

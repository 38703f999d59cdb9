"""Reranking, by a stand-in of Text Embeddings Inference 1.9.3 that ranks by how often a text says "best"."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from mesh_agents.config import Settings
from mesh_agents.rag.rerank import Reranker
from mesh_agents.rag.store import Passage

PASSAGES = [Passage("d", "s", number, 0, "best " * (number % 7), 0.5) for number in range(40)]


def _best(config_dir: Path, answer: Any, url: str = "http://reranker", limit: int = 3) -> tuple[list[int], list[Any]]:
    seen: list[Any] = []

    def handle(request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == "Bearer secret-of-embeddings-key"
        asked = json.loads(request.content)
        seen.append(asked)
        if len(asked["texts"]) > 32:
            return httpx.Response(422)
        return answer(asked["texts"]) if callable(answer) else answer

    async def ask() -> list[Passage]:
        async with httpx.AsyncClient(transport=httpx.MockTransport(handle)) as http:
            reranker = Reranker(Settings(config_dir=config_dir, reranker_url=url), http)
            return await reranker.best("what is best?", PASSAGES[: reranker.depth(limit)], limit)

    return [passage.index for passage in asyncio.run(ask())], seen


def _scores(texts: list[str]) -> httpx.Response:
    rows = [{"index": index, "score": text.count("best") / 9} for index, text in enumerate(texts)]
    return httpx.Response(200, json=sorted(rows, key=lambda row: -row["score"]))


def test_the_best_of_thirty_come_first(config_dir: Path) -> None:
    found, [asked] = _best(config_dir, _scores)
    assert found == [6, 13, 20]
    assert (asked["query"], len(asked["texts"]), asked["truncate"]) == ("what is best?", 30, True)


def test_what_is_behind_the_first_thirty_stays_there(config_dir: Path) -> None:
    found, _ = _best(config_dir, _scores, limit=40)
    assert found[30:] == list(range(30, 40))
    assert sorted(found) == list(range(40))


def test_without_one_nothing_is_asked(config_dir: Path) -> None:
    assert _best(config_dir, _scores, url="") == ([0, 1, 2], [])


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(503),
        httpx.Response(200, content=b"<html>"),
        httpx.Response(200, json={}),
        httpx.Response(200, json=[{"index": 0}]),
        httpx.Response(200, json=[{"index": 0, "score": 1}, {"index": 0, "score": 1}]),
        httpx.Response(200, json=[{"index": 99, "score": 1}]),
        httpx.Response(200, json=3),
    ],
)
def test_one_that_fails_changes_nothing(config_dir: Path, answer: httpx.Response) -> None:
    assert _best(config_dir, answer)[0] == [0, 1, 2]

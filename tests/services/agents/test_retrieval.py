"""Retrieval on pages of a real manual, where its Debian package is installed; `training/retrieval` takes all of it."""

import asyncio
import sys
from pathlib import Path

import pytest

from tests.services.agents.conftest import SERVICE
from tests.services.agents.embedding import ENOUGH

sys.path.insert(0, str(SERVICE))

from mesh_agents.rag import words
from training.retrieval.measure import Embedded, Result, installed, measure, questions, stored

CORPUS = installed()


def test_the_questions_are_many_and_each_has_a_page_of_its_own() -> None:
    asked = questions()
    assert len(asked) >= 100
    assert len({question for _, question in asked}) == len({page for page, _ in asked}) == len(asked)


@pytest.mark.skipif(CORPUS is None, reason="the Debian package postgresql-doc is not installed")
@pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant")
def test_meaning_and_words_find_at_least_what_meaning_alone_finds() -> None:
    """Every fourth question, among the pages of these that are short."""
    assert CORPUS is not None
    asked = questions()[::4]
    pages = [CORPUS / f"{page}.html" for page, _ in asked]
    small = [page for page in pages if page.stat().st_size < 20_000]
    asked = [pair for pair in asked if CORPUS / f"{pair[0]}.html" in small]

    async def both(pages: list[Path]) -> tuple[Result, Result]:
        embedded = Embedded(None, ENOUGH)
        store = await stored(pages, embedded)
        alone = await measure(store, asked, embedded, by_words=False)
        return alone, await measure(store, asked, embedded, by_words=True)

    alone, with_words = asyncio.run(both(small))
    assert with_words.hit5 >= 0.9, with_words.missed
    assert with_words.mrr >= max(alone.mrr, 0.85)


@pytest.mark.parametrize(
    ("text", "query", "shared"),
    [
        ("The parameter max_wal_size", "what is MAX_WAL_SIZE?", 4),
        ("The parameter max_wal_size", "size of the WAL", 3),
        ("Straße", "STRASSE", 1),
        ("nothing in common", "42", 0),
        ("", "?!", 0),
    ],
)
def test_words_meet(text: str, query: str, shared: int) -> None:
    indices, weights = words.of_chunk(text)
    assert len(indices) == len(set(indices)) == len(weights)
    assert len({*indices} & {*words.of_query(query)[0]}) == shared


def test_a_word_counts_more_where_it_stands_often_and_less_in_a_long_text() -> None:
    def weight(text: str) -> float:
        indices, weights = words.of_chunk(text)
        return dict(zip(indices, weights, strict=True))[words.of_query("vacuum")[0][0]]

    once, twice, long = weight("vacuum the table"), weight("vacuum, then vacuum"), weight("vacuum " + "row " * 300)
    assert long < once < twice < 2.2
    assert weight("vacuum " * 1000) < 2.2, "no stuffing"

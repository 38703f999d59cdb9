"""Measures the service's retrieval on PostgreSQL's manual: by meaning alone against meaning and words.

    apt-get download postgresql-doc-15 && dpkg-deb -x postgresql-doc-15_*.deb FOLDER
    .services/agents/bin/python -m training.retrieval.measure FOLDER/usr/share/doc/postgresql-doc-15/html

Pages are read, cut and stored by the service's own code, in Qdrant's local mode, since its server cannot be had here.
Vectors are those of all-MiniLM-L6-v2 at 256 tokens: the platform's bge-m3 is better, so that these figures compare the
two ways and do not foretell what the platform reaches. The first run embeds for a quarter of an hour; `--cache` keeps
that. To be run in this service's folder.

`exact.tsv` holds names that stand in the manual, each with a question that looks it up, and `off_topic.txt` questions
that it does not answer: how many of either find a passage, by the floor of similarity alone and with names kept.

`questions.tsv` holds a page and a question that it answers on each line. They were written from knowledge of the
manual, before any figure was seen, and nothing was tuned on them.
"""

import argparse
import asyncio
import hashlib
import re
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

SERVICE: Final = Path(__file__).parents[2]
sys.path[:0] = [str(SERVICE), str(SERVICE.parents[1])]

import numpy as np  # noqa: E402
from mesh_agents.config import Settings  # noqa: E402
from mesh_agents.rag import words  # noqa: E402
from mesh_agents.rag.chunk import Chunk, chunks  # noqa: E402
from mesh_agents.rag.pages import html_text  # noqa: E402
from mesh_agents.rag.store import VectorStore  # noqa: E402
from qdrant_client import AsyncQdrantClient  # noqa: E402

from tests.services.agents.embedding import SIZE, embed  # noqa: E402
from tests.services.agents.servers import PRICES  # noqa: E402

PACKAGED: Final = "postgresql-doc-*/html"
TOKENS: Final = 256
TENANT: Final = "measured"
_DOCUMENT: Final = "00000000-0000-0000-0000-000000000001"
_DEPTH: Final = 10
"""Passages that are looked at; a page that is not among them counts 0."""
FLOORS: Final = (0.25, 0.35, 0.45)
"""Similarities by this model from which a passage counts as relevant, low to high."""


class Result(NamedTuple):
    """How well a way of searching does."""

    hit5: float
    """Share of the questions whose page is among the pages of the first five passages."""
    mrr: float
    """Mean of 1/place of the first passage of the right page."""
    missed: list[str]
    """The questions that are no hit."""


def installed() -> Path | None:
    """The manual, where its package is installed."""
    found = sorted(Path("/usr/share/doc").glob(PACKAGED))
    return found[-1] if found else None


def questions() -> list[tuple[str, str]]:
    """Pages and questions."""
    lines = Path(__file__).with_name("questions.tsv").read_text("utf-8").splitlines()
    return [(page, question) for page, question in (line.split("\t") for line in lines)]


def exact_questions() -> list[tuple[str, str]]:
    """Names of the manual, and questions that look one up."""
    lines = Path(__file__).with_name("exact.tsv").read_text("utf-8").splitlines()
    return [(name, question) for name, question in (line.split("\t") for line in lines)]


def off_topic() -> list[str]:
    """Questions that no manual of a database answers, many with numbers and codes."""
    return Path(__file__).with_name("off_topic.txt").read_text("utf-8").splitlines()


def pieces(page: Path) -> list[Chunk]:
    """A page as the service cuts it."""
    return chunks(html_text(page.read_text("utf-8")), markdown=False)


class Embedded:
    """Vectors by text, kept in a folder if there is one."""

    def __init__(self, folder: Path | None, tokens: int = TOKENS) -> None:
        """Keep nothing without a `folder`."""
        self._folder = folder
        self._tokens = tokens

    def of(self, texts: Sequence[str]) -> list[list[float]]:
        """The vectors of `texts`."""
        name = hashlib.sha256("\0".join([str(self._tokens), *texts]).encode()).hexdigest()
        path = self._folder / f"{name}.npy" if self._folder else None
        if path and path.exists():
            kept: list[list[float]] = np.load(path).tolist()
            return kept
        made = [embed(text, self._tokens) for text in texts]
        if path:
            np.save(path, np.array(made, dtype=np.float32))
        return made


async def stored(pages: Sequence[Path], embedded: Embedded) -> VectorStore:
    """The store with `pages` in it, as an ingest leaves them."""
    warnings.filterwarnings("ignore", message="Payload indexes have no effect")
    warnings.filterwarnings("ignore", message="Local mode is not recommended")
    client = AsyncQdrantClient(":memory:")
    store = VectorStore(Settings(embedding_size=SIZE, prices=PRICES), client, client)
    before = 0
    for page in pages:
        cut = pieces(page)
        vectors = embedded.of([piece.text for piece in cut]) if cut else []
        # One document of all pages: the local mode looks at every chunk each time that one is published.
        numbered = [Chunk(before + piece.index, piece.start, piece.text) for piece in cut]
        rows: list[tuple[Chunk, Any]] = list(zip(numbered, vectors, strict=True))
        await store.put(TENANT, _DOCUMENT, page.stem, "1", rows)
        before += len(cut)
    await store.publish(TENANT, _DOCUMENT, "1")
    return store


async def measure(
    store: VectorStore, asked: Sequence[tuple[str, str]], embedded: Embedded, *, by_words: bool
) -> Result:
    """Ask all questions; without `by_words` meaning alone decides."""
    hits, reciprocal, missed = 0, 0.0, []
    for page, question in asked:
        asked_words = words.of_query(question) if by_words else ([], [])
        names = words.names(question) if by_words else []
        vector = embedded.of([question])[0]
        passages = await store.search(TENANT, vector, asked_words, _DEPTH, -1, names)
        found = [passage.source for passage in passages]
        if page in found[:5]:
            hits += 1
        else:
            missed.append(question)
        reciprocal += 1 / (found.index(page) + 1) if page in found else 0
    return Result(hits / len(asked), reciprocal / len(asked), missed)


async def named(store: VectorStore, embedded: Embedded, floor: float, *, by_name: bool) -> tuple[int, int]:
    """How many look-ups of a name show a passage with it among the first five; how many strange questions any."""

    async def found(question: str) -> list[str]:
        vector, names = embedded.of([question])[0], words.names(question) if by_name else []
        asked = words.of_query(question)
        return [passage.text for passage in await store.search(TENANT, vector, asked, 5, floor, names)]

    exact = [sum(_holds(text, name) for text in await found(question)) > 0 for name, question in exact_questions()]
    strange = [bool(await found(question)) for question in off_topic()]
    return sum(exact), sum(strange)


def _holds(text: str, name: str) -> bool:
    return re.search(rf"\b{re.escape(name)}\b", text, re.IGNORECASE) is not None


async def _main(folder: Path, cache: Path | None) -> list[str]:
    pages = sorted(folder.glob("*.html"))
    embedded, asked = Embedded(cache), questions()
    store = await stored(pages, embedded)
    rows = []
    for name, by_words in (("meaning alone", False), ("meaning and words", True)):
        result = await measure(store, asked, embedded, by_words=by_words)
        rows.append(f"| {name} | {result.hit5:.3f} | {result.mrr:.3f} |")
    heading = f"| similarity of at least | names of {len(exact_questions())}: found | and names kept |"
    heading += f" strange questions of {len(off_topic())}: answered | and names kept |"
    more = ["", heading, "|---|---|---|---|---|"]
    for floor in FLOORS:
        plain, kept = [await named(store, embedded, floor, by_name=by_name) for by_name in (False, True)]
        more.append(f"| {floor} | {plain[0]} | {kept[0]} | {plain[1]} | {kept[1]} |")
    return [f"| {len(pages)} pages, {len(asked)} questions | hit@5 | MRR |", "|---|---|---|", *rows, *more]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=installed())
    parser.add_argument("--cache", type=Path)
    options = parser.parse_args()
    if options.folder is None or not any(options.folder.glob("*.html")):
        parser.error("there is no manual: install the Debian package postgresql-doc, or name the folder of its pages")
    if options.cache:
        options.cache.mkdir(parents=True, exist_ok=True)
    sys.stdout.write("\n".join(asyncio.run(_main(options.folder, options.cache))) + "\n")


if __name__ == "__main__":
    main()

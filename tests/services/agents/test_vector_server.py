"""The vector store over HTTP, with keys, against the lab's stand-in of Qdrant's server; others use the local mode."""

import asyncio
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mesh_agents.config import Settings
from mesh_agents.errors import ApiError
from mesh_agents.parts import qdrant_clients
from mesh_agents.rag import words
from mesh_agents.rag.chunk import Chunk
from mesh_agents.rag.store import Passage, VectorStore
from qdrant_client import AsyncQdrantClient

from lab.images.standins.peers import Peers
from lab.images.standins.qdrant import Qdrant
from lab.images.standins.vectors import Store
from tests.services.agents.embedding import SIZE, embed

TEXTS = [
    "The lighthouse at Cape Verity was built in 1871.",
    "Sourdough needs twelve hours of rest.",
    "Unit 40817 reports that a pump runs dry.",
    "Unit 40871 reports that a pump runs dry.",
]
DOCUMENT = str(uuid.UUID(int=7))


@pytest.fixture
def settings(tmp_path: Path, config_dir: Path) -> Iterator[Settings]:
    store = Store(tmp_path / "storage", tmp_path / "snapshots")
    keys = {"api_key": "secret-of-qdrant-key", "read_only_api_key": "secret-of-qdrant-read-only-key"}
    server = Qdrant({"storage": {}, "service": keys}, Peers(store, "http://one:6335", None), store)
    listening = server.service.start(0, "127.0.0.1")
    url = f"http://127.0.0.1:{listening.server_address[1]}"
    yield Settings(config_dir=config_dir, qdrant_url=url, embedding_size=SIZE)
    listening.shutdown()
    listening.server_close()


async def _fill(store: VectorStore) -> None:
    rows: list[tuple[Chunk, Any]] = [(Chunk(number, 0, text), embed(text)) for number, text in enumerate(TEXTS)]
    await store.put("anna", DOCUMENT, "notes", "1", rows)


async def _ask(
    store: VectorStore, question: str, tenant: str = "anna", documents: list[str] | None = None
) -> list[Passage]:
    return await store.search(tenant, embed(question), words.of_query(question), 3, 0.2, documents=documents)


@pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant")
def test_the_server_and_the_local_mode_answer_alike(settings: Settings) -> None:
    async def both() -> None:
        local = AsyncQdrantClient(":memory:")
        stores = [VectorStore(settings, *qdrant_clients(settings)), VectorStore(settings, local, local)]
        for store in stores:
            await _fill(store)
            assert await _ask(store, "who built the lighthouse?") == [], "not published yet"
            await store.publish("anna", DOCUMENT, "1")
            assert await _ask(store, "who built the lighthouse?", "bert") == [], "another tenant's"
        for question in ("who built the lighthouse?", "What is unit 40871 about?", "how long does bread rest?"):
            found = [[(p.text, round(p.score, 3)) for p in await _ask(store, question)] for store in stores]
            assert found[0] == found[1] != []
            for documents, count in (([DOCUMENT, str(uuid.UUID(int=8))], len(found[0])), ([str(uuid.UUID(int=8))], 0)):
                narrowed = [await _ask(store, question, documents=documents) for store in stores]
                assert [len(passages) for passages in narrowed] == [count] * 2, "of these documents only"
        assert (await _ask(stores[0], "What is unit 40871 about?"))[0].text == TEXTS[3]
        await stores[0].delete("anna", DOCUMENT)
        assert await _ask(stores[0], "who built the lighthouse?") == []

    asyncio.run(both())


def test_the_readers_key_cannot_write(settings: Settings) -> None:
    async def write() -> None:
        _, reader = qdrant_clients(settings)
        await _fill(VectorStore(settings, reader, reader))

    with pytest.raises(ApiError) as caught:
        asyncio.run(write())
    assert caught.value.status == 503, "as on a replica"

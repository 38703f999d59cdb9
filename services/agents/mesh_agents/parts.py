"""Puts the parts together, for the API and for workers alike."""

import warnings
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import httpx
from qdrant_client import AsyncQdrantClient
from taskiq_redis import RedisStreamBroker

from mesh_agents.attached.taking import Taker
from mesh_agents.config import Settings
from mesh_agents.db import Pool, make_pool
from mesh_agents.filed.attaching import Filing
from mesh_agents.llm.client import ModelClient, model_session
from mesh_agents.rag.answer import Searcher
from mesh_agents.rag.embed import Embedder
from mesh_agents.rag.ingest import Ingester
from mesh_agents.rag.ocr import OcrClient
from mesh_agents.rag.reader import DocumentReader
from mesh_agents.rag.registry import Registry
from mesh_agents.rag.rerank import Reranker
from mesh_agents.rag.store import VectorStore
from mesh_agents.rag.texts import Texts
from mesh_agents.routing.abilities import Abilities
from mesh_agents.routing.router import Router
from mesh_agents.runs.queue import RunQueue, make_broker
from mesh_agents.runs.store import RunStore
from mesh_agents.tools.toolbox import Toolbox


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Everything that a process works with."""

    settings: Settings
    http: httpx.AsyncClient
    pool: Pool
    broker: RedisStreamBroker
    queue: RunQueue
    runs: RunStore
    router: Router
    models: ModelClient
    searcher: Searcher
    reader: DocumentReader
    ingester: Ingester
    filing: Filing
    registry: Registry
    toolbox: Toolbox
    taker: Taker


def qdrant_clients(settings: Settings) -> tuple[AsyncQdrantClient, AsyncQdrantClient]:
    """REST clients that write and that read; the reader's key also works on the replica."""
    # It is sent to the own sidecar, on a network of two; from there on it is encrypted.
    warnings.filterwarnings("ignore", message="Api key is used with an insecure connection")
    writer, reader = (
        AsyncQdrantClient(
            url=settings.qdrant_url,
            api_key=settings.secret(name).get_secret_value(),
            prefer_grpc=False,
            timeout=35,
            check_compatibility=False,
        )
        for name in ("qdrant-key", "qdrant-read-only-key")
    )
    return writer, reader


@asynccontextmanager
async def make_parts(
    settings: Settings, vectors: tuple[AsyncQdrantClient, AsyncQdrantClient] | None = None
) -> AsyncIterator[Parts]:
    """All parts, closed at the end. Nothing is called yet: what is away now may be there later.

    `vectors` are the clients that write and read, in place of those to the configured address.
    """
    settings.check_secrets()
    async with AsyncExitStack() as stack:
        limits = httpx.Limits(max_connections=1000, max_keepalive_connections=200)
        http = await stack.enter_async_context(httpx.AsyncClient(limits=limits, trust_env=False))
        session = await stack.enter_async_context(model_session())
        pool = make_pool(settings)
        await pool.open(wait=False)
        stack.push_async_callback(pool.close)
        broker = make_broker(settings)
        stack.push_async_callback(broker.shutdown)
        writer, reader = vectors or qdrant_clients(settings)
        if vectors is None:
            stack.push_async_callback(writer.close)
            stack.push_async_callback(reader.close)
        embedder = Embedder(settings, http)
        reading = DocumentReader(OcrClient(settings, http))
        store = VectorStore(settings, writer, reader)
        registry, texts = Registry(pool), Texts(pool)
        searcher = Searcher.make(settings, embedder, store, Reranker(settings, http))
        ingester = Ingester(embedder, reading, store, registry, texts, settings.embedding_model)
        filing = Filing(pool, ingester, settings.lease_seconds, settings.max_files_mib_of_tenant << 20)
        stack.push_async_callback(filing.stop)
        toolbox = Toolbox(settings, http, searcher, reading)
        abilities = Abilities.parse(settings.abilities)
        yield Parts(
            settings=settings,
            http=http,
            pool=pool,
            broker=broker,
            queue=RunQueue(broker),
            runs=RunStore(pool, settings.lease_seconds),
            router=Router.load(abilities),
            models=ModelClient(settings, session),
            searcher=searcher,
            reader=reading,
            ingester=ingester,
            filing=filing,
            registry=registry,
            toolbox=toolbox,
            taker=Taker(toolbox, reading, abilities),
        )

"""From a file to searchable chunks.

The order of steps makes an interruption harmless: chunks are stored unseen, then published at once, and only then is
the document `ready`. What was interrupted before stays `ingesting`, and sending the document again finishes it.
"""

import asyncio
import uuid
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from mesh_agents import metrics
from mesh_agents.errors import ApiError, not_found
from mesh_agents.rag import chunk, parse
from mesh_agents.rag.embed import Embedder
from mesh_agents.rag.ocr import OcrClient
from mesh_agents.rag.reading import unscanned_text
from mesh_agents.rag.registry import Document, Registry, document_id
from mesh_agents.rag.store import VectorStore

MAX_CHUNKS: Final = 20_000
"""Of one document: about 20 MB of text."""


@dataclass(frozen=True)
class Ingested:
    """What became of a document."""

    document: Document
    outcome: str
    """`created`, `replaced`, `completed` (an interrupted ingest was finished) or `unchanged`."""


class Ingester:
    """Ingests and deletes documents."""

    def __init__(self, embedder: Embedder, ocr: OcrClient, store: VectorStore, registry: Registry, model: str) -> None:
        """`model` names the embedding model: other vectors make the same content new."""
        self._embedder = embedder
        self._ocr = ocr
        self._store = store
        self._registry = registry
        self._pipeline = f"{model}/{chunk.VERSION}"

    async def ingest(self, tenant: str, source: str, content: bytes, filename: str) -> Ingested:
        """Store a document under `source`, in place of what was there.

        Raises:
            ApiError: it is unreadable or unsupported (nothing changes), or something behind is away (a retry finishes).

        """
        kind = parse.kind_of(content, filename)
        content_hash = chunk.digest(content)
        document = document_id(tenant, source)
        async with self._registry.exclusive(document) as still:
            before = await self._registry.find(tenant, document)
            same = before and (before.content_hash, before.pipeline) == (content_hash, self._pipeline)
            if before and same and before.status == "ready":
                return self._done(before, "unchanged")
            # Before anything is noted: an unreadable document leaves what is there alone.
            pieces = await self._pieces(kind, content)
            await self._registry.begin(
                tenant,
                source,
                media_type=kind.value,
                bytes=len(content),
                content_hash=content_hash,
                pipeline=self._pipeline,
            )
            # The pipeline is part of it, so that chunks of another cut or model count as other content.
            version = chunk.digest(f"{content_hash}/{self._pipeline}".encode())
            stored = 0
            async with aclosing(self._embedder.in_batches([piece.text for piece in pieces])) as batches:
                async for vectors in batches:
                    rows = list(zip(pieces[stored : stored + len(vectors)], vectors, strict=True))
                    await self._store.put(tenant, str(document), source, version, rows)
                    stored += len(rows)
                    metrics.CHUNKS.inc(len(rows))
            # Somebody else's content must not be mixed with ours, had the lock ended with its connection.
            await still()
            await self._store.publish(tenant, str(document), version)
            after = await self._registry.finish(document, len(pieces))
        if before is None:
            return self._done(after, "created")
        return self._done(after, "completed" if same else "replaced")

    async def delete(self, tenant: str, document: uuid.UUID) -> None:
        """Remove a document with all its chunks; interrupted, it can be done again.

        Raises:
            ApiError: 404, the tenant has no such document.

        """
        async with self._registry.exclusive(document):
            if await self._registry.find(tenant, document) is None:
                raise not_found("document", str(document))
            await self._registry.deleting(document)
            await self._store.delete(tenant, str(document))
            await self._registry.forget(document)

    async def _pieces(self, kind: parse.Kind, content: bytes) -> list[chunk.Chunk]:
        if kind in parse.SCANNED:
            text = await self._ocr.markdown(content, kind)
        else:
            text = await asyncio.to_thread(unscanned_text, kind, content)
        markdown = kind not in (parse.Kind.TEXT, parse.Kind.HTML)
        pieces = await asyncio.to_thread(chunk.chunks, text, markdown=markdown, most=MAX_CHUNKS)
        if not pieces:
            raise ApiError(400, "the document holds no text", code="document_empty", param="file")
        if len(pieces) > MAX_CHUNKS:
            raise ApiError(
                413, f"the document makes more than {MAX_CHUNKS} chunks", code="document_too_large", param="file"
            )
        return pieces

    @staticmethod
    def _done(document: Document, outcome: str) -> Ingested:
        metrics.INGESTED.labels(outcome).inc()
        return Ingested(document, outcome)

"""From a file to searchable chunks.

The order of steps makes an interruption harmless: chunks are stored unseen, then published at once, and only then is
the document `ready`. What was interrupted before is found no more than it was, and sending the document again, or the
run that takes it in, goes on with it.
"""

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

from mesh_agents import metrics
from mesh_agents.errors import ApiError, not_found
from mesh_agents.rag import chunk
from mesh_agents.rag.embed import Embedder
from mesh_agents.rag.parse import PLAIN
from mesh_agents.rag.reader import DocumentReader, Look
from mesh_agents.rag.registry import Document, Registry, document_id
from mesh_agents.rag.store import VectorStore
from mesh_agents.rag.texts import Texts

MAX_CHUNKS: Final = 20_000
"""Of one document: about 20 MB of text."""
MAX_TEXT: Final = 2 * MAX_CHUNKS * chunk.SIZE
"""Characters, of which more need not even be cut."""

Still = Callable[[], Awaitable[None]]
Start = Callable[[dict[str, Any]], Awaitable[uuid.UUID]]
"""Makes the run that a document waits for, of what that is to be told."""


@dataclass(frozen=True)
class Ingested:
    """What became of a document."""

    document: Document
    outcome: str
    """`created`, `replaced`, `completed` (an interrupted ingest was finished), `restored` (its vectors were lost),
    `unchanged` or `accepted` (a run takes it in)."""


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A file that was sent."""

    tenant: str
    source: str
    name: str
    """Of the file."""
    content: bytes
    content_hash: str

    @property
    def document(self) -> uuid.UUID:
        """Its document."""
        return document_id(self.tenant, self.source)


class Ingester:
    """Ingests and deletes documents."""

    def __init__(
        self,
        embedder: Embedder,
        reader: DocumentReader,
        store: VectorStore,
        registry: Registry,
        texts: Texts,
        model: str,
    ) -> None:
        """`model` names the embedding model: other vectors make the same content new."""
        self._embedder = embedder
        self._reader = reader
        self._store = store
        self._registry = registry
        self._texts = texts
        self._pipeline = f"{model}/{chunk.VERSION}"

    async def ingest(self, tenant: str, source: str, content: bytes, filename: str) -> Ingested:
        """Store a document under `source`, in place of what was there.

        Raises:
            ApiError: it is unreadable or unsupported (nothing changes), or something behind is away (a retry finishes).

        """
        sent = await _sent(tenant, source, content, filename)
        async with self._registry.exclusive(sent.document) as still:
            before = await self._registry.find(tenant, sent.document)
            if before and await self._is_whole(tenant, before, sent.content_hash):
                return self._done(before, "unchanged")
            # Before anything is noted: an unsupported document leaves what is there alone.
            look = await self._reader.look(content, filename)
            await self._registry.reading(tenant, source, filename, **self._fields(sent, look))
            try:
                pieces = await self._pieces(sent, look)
            except BaseException:
                with contextlib.suppress(ApiError):
                    await self._registry.put_back(sent.document, before)
                raise
            return await self._store_pieces(sent, look, pieces, before, still)

    async def accept(self, tenant: str, source: str, content: bytes, filename: str, start: Start) -> Ingested:
        """Look at a document and keep it for a run, which `start` makes and which is to `resume` it.

        Raises:
            ApiError: as `ingest`, for what can be seen at a glance, and as `start`; nothing is kept then.

        """
        sent = await _sent(tenant, source, content, filename)
        async with self._registry.exclusive(sent.document):
            before = await self._registry.find(tenant, sent.document)
            if before and await self._is_whole(tenant, before, sent.content_hash):
                return self._done(before, "unchanged")
            look = await self._reader.look(content, filename)
            await self._texts.put_file(sent.document, sent.content_hash, content)
            try:
                await self._registry.reading(tenant, source, filename, **self._fields(sent, look))
                await self._registry.progress(sent.document, pages=look.pages, pages_done=0)
                asked = {"source": source, "name": filename, "content_hash": sent.content_hash}
                after = await self._registry.taken_by(sent.document, await start(asked))
            except BaseException:
                with contextlib.suppress(ApiError):
                    await self._registry.put_back(sent.document, before)
                    await self._texts.drop_file(sent.document, sent.content_hash)
                raise
        return self._done(after, "accepted")

    async def resume(self, tenant: str, source: str, content_hash: str, filename: str) -> Ingested | None:
        """Take in what `accept` kept; None: it is gone, with a crash of the database or for a newer one.

        Raises:
            ApiError: as `ingest`; what was read by then is kept.

        """
        document = document_id(tenant, source)
        async with self._registry.exclusive(document) as still:
            content = await self._texts.file(document, content_hash)
            before = await self._registry.find(tenant, document)
            if content is None or before is None:
                return None
            sent = Sent(tenant=tenant, source=source, name=filename, content=content, content_hash=content_hash)
            look = await self._reader.look(content, filename)
            return await self._store_pieces(sent, look, await self._pieces(sent, look), before, still)

    async def give_up(self, document: uuid.UUID, run: uuid.UUID, content_hash: str, error: dict[str, Any]) -> None:
        """Note that `run` cannot take in what `accept` kept."""
        await self._registry.failed(document, run, error)
        await self._texts.drop_file(document, content_hash)

    async def tidy(self) -> None:
        """Forget what nobody waits for any more."""
        await self._texts.forget_files()

    async def rebuild(self, tenant: str, document: uuid.UUID, *, only_missing: bool) -> str:
        """Make the chunks of a document anew from the text that is kept of it; what came of that.

        `whole`: nothing was to be done; `rebuilt`; `textless`: it was taken in before texts were kept, and has to be
        sent again; `gone`: it is not there, or not ready.

        Raises:
            ApiError: something behind is away.

        """
        async with self._registry.exclusive(document) as still:
            found = await self._registry.find(tenant, document)
            if found is None or found.status != "ready":
                return "gone"
            if only_missing and await self._is_whole(tenant, found, found.content_hash):
                return "whole"
            text = "\n\n".join(part for _, part in await self._texts.of(document, found.content_hash))
            if not text:
                return "textless"
            pieces = await self._cut(text, markdown=found.media_type not in PLAIN)
            await self._put(tenant, found.source, document, pieces, _fresh(found.content_hash, self._pipeline), still)
        return "rebuilt"

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
            await self._texts.keep_only(document, "")
            await self._registry.forget(document)

    async def remove_strays(self, tenant: str) -> int:
        """Remove the chunks of documents that were deleted since the vector database was backed up; of how many."""
        removed = 0
        for name in await self._store.documents(tenant):
            document = uuid.UUID(name)
            if await self._registry.find(tenant, document) is not None:
                continue
            async with self._registry.exclusive(document):
                if await self._registry.find(tenant, document) is None:
                    await self._store.delete(tenant, name)
                    removed += 1
        return removed

    async def _is_whole(self, tenant: str, document: Document, content_hash: str) -> bool:
        """Whether all of this content can be found; the vector database may have been lost, or be an older one."""
        if document.status != "ready" or (document.content_hash, document.pipeline) != (content_hash, self._pipeline):
            return False
        version = document.version or _version(content_hash, self._pipeline)
        return await self._store.count(tenant, str(document.id), version) == document.chunks

    async def _pieces(self, sent: Sent, look: Look) -> list[chunk.Chunk]:
        """The chunks of a document; the text of each batch of pages is kept as soon as it is read."""
        kept = await self._texts.of(sent.document, sent.content_hash)
        first = min(kept[-1][0], look.pages) if kept else 0
        found = [text for _, text in kept]
        async with aclosing(self._reader.parts(sent.content, look, first)) as parts:
            async for part in parts:
                await self._texts.put(sent.document, sent.content_hash, part.last, part.text)
                await self._registry.progress(sent.document, pages=look.pages, pages_done=part.last)
                found.append(part.text)
                if sum(map(len, found)) > MAX_TEXT:
                    raise _too_large()
        return await self._cut("\n\n".join(filter(None, found)), markdown=look.markdown)

    async def _cut(self, text: str, *, markdown: bool) -> list[chunk.Chunk]:
        pieces = await asyncio.to_thread(chunk.chunks, text, markdown=markdown, most=MAX_CHUNKS)
        if not pieces:
            raise ApiError(400, "the document holds no text", code="document_empty", param="file")
        if len(pieces) > MAX_CHUNKS:
            raise _too_large()
        return pieces

    async def _store_pieces(
        self, sent: Sent, look: Look, pieces: list[chunk.Chunk], before: Document | None, still: Still
    ) -> Ingested:
        same = before and (before.content_hash, before.pipeline) == (sent.content_hash, self._pipeline)
        lost = same and before is not None and before.status == "ready"
        await self._registry.begin(sent.tenant, sent.source, name=sent.name, **self._fields(sent, look))
        # What is there of a content that was lost in part stays to be found until the whole is.
        version = (_fresh if lost else _version)(sent.content_hash, self._pipeline)
        after = await self._put(sent.tenant, sent.source, sent.document, pieces, version, still)
        await self._texts.keep_only(sent.document, sent.content_hash)
        if before is None:
            return self._done(after, "created")
        return self._done(after, "restored" if lost else "completed" if same else "replaced")

    async def _put(
        self, tenant: str, source: str, document: uuid.UUID, pieces: list[chunk.Chunk], version: str, still: Still
    ) -> Document:
        """Embed and store chunks, and make them the document."""
        stored = 0
        async with aclosing(self._embedder.in_batches([piece.text for piece in pieces])) as batches:
            async for vectors in batches:
                rows = list(zip(pieces[stored : stored + len(vectors)], vectors, strict=True))
                await self._store.put(tenant, str(document), source, version, rows)
                stored += len(rows)
                await self._registry.progress(document, chunks=len(pieces), chunks_done=stored)
                metrics.CHUNKS.inc(len(rows))
        # Somebody else's content must not be mixed with ours, had the lock ended with its connection.
        await still()
        await self._store.publish(tenant, str(document), version)
        return await self._registry.finish(document, len(pieces), version, self._pipeline)

    def _fields(self, sent: Sent, look: Look) -> dict[str, object]:
        return {
            "media_type": look.kind.value,
            "bytes": len(sent.content),
            "content_hash": sent.content_hash,
            "pipeline": self._pipeline,
        }

    @staticmethod
    def _done(document: Document, outcome: str) -> Ingested:
        metrics.INGESTED.labels(outcome).inc()
        return Ingested(document, outcome)


async def _sent(tenant: str, source: str, content: bytes, filename: str) -> Sent:
    content_hash = await asyncio.to_thread(chunk.digest, content)
    return Sent(tenant=tenant, source=source, name=filename, content=content, content_hash=content_hash)


def _version(content_hash: str, pipeline: str) -> str:
    """What chunks of a content are marked with; those of another cut or model count as another content."""
    return chunk.digest(f"{content_hash}/{pipeline}".encode())


def _fresh(content_hash: str, pipeline: str) -> str:
    """A mark of its own, so that chunks are made beside those that are found by now."""
    return _version(content_hash, f"{pipeline}/{uuid.uuid4()}")


def _too_large() -> ApiError:
    return ApiError(413, f"the document makes more than {MAX_CHUNKS} chunks", code="document_too_large", param="file")

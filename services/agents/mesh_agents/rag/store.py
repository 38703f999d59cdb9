"""The vectors and texts of chunks, in Qdrant.

Every filter is built here and begins with the tenant: nothing that a caller sends reaches a filter.
"""

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx
from qdrant_client import AsyncQdrantClient, models
from qdrant_client.http.exceptions import ApiException, ResponseHandlingException, UnexpectedResponse

from mesh_agents.config import Settings
from mesh_agents.errors import ApiError, unavailable
from mesh_agents.rag import words
from mesh_agents.rag.chunk import Chunk

_UPSERT: Final = 256
"""Points in one call."""
_SCROLLED: Final = 1000
"""Points in one call, of which only the document is wanted."""
_MEANING: Final = "meaning"
_WORDS: Final = "words"
"""Names of a point's two vectors."""
_DEPTH: Final = 30
"""How far down each of the two rankings is read."""
RARE: Final = 5
"""A name that more passages hold tells none of them from the others."""
_FUSION: Final = 60
"""The constant of reciprocal rank fusion, at its usual value: the larger, the less the first places count."""


@dataclass(frozen=True)
class Passage:
    """A chunk that was found."""

    document: str
    source: str
    index: int
    start: int
    text: str
    score: float
    """Cosine similarity, -1 to 1."""


class VectorStore:
    """One collection for all tenants, of one embedding model."""

    def __init__(self, settings: Settings, writer: AsyncQdrantClient, reader: AsyncQdrantClient) -> None:
        """`reader` may hold a key that cannot write: it is what works on the replica."""
        model = hashlib.sha256(settings.embedding_model.encode()).hexdigest()[:8]
        self.collection: Final = f"documents_{model}_{settings.embedding_size}_words"
        self._size = settings.embedding_size
        self._replicas = settings.qdrant_replicas
        self._writer = writer
        self._reader = reader
        self._ready = False

    async def put(
        self, tenant: str, document: str, source: str, content_hash: str, rows: Sequence[tuple[Chunk, Any]]
    ) -> None:
        """Store chunks with their vectors, invisible until `publish`. Doing it again changes nothing."""
        await self._ensure()
        points = [
            models.PointStruct(
                id=str(uuid.uuid5(uuid.UUID(document), f"{content_hash}:{chunk.index}")),
                vector={_MEANING: vector, _WORDS: _sparse(words.of_chunk(chunk.text))},
                payload={
                    "tenant": tenant,
                    "document": document,
                    "source": source,
                    "hash": content_hash,
                    "index": chunk.index,
                    "start": chunk.start,
                    "text": chunk.text,
                    "published": False,
                },
            )
            for chunk, vector in rows
        ]
        for begin in range(0, len(points), _UPSERT):
            await self._upsert(points[begin : begin + _UPSERT])

    async def _upsert(self, points: list[models.PointStruct]) -> None:
        async with _translated():
            try:
                await self._writer.upsert(self.collection, points, wait=True)
            except UnexpectedResponse as error:
                if error.status_code != httpx.codes.NOT_FOUND:
                    raise
                # The database was lost and is there again, empty.
                self._ready = False
                await self._ensure()
                await self._writer.upsert(self.collection, points, wait=True)

    async def publish(self, tenant: str, document: str, content_hash: str) -> None:
        """Make the chunks of this content the document, and remove those of any other content.

        In one call: who dies behind it has not left both to be found.
        """
        same = models.FieldCondition(key="hash", match=models.MatchValue(value=content_hash))
        of_document = _document(tenant, document)
        these = models.Filter(must=[*of_document, same])
        others = models.Filter(must=of_document, must_not=[same])
        changes: list[models.UpdateOperation] = [
            models.SetPayloadOperation(set_payload=models.SetPayload(payload={"published": True}, filter=these)),
            models.DeleteOperation(delete=models.FilterSelector(filter=others)),
        ]
        async with _translated():
            await self._writer.batch_update_points(self.collection, changes, wait=True)

    async def count(self, tenant: str, document: str, content_hash: str) -> int:
        """How many chunks of this content can be found."""
        wanted: dict[str, str | bool] = {"hash": content_hash, "published": True}
        conditions = [models.FieldCondition(key=k, match=models.MatchValue(value=v)) for k, v in wanted.items()]
        these = models.Filter(must=[*_document(tenant, document), *conditions])
        async with _translated():
            if not await self._exists(self._reader):
                return 0
            return (await self._reader.count(self.collection, count_filter=these, exact=True)).count

    async def documents(self, tenant: str) -> set[str]:
        """The documents that a tenant has chunks of."""
        found: set[str] = set()
        async with _translated():
            if not await self._exists(self._reader):
                return found
            at: Any = None
            while True:
                records, at = await self._reader.scroll(
                    self.collection,
                    scroll_filter=models.Filter(must=[_tenant(tenant)]),
                    limit=_SCROLLED,
                    offset=at,
                    with_payload=["document"],
                )
                found |= {str((record.payload or {})["document"]) for record in records}
                if at is None:
                    return found

    async def delete(self, tenant: str, document: str) -> None:
        """Remove all chunks of a document; none is no error."""
        async with _translated():
            if await self._exists(self._writer):
                selector = models.FilterSelector(filter=models.Filter(must=_document(tenant, document)))
                await self._writer.delete(self.collection, points_selector=selector, wait=True)

    async def search(
        self,
        tenant: str,
        vector: list[float],
        asked: words.Sparse,
        limit: int,
        min_score: float,
        names: Sequence[words.Sparse] = (),
        documents: Sequence[str] | None = None,
    ) -> list[Passage]:
        """The published passages of a tenant that fit best by meaning and by words, best first; of some `documents`.

        A passage less similar than `min_score` is none, unless it is one of the few that hold one of `names`. Without
        words in `asked`, meaning decides.
        """
        depth = max(limit, _DEPTH)
        mine = models.Filter(
            must=[
                _tenant(tenant),
                models.FieldCondition(key="published", match=models.MatchValue(value=True)),
                *_among(documents),
            ]
        )
        # Named ones are looked for up to one too many, and only for their similarity, by which all are judged.
        alike = models.QueryRequest(query=vector, using=_MEANING, filter=mine, limit=depth, with_payload=True)
        near = alike.model_copy(update={"score_threshold": min_score})

        def worded(sparse: words.Sparse, most: int) -> dict[str, Any]:
            return {"query": _sparse(sparse), "using": _WORDS, "filter": mine, "limit": most}

        requests = [near]
        if asked[0]:
            by_words = models.Prefetch(**worded(asked, depth))
            requests += [models.QueryRequest(**worded(asked, depth)), near.model_copy(update={"prefetch": by_words})]
        for name in names:
            by_name = models.Prefetch(**worded(name, RARE + 1))
            requests.append(alike.model_copy(update={"prefetch": by_name, "limit": RARE + 1}))
        async with _translated():
            if not self._ready and not await self._exists(self._reader):
                return []
            try:
                found = await self._reader.query_batch_points(self.collection, requests)
            except UnexpectedResponse as error:
                if error.status_code != httpx.codes.NOT_FOUND:
                    raise
                # The database was lost and is there again, empty.
                self._ready = False
                return []
            answers = [answer.points for answer in found]
        general, special = answers[: len(requests) - len(names)], answers[len(requests) - len(names) :]
        rare = [points for points in special if len(points) <= RARE]
        rankings = [[point.id for point in points] for points in (*general[:2], *rare)]
        points = {point.id: point for part in (*general[:1], *general[2:], *rare) for point in part}
        best = sorted(points, key=lambda key: -_fused(key, rankings))[:limit]
        return [_passage(points[key].payload or {}, points[key].score) for key in best]

    async def _exists(self, client: AsyncQdrantClient) -> bool:
        return await client.collection_exists(self.collection)

    async def _ensure(self) -> None:
        """Make the collection, with a replica on every peer, unless it is there."""
        if self._ready:
            return
        async with _translated():
            if not await self._exists(self._writer):
                await self._create()
            # Also when the collection was there: whoever made it may have been interrupted.
            tenants = models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True)
            await self._writer.create_payload_index(self.collection, "tenant", tenants)
            await self._writer.create_payload_index(self.collection, "document", models.PayloadSchemaType.KEYWORD)
        self._ready = True

    async def _create(self) -> None:
        try:
            await self._writer.create_collection(
                self.collection,
                vectors_config={_MEANING: models.VectorParams(size=self._size, distance=models.Distance.COSINE)},
                sparse_vectors_config={_WORDS: models.SparseVectorParams(modifier=models.Modifier.IDF)},
                replication_factor=self._replicas,
                write_consistency_factor=1,
            )
        except UnexpectedResponse as error:
            if error.status_code != httpx.codes.CONFLICT:
                raise


class _translated:  # noqa: N801 - reads as a phrase where it is used
    """Turns the client's errors into ours."""

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, ResponseHandlingException | httpx.TransportError):
            raise unavailable("the vector database") from error
        if isinstance(error, UnexpectedResponse) and error.status_code in (403, 500, 502, 503, 504):
            # 403: the replica holds no writes; 500: no peer took the write in time.
            raise unavailable("the vector database (for this operation)") from error
        if isinstance(error, ApiException):
            raise ApiError(502, "the vector database refused", code="vectors_refused", kind="server_error") from error


def _sparse(vector: words.Sparse) -> models.SparseVector:
    return models.SparseVector(indices=vector[0], values=vector[1])


def _fused(key: models.ExtendedPointId, rankings: Sequence[Sequence[models.ExtendedPointId]]) -> float:
    """Reciprocal rank fusion: places count, since the two kinds of scores cannot be compared."""
    return sum(1 / (_FUSION + ranking.index(key) + 1) for ranking in rankings if key in ranking)


def _tenant(tenant: str) -> models.FieldCondition:
    return models.FieldCondition(key="tenant", match=models.MatchValue(value=tenant))


def _among(documents: Sequence[str] | None) -> list[models.Condition]:
    if documents is None:
        return []
    return [models.FieldCondition(key="document", match=models.MatchAny(any=list(documents)))]


def _document(tenant: str, document: str) -> list[models.Condition]:
    return [_tenant(tenant), models.FieldCondition(key="document", match=models.MatchValue(value=document))]


def _passage(payload: dict[str, Any], score: float) -> Passage:
    return Passage(
        document=payload["document"],
        source=payload["source"],
        index=payload["index"],
        start=payload["start"],
        text=payload["text"],
        score=score,
    )

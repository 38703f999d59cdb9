"""Which documents a tenant has, in Postgres."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

import psycopg
from psycopg.types.json import Jsonb

from mesh_agents.db import Pool, connection
from mesh_agents.errors import ApiError

_AT_ONCE: Final = 4
"""Documents that one process changes at once: each holds a connection of the pool, of which others need some too."""
_IN_LINE: Final = 32
"""Those that may wait for that, with their content in memory."""
_NAMESPACE: Final = uuid.UUID("7d0a4f6e-54a8-4a3c-9a6b-5b1a3f2c9d10")


@dataclass(frozen=True, kw_only=True)
class Document:
    """A document as it is registered."""

    id: uuid.UUID
    source: str
    media_type: str
    bytes: int
    content_hash: str
    pipeline: str
    status: str
    """`ingesting`, `ready`, `deleting`; `failed`: its ingest broke off, and nobody goes on with it."""
    chunks: int
    created_at: datetime
    updated_at: datetime
    name: str | None
    """Of the file, as it was sent."""
    progress: dict[str, Any] | None
    """Pages and chunks that are done, of how many; None: nothing is being done."""
    error: dict[str, Any] | None
    run: uuid.UUID | None
    """What takes it in, if that is no request."""
    version: str | None
    """What its chunks are marked with."""


_BUSY: Final = (
    # The lock of `Registry.exclusive`, by the first eight bytes of the id.
    "EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " AND classid = ('x' || left(documents.id::text, 8))::bit(32)::bigint::oid"
    " AND objid = ('x' || substr(replace(documents.id::text, '-', ''), 9, 8))::bit(32)::bigint::oid)"
    " OR EXISTS (SELECT 1 FROM runs WHERE runs.id = documents.run AND status IN ('waiting', 'queued', 'running'))"
)
_FOUND: Final = (
    "SELECT *, CASE WHEN status = 'ingesting' AND (error IS NOT NULL OR NOT ("  # noqa: S608 - all of it stands here
    f"{_BUSY})) THEN 'failed' ELSE status END AS shown FROM documents"
)


def document_id(tenant: str, source: str) -> uuid.UUID:
    """A tenant's source is one document, whatever its content."""
    return uuid.uuid5(_NAMESPACE, f"{tenant}\0{source}")


class Registry:
    """The table of documents."""

    def __init__(self, pool: Pool) -> None:
        """Use `pool`, which its owner closes."""
        self._pool = pool
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._in_line = 0

    @asynccontextmanager
    async def exclusive(self, document: uuid.UUID) -> AsyncIterator[Callable[[], Awaitable[None]]]:
        """Nobody else changes the document meanwhile; the lock ends with the process that holds it.

        What is given raises 503 where it has ended before, with its connection.

        Raises:
            ApiError: 409, somebody else is at it; 429, too many documents are being changed.

        """
        if self._in_line >= _IN_LINE:
            raise ApiError(
                429,
                "too many documents are being taken in; try again later",
                code="ingest_busy",
                kind="rate_limit_error",
                retry_after=30,
            )
        self._in_line += 1
        try:
            await self._room.acquire()
        finally:
            self._in_line -= 1
        try:
            async with self._locked(document) as still:
                yield still
        finally:
            self._room.release()

    @asynccontextmanager
    async def _locked(self, document: uuid.UUID) -> AsyncIterator[Callable[[], Awaitable[None]]]:
        number = int.from_bytes(document.bytes[:8], "big", signed=True)
        async with connection(self._pool) as held:
            row = await (await held.execute("SELECT pg_try_advisory_lock(%s) AS got", (number,))).fetchone()
            if not (row and row["got"]):
                raise ApiError(
                    409, "the document is being changed by another request", code="document_busy", retry_after=5
                )

            async def still() -> None:
                await held.execute("SELECT")

            try:
                yield still
            finally:
                # Without the connection there is no lock either.
                with contextlib.suppress(psycopg.Error):
                    await held.execute("SELECT pg_advisory_unlock(%s)", (number,))

    async def find(self, tenant: str, document: uuid.UUID) -> Document | None:
        """A tenant's document, also one whose ingest was interrupted."""
        rows = await self._query(f"{_FOUND} WHERE tenant = %s AND id = %s", tenant, document)
        return rows[0] if rows else None

    async def all(self, tenant: str, limit: int, after: uuid.UUID | None) -> list[Document]:
        """A page of a tenant's documents, in order of id."""
        return await self._query(
            f"{_FOUND} WHERE tenant = %s AND id > %s ORDER BY id LIMIT %s", tenant, after or uuid.UUID(int=0), limit
        )

    async def tenants(self) -> list[str]:
        """Everybody who has documents."""
        async with connection(self._pool) as held:
            rows = await (await held.execute("SELECT DISTINCT tenant FROM documents ORDER BY tenant")).fetchall()
        return [row["tenant"] for row in rows]

    async def reading(self, tenant: str, source: str, name: str, **fields: Any) -> None:
        """Note that a document is being read; what is known of an earlier content stays. `fields`: as of `begin`."""
        await self._query(
            "INSERT INTO documents (id, tenant, source, name, media_type, bytes, content_hash, pipeline, status)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, 'ingesting') ON CONFLICT (id) DO UPDATE SET"
            " status = 'ingesting', error = NULL, progress = NULL, run = NULL RETURNING *",
            document_id(tenant, source),
            tenant,
            source,
            name,
            fields["media_type"],
            fields["bytes"],
            fields["content_hash"],
            fields["pipeline"],
        )

    async def taken_by(self, document: uuid.UUID, run: uuid.UUID) -> Document:
        """Note the run that takes a document in."""
        rows = await self._query("UPDATE documents SET run = %s WHERE id = %s RETURNING *", run, document)
        return rows[0]

    async def put_back(self, document: uuid.UUID, before: Document | None) -> None:
        """Leave a document that could not be read as it was: gone, if it was not there."""
        if before is None:
            await self.forget(document)
            return
        await self._query(
            "UPDATE documents SET status = %s, progress = NULL, error = %s, run = %s WHERE id = %s RETURNING *",
            # Another word for one that broke off earlier.
            "ingesting" if before.status == "failed" else before.status,
            Jsonb(before.error) if before.error else None,
            before.run,
            document,
        )

    async def progress(self, document: uuid.UUID, **done: int) -> None:
        """Note how far an ingest is."""
        await self._query("UPDATE documents SET progress = %s WHERE id = %s RETURNING *", Jsonb(done), document)

    async def failed(self, document: uuid.UUID, run: uuid.UUID, error: dict[str, Any]) -> None:
        """Note why the ingest by `run` broke off; not, where another request or run has the document by now."""
        await self._query(
            "UPDATE documents SET error = %s, progress = NULL, updated_at = now()"
            " WHERE id = %s AND run = %s AND status = 'ingesting' RETURNING *",
            Jsonb(error),
            document,
            run,
        )

    async def begin(self, tenant: str, source: str, **fields: Any) -> None:
        """Note what a document will hold; `fields`: name, media_type, bytes, content_hash, pipeline."""
        await self._query(
            "UPDATE documents SET name = %s, media_type = %s, bytes = %s, content_hash = %s, pipeline = %s,"
            " status = 'ingesting', error = NULL, updated_at = now() WHERE id = %s RETURNING *",
            fields["name"],
            fields["media_type"],
            fields["bytes"],
            fields["content_hash"],
            fields["pipeline"],
            document_id(tenant, source),
        )

    async def finish(self, document: uuid.UUID, chunks: int, version: str, pipeline: str) -> Document:
        """Note that a document is there as a whole."""
        rows = await self._query(
            "UPDATE documents SET status = 'ready', chunks = %s, version = %s, pipeline = %s, progress = NULL,"
            " error = NULL, run = NULL, updated_at = now() WHERE id = %s RETURNING *",
            chunks,
            version,
            pipeline,
            document,
        )
        return rows[0]

    async def deleting(self, document: uuid.UUID) -> None:
        """Note that a document is on its way out."""
        await self._query("UPDATE documents SET status = 'deleting' WHERE id = %s RETURNING *", document)

    async def forget(self, document: uuid.UUID) -> None:
        """Remove the entry."""
        await self._query("DELETE FROM documents WHERE id = %s RETURNING *", document)

    async def _query(self, query: str, *values: Any) -> list[Document]:
        async with connection(self._pool) as held:
            rows = await (await held.execute(query.encode(), values)).fetchall()
        names = [field.name for field in fields(Document)]
        return [
            Document(**{**{name: row[name] for name in names}, "status": row.get("shown", row["status"])})
            for row in rows
        ]

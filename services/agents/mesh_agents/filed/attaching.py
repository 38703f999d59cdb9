"""Takes the files of vector stores in, as documents.

Whoever attaches a file begins with it at once. Workers look for what is left: a process that dies leaves a lease that
runs out, and what is away is tried again for an hour.
"""

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from typing import Any, Final

from psycopg.types.json import Jsonb

from mesh_agents.db import Pool
from mesh_agents.errors import ApiError, failed
from mesh_agents.filed.files import File, Files
from mesh_agents.filed.rows import fetch
from mesh_agents.filed.stores import Stores
from mesh_agents.rag.ingest import Ingester
from mesh_agents.rag.registry import document_id

_AT_ONCE: Final = 2
"""Files that one process takes in at once."""
_ATTEMPTS: Final = 5
"""Processes that may die with a file in hand."""
_AGAIN_SECONDS: Final = 5.0
_PATIENCE: Final = "1 hour"
"""How long what is away is waited for."""
_LATER: Final = (409, 429, 503, 504)
"""Statuses of what may pass."""
_EXPIRED_AT_ONCE: Final = 20
_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Job:
    """An entry that is held by this process."""

    store: str
    file: File
    attempts: int
    late: bool


class Filing:
    """Files, vector stores, and what goes on with them."""

    def __init__(self, pool: Pool, ingester: Ingester, lease_seconds: float, most_bytes: int) -> None:
        """`most_bytes`: of a tenant's files together."""
        self.files: Final = Files(pool, most_bytes)
        self.stores: Final = Stores(pool)
        self._pool = pool
        self._ingester = ingester
        self._lease = lease_seconds
        self._tasks: set[asyncio.Task[None]] = set()

    def kick(self) -> None:
        """See to it that what is to be taken in is being taken in."""
        if len(self._tasks) < _AT_ONCE:
            task = asyncio.create_task(self._drain())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Leave what is in hand to others."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def detach(self, store: str, file: File) -> None:
        """Take a file out of a vector store; interrupted, it can be done again.

        Raises:
            ApiError: 409, it is being taken in.

        """
        if await self.stores.holders(file.id) <= {store}:
            await self._delete_document(file)
        await self.stores.detach(store, file.id)

    async def delete_file(self, file: File) -> None:
        """Remove a file, everywhere; interrupted, it can be done again.

        Raises:
            ApiError: 409, it is being taken in.

        """
        await self._delete_document(file)
        await self.files.forget(file.tenant, file.id)

    async def delete_store(self, tenant: str, store: str) -> None:
        """Remove a vector store; its files stay. Interrupted, it can be done again.

        Raises:
            ApiError: 409, a file is being taken in.

        """
        held = await self.stores.all_attached(store)
        for file in await self.files.find_all(tenant, [one.file for one in held]):
            await self.detach(store, file)
        await self.stores.forget(store)

    async def forget_expired(self) -> None:
        """Remove files whose time is over."""
        for file in await self.files.expired(_EXPIRED_AT_ONCE):
            await self.delete_file(file)

    async def _delete_document(self, file: File) -> None:
        try:
            await self._ingester.delete(file.tenant, document_id(file.tenant, file.source))
        except ApiError as error:
            if error.status != 404:
                raise

    async def _drain(self) -> None:
        """Take in one after the other until nothing is left."""
        postponed = False
        while True:
            try:
                job = await self._claim()
                if job is not None:
                    postponed |= not await self._take_in(job)
                    continue
            except ApiError:
                _LOG.warning("files of vector stores cannot be taken in yet", exc_info=True)
                return
            if not postponed:
                return
            postponed = False
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _claim(self) -> _Job | None:
        rows = await fetch(
            self._pool,
            "WITH mine AS (UPDATE vector_store_files SET lease_until = now() + make_interval(secs => %s),"
            " attempts = attempts + 1 WHERE (vector_store, file) = (SELECT vector_store, file FROM vector_store_files"
            " WHERE status = 'in_progress' AND (lease_until IS NULL OR lease_until < now())"
            " ORDER BY since LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING *)"
            " SELECT mine.vector_store, mine.attempts, mine.since < now() - %s::interval AS late, files_there.*"
            " FROM mine JOIN files_there ON files_there.id = mine.file",
            (self._lease, _PATIENCE),
        )
        if not rows:
            return None
        row: dict[str, Any] = rows[0]
        store, attempts, late = (row.pop(name) for name in ("vector_store", "attempts", "late"))
        return _Job(store, File(**row), attempts, late)

    async def _take_in(self, job: _Job) -> bool:
        """Do it; whether that was the end of it."""
        if job.attempts > _ATTEMPTS:
            told = f"the service broke off {_ATTEMPTS} times while it read the file"
            await self._end(job, "failed", {"code": "server_error", "message": told})
            return True
        beating = asyncio.create_task(self._hold(job))
        try:
            await self._ingest(job.file)
        except ApiError as error:
            if error.status in _LATER and not job.late:
                await self._postpone(job)
                return False
            await self._end(job, "failed", {"code": _code(error), "message": str(error)})
        except Exception:  # noqa: BLE001 - whatever it is, nobody must wait for this file for ever
            _LOG.exception("a file could not be taken in", extra={"file": job.file.id})
            await self._end(job, "failed", {"code": "server_error", "message": str(failed())})
        else:
            if not await self._end(job, "completed") and not await self.stores.holders(job.file.id):
                # It was taken out meanwhile, or given up.
                with contextlib.suppress(ApiError):
                    await self._delete_document(job.file)
        finally:
            beating.cancel()
        return True

    async def _ingest(self, file: File) -> None:
        content = await self.files.content(file.tenant, file.id)
        if content is not None:
            await self._ingester.ingest(file.tenant, file.source, content, file.filename)

    async def _hold(self, job: _Job) -> None:
        """Keep the lease for as long as the work takes."""
        while True:
            await asyncio.sleep(self._lease / 3)
            with contextlib.suppress(ApiError):
                await self._set(job, "lease_until = now() + make_interval(secs => %s)", self._lease)

    async def _postpone(self, job: _Job) -> None:
        later = "lease_until = now() + make_interval(secs => %s), attempts = attempts - 1"
        await self._set(job, later, _AGAIN_SECONDS)

    async def _end(self, job: _Job, status: str, error: dict[str, str] | None = None) -> bool:
        """Note the outcome; whether anybody still wanted it."""
        return await self._set(
            job, "status = %s, error = %s, lease_until = NULL", status, Jsonb(error) if error else None
        )

    async def _set(self, job: _Job, what: str, *values: object) -> bool:
        rows = await fetch(
            self._pool,
            f"UPDATE vector_store_files SET {what}"  # noqa: S608 - one of the texts above
            " WHERE vector_store = %s AND file = %s AND status = 'in_progress' RETURNING file",
            (*values, job.store, job.file.id),
        )
        return bool(rows)


def _code(error: ApiError) -> str:
    """What OpenAI's API calls it."""
    if error.status == 415:
        return "unsupported_file"
    return "invalid_file" if error.status < 500 else "server_error"

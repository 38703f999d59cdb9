"""Runs in Postgres: the truth about every job. The queue only says that there is one."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

from psycopg.types.json import Jsonb

from mesh_agents.config import Settings
from mesh_agents.db import Pool, connection
from mesh_agents.errors import ApiError

ENDED: Final = ("succeeded", "failed", "cancelled")


@dataclass(frozen=True, kw_only=True)
class Run:
    """A job as it is stored."""

    id: uuid.UUID
    tenant: str
    status: str
    request: dict[str, Any]
    result: dict[str, Any] | None
    error: dict[str, Any] | None
    not_before: datetime | None
    cancel_requested: bool
    attempts: int
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


class QueueFullError(ApiError):
    """Too many runs wait already."""

    def __init__(self, most: int, whose: str) -> None:
        """`whose` runs, of which at most so many may wait."""
        super().__init__(
            429,
            f"{most} {whose} are waiting already; try again later",
            code="queue_full",
            kind="rate_limit_error",
            retry_after=30,
        )


class RunStore:
    """The tables of runs and their events."""

    def __init__(self, pool: Pool, lease_seconds: float) -> None:
        """Use `pool`, which its owner closes."""
        self._pool = pool
        self._lease = f"{lease_seconds} seconds"

    async def create(
        self,
        tenant: str,
        request: dict[str, Any],
        *,
        not_before: datetime | None,
        key: str | None,
        most: int,
        most_of_tenant: int,
    ) -> tuple[Run, bool]:
        """A new run and True, or the one that was made with the same `key` and False.

        Raises:
            QueueFullError: `most` are waiting, or `most_of_tenant` of this tenant.

        """
        async with connection(self._pool) as held, held.transaction():
            # One at a time, so that the bound holds and a repeated key finds the first.
            await held.execute("SELECT pg_advisory_xact_lock(7305002)")
            if key is not None:
                rows = await self._rows(
                    held, "SELECT * FROM runs WHERE tenant = %s AND idempotency_key = %s", tenant, key
                )
                if rows:
                    return rows[0], False
            cursor = await held.execute(
                "SELECT count(*) AS n, count(*) FILTER (WHERE tenant = %s) AS own FROM runs"
                " WHERE status IN ('waiting', 'queued')",
                (tenant,),
            )
            row = await cursor.fetchone()
            if row and row["own"] >= most_of_tenant:
                raise QueueFullError(most_of_tenant, "of your runs")
            if row and row["n"] >= most:
                raise QueueFullError(most, "runs")
            rows = await self._rows(
                held,
                "INSERT INTO runs (id, tenant, idempotency_key, status, request, not_before, queued_at)"
                " VALUES (%s, %s, %s, %s, %s, %s, now()) RETURNING *",
                uuid.uuid4(),
                tenant,
                key,
                "queued" if not_before is None else "waiting",
                Jsonb(request),
                not_before,
            )
            return rows[0], True

    async def find(self, tenant: str, run: uuid.UUID) -> Run | None:
        """A tenant's run."""
        found = await self._query("SELECT * FROM runs WHERE tenant = %s AND id = %s", tenant, run)
        return found[0] if found else None

    async def claim(self, run: uuid.UUID, owner: str) -> tuple[Run, bool] | None:
        """Hold a run for a lease, and whether it was begun before; None: it has ended, waits, or somebody holds it."""
        before = await self._query("SELECT * FROM runs WHERE id = %s", run)
        claimed = await self._query(
            "UPDATE runs SET status = 'running', owner = %s, lease_until = now() + %s::interval,"
            " attempts = attempts + 1, started_at = coalesce(started_at, now()) WHERE id = %s AND (status = 'queued' OR"
            " (status = 'running' AND lease_until < now())) RETURNING *",
            owner,
            self._lease,
            run,
        )
        return (claimed[0], before[0].status == "running") if claimed else None

    async def renew(self, run: uuid.UUID, owner: str) -> Run | None:
        """Hold it for another lease; None: it is no longer ours."""
        found = await self._query(
            "UPDATE runs SET lease_until = now() + %s::interval WHERE id = %s AND owner = %s AND status = 'running'"
            " RETURNING *",
            self._lease,
            run,
            owner,
        )
        return found[0] if found else None

    async def end(
        self,
        run: uuid.UUID,
        owner: str,
        status: str,
        reason: str,
        *,
        result: dict[str, Any] | None = None,
        error: dict[str, Any] | None = None,
    ) -> bool:
        """Note the outcome together with its event; False: the run is no longer ours, and nothing is noted."""
        async with connection(self._pool) as held, held.transaction():
            found = await self._rows(
                held,
                "UPDATE runs SET status = %s, result = %s, error = %s, ended_at = now(), owner = NULL,"
                " lease_until = NULL WHERE id = %s AND owner = %s AND status = 'running' RETURNING *",
                status,
                Jsonb(result),
                Jsonb(error),
                run,
                owner,
            )
            if found:
                await self._note(held, run, status, {"reason": reason})
        return bool(found)

    async def release(self, run: uuid.UUID, owner: str) -> None:
        """Give a run back at once: its worker is going down in order."""
        await self._query(
            "UPDATE runs SET lease_until = now(), queued_at = 'epoch', attempts = attempts - 1"
            " WHERE id = %s AND owner = %s RETURNING *",
            run,
            owner,
        )

    async def cancel(self, tenant: str, run: uuid.UUID) -> tuple[Run, bool] | None:
        """End a run that nobody works on, and ask the worker of one that is being worked on; None: no such run.

        With it, whether this ended it: then its event is noted, as its worker does of others.
        """
        async with connection(self._pool) as held, held.transaction():
            ended = await self._rows(
                held,
                "UPDATE runs SET cancel_requested = true, status = 'cancelled', ended_at = now()"
                " WHERE tenant = %s AND id = %s AND status IN ('waiting', 'queued') RETURNING *",
                tenant,
                run,
            )
            if ended:
                await self._note(held, run, "cancelled", {"reason": "caller"})
                return ended[0], True
            found = await self._rows(
                held, "UPDATE runs SET cancel_requested = true WHERE tenant = %s AND id = %s RETURNING *", tenant, run
            )
        return (found[0], False) if found else None

    async def unqueued(self, run: uuid.UUID) -> None:
        """Note that the queue did not take a run: it is `due` at once."""
        await self._query("UPDATE runs SET queued_at = 'epoch' WHERE id = %s RETURNING *", run)

    async def due(self, again_after: float, *, heavy: bool) -> list[uuid.UUID]:
        """Runs that belong in the queue: heavy ones whose time has come, those whose worker died, and those that were
        queued `again_after` seconds ago and may have been lost with the queue. Doubles do no harm: `claim` drops them.

        Without `heavy` the window is closed: what has missed it waits for the next one.
        """
        found = await self._query(
            "UPDATE runs SET queued_at = now(), status = CASE WHEN status = 'waiting' THEN 'queued' ELSE status END"
            " WHERE id IN (SELECT id FROM runs WHERE (status = 'waiting' AND not_before <= now() AND %s)"
            " OR (status = 'running' AND lease_until < now() AND queued_at < now() - %s::interval)"
            " OR (status = 'queued' AND queued_at < now() - %s::interval)"
            " ORDER BY created_at LIMIT 100 FOR UPDATE SKIP LOCKED) RETURNING *",
            heavy,
            self._lease,
            f"{again_after} seconds",
        )
        return [run.id for run in found]

    async def waiting(self) -> int:
        """How many runs nobody works on yet."""
        async with connection(self._pool) as held:
            cursor = await held.execute("SELECT count(*) AS n FROM runs WHERE status IN ('waiting', 'queued')")
            row = await cursor.fetchone()
        return int(row["n"]) if row else 0

    async def event(self, run: uuid.UUID, kind: str, data: dict[str, Any]) -> None:
        """Append to a run's events."""
        async with connection(self._pool) as held:
            await self._note(held, run, kind, data)

    async def events(self, run: uuid.UUID, after: int) -> Sequence[dict[str, Any]]:
        """The events behind number `after`, in order."""
        async with connection(self._pool) as held:
            cursor = await held.execute(
                "SELECT seq, at, type, data FROM run_events WHERE run = %s AND seq > %s ORDER BY seq LIMIT 500",
                (run, after),
            )
            return await cursor.fetchall()

    async def last(self, run: uuid.UUID, kind: str) -> dict[str, Any] | None:
        """The data of the last event of a kind."""
        async with connection(self._pool) as held:
            cursor = await held.execute(
                "SELECT data FROM run_events WHERE run = %s AND type = %s ORDER BY seq DESC LIMIT 1", (run, kind)
            )
            row = await cursor.fetchone()
        return row["data"] if row else None

    async def start_job(self, tenant: str, job: str, request: dict[str, Any], settings: Settings) -> Run:
        """A new run that is a job and no conversation.

        Raises:
            QueueFullError: as `create`.

        """
        run, _ = await self.create(
            tenant,
            {**request, "job": job},
            not_before=None,
            key=None,
            most=settings.max_waiting_runs,
            most_of_tenant=settings.max_waiting_runs_of_tenant,
        )
        return run

    async def open_job(self, tenant: str, job: str) -> Run | None:
        """A tenant's run of a kind of job that has not ended."""
        found = await self._query(
            "SELECT * FROM runs WHERE tenant = %s AND request->>'job' = %s"
            " AND status IN ('waiting', 'queued', 'running') ORDER BY created_at LIMIT 1",
            tenant,
            job,
        )
        return found[0] if found else None

    async def _query(self, query: str, *values: Any) -> list[Run]:
        async with connection(self._pool) as held:
            return await self._rows(held, query, *values)

    @staticmethod
    async def _note(held: Any, run: uuid.UUID, kind: str, data: dict[str, Any]) -> None:
        await held.execute("INSERT INTO run_events (run, type, data) VALUES (%s, %s, %s)", (run, kind, Jsonb(data)))

    @staticmethod
    async def _rows(held: Any, query: str, *values: Any) -> list[Run]:
        rows = await (await held.execute(query.encode(), values)).fetchall()
        return [Run(**{field.name: row[field.name] for field in fields(Run)}) for row in rows]

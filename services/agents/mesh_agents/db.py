"""Postgres: the pool, and the tables that the service owns."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import resources
from typing import Any, Final

import psycopg
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from mesh_agents.config import Settings
from mesh_agents.errors import ApiError, unavailable

Pool = AsyncConnectionPool[psycopg.AsyncConnection[DictRow]]

_MIGRATION_LOCK: Final = 7_305_001
"""Number of the advisory lock under which one process at a time makes the tables."""
_WAIT_SECONDS: Final = 5.0
_RETRY_SECONDS: Final = 3.0
_LOG: Final = logging.getLogger(__name__)


class DatabaseAwayError(ApiError):
    """503, told from those of models and tools: who works on a run lets go of it and leaves its end to others."""

    def __init__(self, what: str = "the database") -> None:
        told = unavailable(what)
        super().__init__(
            told.status, str(told), code=str(told.body.code), kind=told.body.type, retry_after=told.retry_after
        )


AWAY: Final = (DatabaseAwayError, psycopg.OperationalError, psycopg.InterfaceError)
"""What a database that is away, or goes away, raises here or inside LangGraph."""


def make_pool(settings: Settings, size: int = 10) -> Pool:
    """A pool that is not open yet; connections commit by themselves."""
    conninfo = psycopg.conninfo.make_conninfo(
        host=settings.postgres_host,
        port=settings.postgres_port,
        user=settings.postgres_user,
        dbname=settings.postgres_database,
        password=settings.secret("postgres-password").get_secret_value(),
        connect_timeout=5,
        application_name="agents",
    )
    options: dict[str, Any] = {"autocommit": True, "row_factory": dict_row, "prepare_threshold": 0}
    return AsyncConnectionPool(
        conninfo,
        min_size=1,
        max_size=size,
        kwargs=options,
        open=False,
        timeout=_WAIT_SECONDS,
        check=AsyncConnectionPool.check_connection,
        reconnect_timeout=10,
    )


@asynccontextmanager
async def connection(pool: Pool) -> AsyncIterator[psycopg.AsyncConnection[DictRow]]:
    """A connection of the pool.

    Raises:
        DatabaseAwayError: Postgres is away.

    """
    try:
        async with pool.connection() as held:
            yield held
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise DatabaseAwayError from error
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
        raise DatabaseAwayError("the database (its tables are being made)") from error


async def migrate_when_there(pool: Pool) -> None:
    """Make the tables as soon as the database is there."""
    while True:
        try:
            await migrate(pool)
        except psycopg.Error:
            _LOG.warning("the tables cannot be made yet", exc_info=True)
            await asyncio.sleep(_RETRY_SECONDS)
        else:
            return


async def migrate(pool: Pool) -> None:
    """Make or bring up to date the tables of the service and of LangGraph's checkpoints."""
    async with pool.connection() as held:
        # Not the waiting form of the lock: a waiter's snapshot would stop `CREATE INDEX CONCURRENTLY` for good.
        while not await _scalar(held, "SELECT pg_try_advisory_lock(%s) AS value", _MIGRATION_LOCK):
            await asyncio.sleep(0.2)
        try:
            schema = resources.files(__package__).joinpath("schema.sql").read_bytes()
            await held.execute(schema, prepare=False)
            await AsyncPostgresSaver(held).setup()
        finally:
            await held.execute("SELECT pg_advisory_unlock(%s)", (_MIGRATION_LOCK,))


async def _scalar(held: psycopg.AsyncConnection[DictRow], query: str, *values: object) -> Any:
    row = await (await held.execute(query.encode(), values)).fetchone()
    return row["value"] if row else None

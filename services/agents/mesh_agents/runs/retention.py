"""Forgets what has ended long ago."""

from typing import Final

from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver

from mesh_agents.db import Pool, connection

_AT_ONCE: Final = 100


async def forget(pool: Pool, days: int) -> int:
    """Delete runs that ended more than `days` ago, with their events, effects and checkpoints; how many, 100 at most.

    Raises:
        DatabaseAwayError: Postgres is away; nothing is half forgotten.

    """
    async with connection(pool) as held, held.transaction():
        cursor = await held.execute(
            "DELETE FROM runs WHERE id IN (SELECT id FROM runs WHERE ended_at < now() - make_interval(days => %s)"
            " ORDER BY ended_at LIMIT %s FOR UPDATE SKIP LOCKED) RETURNING id",
            (days, _AT_ONCE),
        )
        forgotten = await cursor.fetchall()
        checkpoints = AsyncPostgresSaver(held)
        for row in forgotten:
            await checkpoints.adelete_thread(str(row["id"]))
    return len(forgotten)

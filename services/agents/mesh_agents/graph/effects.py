"""Does things outside at most once for each step of a run."""

from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from psycopg.types.json import Jsonb

from mesh_agents.db import Pool, connection

INTERRUPTED: Final = "error: this was interrupted before its outcome was known; it is not done again"


class Effects(Protocol):
    """Remembers what was done."""

    async def once(self, run: str, key: str, act: Callable[[], Awaitable[str]]) -> str:
        """The result of `act`, which is called at most once for `run` and `key`, whoever asks."""


class Unremembered:
    """For runs inside one request, which nobody takes over."""

    async def once(self, _run: str, _key: str, act: Callable[[], Awaitable[str]]) -> str:
        """Just do it."""
        return await act()


class Journal:
    """In Postgres: an intent is written before the act, the result after it."""

    def __init__(self, pool: Pool) -> None:
        """Use `pool`, which its owner closes."""
        self._pool = pool

    async def once(self, run: str, key: str, act: Callable[[], Awaitable[str]]) -> str:
        """Act, or give the result of when it was done; interrupted in between counts as done, result unknown."""
        async with connection(self._pool) as held:
            made = await held.execute(
                "INSERT INTO effects (run, key) VALUES (%s, %s) ON CONFLICT DO NOTHING", (run, key)
            )
            if not made.rowcount:
                cursor = await held.execute("SELECT result FROM effects WHERE run = %s AND key = %s", (run, key))
                row = await cursor.fetchone()
                return str(row["result"]) if row and row["result"] is not None else INTERRUPTED
        result = await act()
        async with connection(self._pool) as held:
            await held.execute("UPDATE effects SET result = %s WHERE run = %s AND key = %s", (Jsonb(result), run, key))
        return result

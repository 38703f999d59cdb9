"""What the tables of files have in common: ids in OpenAI's forms, and pages."""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from psycopg.errors import ForeignKeyViolation

from mesh_agents.db import Pool, connection
from mesh_agents.errors import ApiError

_ID: Final = re.compile(r"(file-|vs_|vsfb_)[A-Za-z0-9]{1,64}")


def new_id(prefix: str) -> str:
    """An id that nobody can guess, as long as OpenAI's."""
    return f"{prefix}{secrets.token_hex(12)}"


def is_id(name: str) -> bool:
    """Whether it can be one of ours; others never reach the database."""
    return _ID.fullmatch(name) is not None


@dataclass(frozen=True)
class Page:
    """Which part of a list is wanted; `after` and `before` are ids of its entries."""

    limit: int
    order: Literal["asc", "desc"]
    after: str | None = None
    before: str | None = None


@dataclass(frozen=True)
class Listed:
    """A table, or a part of it, that is listed by time and `key`."""

    table: str
    key: str
    where: str

    def query(self, values: Sequence[object], page: Page) -> tuple[str, list[object]]:
        """The statement for one entry more than the page has, and its values; `values` are those of `where`.

        What callers send is among the values only.
        """
        conditions, given = [self.where], [*values]
        descending = page.order == "desc"
        for cursor, sign in ((page.after, "<" if descending else ">"), (page.before, ">" if descending else "<")):
            if cursor is not None:
                at = f"SELECT created_at, {self.key} FROM {self.table} WHERE {self.where} AND {self.key} = %s"  # noqa: S608
                conditions.append(f"(created_at, {self.key}) {sign} ({at})")
                given += [*values, cursor]
        direction = "DESC" if descending != _from_behind(page) else "ASC"
        order = f"created_at {direction}, {self.key} {direction}"
        where = " AND ".join(conditions)
        statement = f"SELECT * FROM {self.table} WHERE {where} ORDER BY {order} LIMIT %s"  # noqa: S608
        return statement, [*given, page.limit + 1]

    async def page(self, pool: Pool, values: Sequence[object], page: Page) -> tuple[list[dict[str, Any]], bool]:
        """The page, and whether there is more behind it."""
        if not all(cursor is None or is_id(cursor) for cursor in (page.after, page.before)):
            return [], False
        rows = await fetch(pool, *self.query(values, page))
        shown = rows[: page.limit]
        return shown[::-1] if _from_behind(page) else shown, len(rows) > page.limit


async def fetch(pool: Pool, statement: str, values: Sequence[object]) -> list[dict[str, Any]]:
    """The rows of a statement that has some; what callers send is among `values`, never in `statement`.

    Raises:
        ApiError: 404, what it refers to was deleted meanwhile.

    """
    try:
        async with connection(pool) as held:
            return await (await held.execute(statement.encode(), values)).fetchall()
    except ForeignKeyViolation as error:
        raise ApiError(404, "it was deleted in the meantime", code="not_found") from error


def _from_behind(page: Page) -> bool:
    """Whether it is the page that ends where a cursor is."""
    return page.before is not None and page.after is None

"""Vector stores: which files belong together, and how far each of them is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

from psycopg.types.json import Jsonb

from mesh_agents.db import Pool
from mesh_agents.errors import ApiError
from mesh_agents.filed.rows import Listed, Page, fetch, is_id, new_id

MAX_STORES: Final = 1000
"""Of one tenant."""
MAX_FILES: Final = 5000
"""Of one vector store: a search names all of them to the vector database."""

Attributes = Mapping[str, str | float | bool]


@dataclass(frozen=True, kw_only=True)
class Store:
    """A vector store."""

    id: str
    name: str
    description: str | None
    metadata: dict[str, str]
    created_at: datetime
    last_active_at: datetime
    counts: dict[str, int]
    """Files by status."""
    bytes: int
    """Of the files that are searchable."""


@dataclass(frozen=True, kw_only=True)
class Attached:
    """A file in a vector store."""

    vector_store: str
    file: str
    batch: str | None
    status: str
    attributes: dict[str, Any]
    error: dict[str, str] | None
    created_at: datetime


class Stores:
    """The tables of vector stores."""

    def __init__(self, pool: Pool) -> None:
        """Use `pool`, which its owner closes."""
        self._pool = pool

    async def create(self, tenant: str, name: str, description: str | None, metadata: Mapping[str, str]) -> Store:
        """Make an empty one.

        Raises:
            ApiError: 400, the tenant has too many.

        """
        rows = await self._query(
            "INSERT INTO vector_stores (id, tenant, name, description, metadata) SELECT %s, %s, %s, %s, %s"
            " WHERE (SELECT count(*) FROM vector_stores WHERE tenant = %s) < %s RETURNING *",
            *(new_id("vs_"), tenant, name, description, Jsonb(dict(metadata)), tenant, MAX_STORES),
        )
        if not rows:
            raise ApiError(400, f"you have {MAX_STORES} vector stores; delete some of them first", code="too_many")
        return _store(rows[0], [])

    async def find(self, tenant: str, store: str) -> Store | None:
        """A tenant's vector store."""
        if not is_id(store):
            return None
        rows = await self._query("SELECT * FROM vector_stores WHERE tenant = %s AND id = %s", tenant, store)
        return (await self._counted(rows))[0] if rows else None

    async def page(self, tenant: str, page: Page) -> tuple[list[Store], bool]:
        """A page of a tenant's vector stores, and whether there is more behind it."""
        rows, more = await Listed("vector_stores", "id", "tenant = %s").page(self._pool, (tenant,), page)
        return await self._counted(rows), more

    async def change(self, store: str, **values: Any) -> None:
        """Set `name` or `metadata`; it becomes active with that."""
        name, metadata = values.get("name"), values.get("metadata")
        await self._query(
            "UPDATE vector_stores SET name = coalesce(%s, name), metadata = coalesce(%s, metadata),"
            " last_active_at = clock_timestamp() WHERE id = %s RETURNING id",
            *(name, None if metadata is None else Jsonb(metadata), store),
        )

    async def forget(self, store: str) -> None:
        """Remove it with its entries of files."""
        await self._query("DELETE FROM vector_stores WHERE id = %s RETURNING id", store)

    async def attach(self, store: str, files: Mapping[str, Attributes], batch: str | None = None) -> list[Attached]:
        """Note that files are to be taken in; one that is there already is looked at again.

        Raises:
            ApiError: 400, there would be too many.

        """
        rows = await self._query(
            "INSERT INTO vector_store_files (vector_store, file, batch, status, attributes)"
            " SELECT %s, given.file, %s, 'in_progress', given.attributes"
            " FROM unnest(%s::text[], %s::jsonb[]) AS given (file, attributes)"
            " WHERE (SELECT count(*) FROM vector_store_files WHERE vector_store = %s) + %s <= %s"
            " ON CONFLICT (vector_store, file) DO UPDATE SET batch = EXCLUDED.batch, status = 'in_progress',"
            " attributes = EXCLUDED.attributes, error = NULL, since = clock_timestamp(), lease_until = NULL,"
            " attempts = 0 RETURNING *",
            *(store, batch, list(files), [Jsonb(dict(one)) for one in files.values()], store, len(files), MAX_FILES),
        )
        if len(rows) < len(files):
            raise ApiError(400, f"a vector store holds {MAX_FILES} files at most", code="too_many", param="file_ids")
        return [_attached(row) for row in rows]

    async def attached(self, store: str, file: str) -> Attached | None:
        """A file of a vector store."""
        if not is_id(file):
            return None
        rows = await self._query("SELECT * FROM vector_store_files WHERE vector_store = %s AND file = %s", store, file)
        return _attached(rows[0]) if rows else None

    async def all_attached(self, store: str, batch: str | None = None) -> list[Attached]:
        """The files of a vector store, or of one batch in it."""
        if batch is not None and not is_id(batch):
            return []
        rows = await self._query(
            "SELECT * FROM vector_store_files WHERE vector_store = %s AND (%s::text IS NULL OR batch = %s)",
            *(store, batch, batch),
        )
        return [_attached(row) for row in rows]

    async def attached_page(
        self, store: str, status: str | None, batch: str | None, page: Page
    ) -> tuple[list[Attached], bool]:
        """A page of them, of one status or of all, and whether there is more behind it."""
        where = "vector_store = %s AND (%s::text IS NULL OR status = %s) AND (%s::text IS NULL OR batch = %s)"
        listed = Listed("vector_store_files", "file", where)
        rows, more = await listed.page(self._pool, (store, status, status, batch, batch), page)
        return [_attached(row) for row in rows], more

    async def describe(self, store: str, file: str, attributes: Attributes) -> None:
        """Set the attributes of a file."""
        await self._query(
            "UPDATE vector_store_files SET attributes = %s WHERE vector_store = %s AND file = %s RETURNING file",
            *(Jsonb(dict(attributes)), store, file),
        )

    async def cancel(self, store: str, batch: str) -> None:
        """Give up what of a batch is not there yet."""
        await self._query(
            "UPDATE vector_store_files SET status = 'cancelled'"
            " WHERE vector_store = %s AND batch = %s AND status = 'in_progress' RETURNING file",
            *(store, batch),
        )

    async def detach(self, store: str, file: str) -> None:
        """Remove the entry of a file."""
        await self._query(
            "DELETE FROM vector_store_files WHERE vector_store = %s AND file = %s RETURNING file", store, file
        )

    async def holders(self, file: str) -> set[str]:
        """The vector stores that have or get a file."""
        rows = await self._query(
            "SELECT vector_store FROM vector_store_files WHERE file = %s AND status IN ('in_progress', 'completed')",
            file,
        )
        return {str(row["vector_store"]) for row in rows}

    async def _counted(self, rows: Sequence[dict[str, Any]]) -> list[Store]:
        counts = await self._query(
            "SELECT held.vector_store, held.status, count(*) AS files, sum(files.bytes) AS bytes"
            " FROM vector_store_files AS held JOIN files ON files.id = held.file"
            " WHERE held.vector_store = ANY(%s) GROUP BY held.vector_store, held.status",
            [row["id"] for row in rows],
        )
        return [_store(row, [count for count in counts if count["vector_store"] == row["id"]]) for row in rows]

    async def _query(self, statement: str, *values: object) -> list[dict[str, Any]]:
        return await fetch(self._pool, statement, values)


def _store(row: dict[str, Any], counts: Sequence[dict[str, Any]]) -> Store:
    return Store(
        **{name: row[name] for name in ("id", "name", "description", "metadata", "created_at", "last_active_at")},
        counts={count["status"]: count["files"] for count in counts},
        bytes=sum(int(count["bytes"]) for count in counts if count["status"] == "completed"),
    )


def _attached(row: dict[str, Any]) -> Attached:
    return Attached(**{field.name: row[field.name] for field in fields(Attached)})

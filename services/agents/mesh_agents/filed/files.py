"""Files as they were sent, in Postgres: backed up with it, and there for every process."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

from mesh_agents.db import Pool
from mesh_agents.errors import ApiError
from mesh_agents.filed.rows import Listed, Page, fetch, is_id, new_id

_SHOWN: Final = 400
"""Characters of a name that a document's own name begins with."""


@dataclass(frozen=True, kw_only=True)
class File:
    """A file without its content."""

    id: str
    tenant: str
    filename: str
    purpose: str
    bytes: int
    created_at: datetime
    expires_at: datetime | None

    @property
    def source(self) -> str:
        """Names the document that is made of it, on one line: files may have the same name."""
        line = " ".join(self.filename.split())
        return f"{line[:_SHOWN]} ({self.id})"


class Files:
    """The table of files."""

    def __init__(self, pool: Pool, most_bytes: int) -> None:
        """A tenant's files may hold `most_bytes` together."""
        self._pool = pool
        self._most = most_bytes

    async def create(self, tenant: str, filename: str, purpose: str, content: bytes, seconds: int | None) -> File:
        """Keep a file, for so many `seconds` or until it is deleted.

        Raises:
            ApiError: 413, the tenant's files would take more room than they may.

        """
        rows = await self._query(
            "INSERT INTO files (id, tenant, filename, purpose, bytes, content, expires_at)"
            " SELECT %s, %s, %s, %s, %s, %s, now() + make_interval(secs => %s)"
            " WHERE (SELECT coalesce(sum(bytes), 0) FROM files WHERE tenant = %s) + %s <= %s"
            " RETURNING id, tenant, filename, purpose, bytes, created_at, expires_at",
            *(new_id("file-"), tenant, filename, purpose, len(content), content, seconds),
            *(tenant, len(content), self._most),
        )
        if not rows:
            told = f"your files would take more than {self._most} bytes together; delete some of them first"
            raise ApiError(413, told, code="file_storage_full", param="file")
        return rows[0]

    async def find(self, tenant: str, file: str) -> File | None:
        """A tenant's file."""
        found = await self.find_all(tenant, [file])
        return found[0] if found else None

    async def find_all(self, tenant: str, files: Sequence[str]) -> list[File]:
        """Those of `files` that the tenant has."""
        ids = [file for file in files if is_id(file)]
        return await self._query("SELECT * FROM files_there WHERE tenant = %s AND id = ANY(%s)", tenant, ids)

    async def content(self, tenant: str, file: str) -> bytes | None:
        """What a tenant's file holds."""
        if not is_id(file):
            return None
        rows = await fetch(
            self._pool,
            "SELECT content FROM files JOIN files_there USING (id) WHERE files.tenant = %s AND id = %s",
            (tenant, file),
        )
        return bytes(rows[0]["content"]) if rows else None

    async def page(self, tenant: str, purpose: str | None, page: Page) -> tuple[list[File], bool]:
        """A page of a tenant's files, of one purpose or of all, and whether there is more behind it."""
        listed = Listed("files_there", "id", "tenant = %s AND (%s::text IS NULL OR purpose = %s)")
        rows, more = await listed.page(self._pool, (tenant, purpose, purpose), page)
        return [_file(row) for row in rows], more

    async def forget(self, tenant: str, file: str) -> None:
        """Remove the entry, and those of it in vector stores."""
        await fetch(self._pool, "DELETE FROM files WHERE tenant = %s AND id = %s RETURNING id", (tenant, file))

    async def expired(self, limit: int) -> list[File]:
        """Files whose time is over."""
        return await self._query(
            "SELECT id, tenant, filename, purpose, bytes, created_at, expires_at FROM files"
            " WHERE expires_at < now() LIMIT %s",
            limit,
        )

    async def _query(self, statement: str, *values: object) -> list[File]:
        return [_file(row) for row in await fetch(self._pool, statement, values)]


def _file(row: dict[str, Any]) -> File:
    return File(**{field.name: row[field.name] for field in fields(File)})

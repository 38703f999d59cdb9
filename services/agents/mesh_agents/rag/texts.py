"""What is kept of documents in Postgres: their text for good, and their files until they are read.

The text is what a reindex needs; it is a hundredth of a PDF, and goes into the backups with the rest of the database.
"""

import uuid
from collections.abc import Sequence

from mesh_agents.db import Pool, connection
from mesh_agents.storable import storable


class Texts:
    """The tables of texts and files."""

    def __init__(self, pool: Pool) -> None:
        """Use `pool`, which its owner closes."""
        self._pool = pool

    async def put(self, document: uuid.UUID, content_hash: str, last: int, text: str) -> None:
        """Keep the text of some pages; `last` is the page behind them."""
        async with connection(self._pool) as held:
            await held.execute(
                "INSERT INTO document_texts (document, content_hash, last, text) VALUES (%s, %s, %s, %s)"
                " ON CONFLICT (document, content_hash, last) DO UPDATE SET text = EXCLUDED.text",
                (document, content_hash, last, storable(text)),
            )

    async def of(self, document: uuid.UUID, content_hash: str) -> Sequence[tuple[int, str]]:
        """The texts of a content with the page behind each, in order."""
        async with connection(self._pool) as held:
            cursor = await held.execute(
                "SELECT last, text FROM document_texts WHERE document = %s AND content_hash = %s ORDER BY last",
                (document, content_hash),
            )
            return [(row["last"], row["text"]) for row in await cursor.fetchall()]

    async def keep_only(self, document: uuid.UUID, content_hash: str) -> None:
        """Forget the texts of other contents, and the file."""
        async with connection(self._pool) as held, held.transaction():
            await held.execute(
                "DELETE FROM document_texts WHERE document = %s AND content_hash <> %s", (document, content_hash)
            )
            await held.execute("DELETE FROM document_files WHERE document = %s", (document,))

    async def put_file(self, document: uuid.UUID, content_hash: str, content: bytes) -> None:
        """Keep a file until it is read."""
        async with connection(self._pool) as held:
            await held.execute(
                "INSERT INTO document_files (document, content_hash, content) VALUES (%s, %s, %s)"
                " ON CONFLICT (document) DO UPDATE"
                " SET content_hash = EXCLUDED.content_hash, content = EXCLUDED.content, created_at = now()",
                (document, content_hash, content),
            )

    async def file(self, document: uuid.UUID, content_hash: str) -> bytes | None:
        """The file; None: it is lost, or another was sent meanwhile."""
        async with connection(self._pool) as held:
            cursor = await held.execute(
                "SELECT content FROM document_files WHERE document = %s AND content_hash = %s", (document, content_hash)
            )
            row = await cursor.fetchone()
        return bytes(row["content"]) if row else None

    async def forget_files(self) -> None:
        """Forget files that no run waits for: it was cancelled, or has failed without a word."""
        async with connection(self._pool) as held:
            await held.execute(
                "DELETE FROM document_files WHERE created_at < now() - interval '1 hour' AND NOT EXISTS (SELECT 1 FROM"
                " documents JOIN runs ON runs.id = documents.run WHERE documents.id = document_files.document"
                " AND runs.status IN ('waiting', 'queued', 'running'))"
            )

    async def drop_file(self, document: uuid.UUID, content_hash: str) -> None:
        """Forget a file."""
        async with connection(self._pool) as held:
            await held.execute(
                "DELETE FROM document_files WHERE document = %s AND content_hash = %s", (document, content_hash)
            )

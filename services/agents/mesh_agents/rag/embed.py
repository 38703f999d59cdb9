"""Calls of the embedding server."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from itertools import islice
from typing import Final

import httpx

from mesh_agents.config import Settings
from mesh_agents.errors import ApiError, unavailable

_AT_ONCE: Final = 4
"""Batches in flight for one document: enough to keep the server busy, few enough to leave room for queries."""
_AHEAD: Final = 2 * _AT_ONCE
"""Batches that are made before they are wanted, so that the server works on while results are stored."""


class Embedder:
    """The server of the one embedding model, on the GPU node or, while that is away, on CPU behind the same name."""

    def __init__(self, settings: Settings, http: httpx.AsyncClient) -> None:
        """Use `http`, which its owner closes."""
        self._http = http
        self._url = f"{settings.embeddings_url}/v1/embeddings"
        self._key = settings.secret("embeddings-key").get_secret_value()
        self._model = settings.embedding_model
        self._size = settings.embedding_size
        self._batch = settings.embedding_batch

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """A vector for each text, in order.

        Raises:
            ApiError: the server is away, refuses, or answers with vectors of another size.

        """
        async with aclosing(self.in_batches(texts)) as batches:
            return [vector async for batch in batches for vector in batch]

    async def in_batches(self, texts: Sequence[str]) -> AsyncGenerator[list[list[float]], None]:
        """The vectors of one batch after the other; the next are on their way while a caller uses these.

        Raises:
            ApiError: as `embed`.

        """
        rest = iter([texts[start : start + self._batch] for start in range(0, len(texts), self._batch)])
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(batch: Sequence[str]) -> list[list[float]]:
            async with gate:
                return await self._call(batch)

        coming = deque(asyncio.create_task(one(batch)) for batch in islice(rest, _AHEAD))
        try:
            while coming:
                vectors = await coming[0]
                coming.popleft()
                coming.extend(asyncio.create_task(one(batch)) for batch in islice(rest, 1))
                yield vectors
        finally:
            for task in coming:
                task.cancel()
            await asyncio.gather(*coming, return_exceptions=True)

    async def _call(self, batch: Sequence[str]) -> list[list[float]]:
        try:
            response = await self._http.post(
                self._url,
                json={"model": self._model, "input": list(batch)},
                headers={"authorization": f"Bearer {self._key}"},
                timeout=httpx.Timeout(60, connect=5),
            )
        except httpx.TransportError as error:
            raise unavailable("the embedding server") from error
        if response.status_code in (429, 502, 503, 504):
            raise unavailable("the embedding server")
        if response.status_code != httpx.codes.OK:
            raise ApiError(
                502,
                f"the embedding server answered {response.status_code}",
                code="embedding_failed",
                kind="server_error",
            )
        try:
            rows = sorted(response.json()["data"], key=lambda row: row["index"])
            vectors = [row["embedding"] for row in rows]
            fitting = len(vectors) == len(batch) and all(len(vector) == self._size for vector in vectors)
        except (ValueError, LookupError, TypeError) as error:
            raise ApiError(
                502, "the embedding server's answer is malformed", code="embedding_malformed", kind="server_error"
            ) from error
        if not fitting:
            raise ApiError(
                502,
                f"the embedding server's vectors are not of {self._size} dimensions: is AGENTS_EMBEDDING_SIZE right?",
                code="embedding_mismatch",
                kind="server_error",
            )
        return vectors

"""Calls of the embedding server."""

import asyncio
from collections.abc import Sequence
from typing import Final

import httpx

from mesh_agents.config import Settings
from mesh_agents.errors import ApiError, unavailable

_AT_ONCE: Final = 4
"""Batches in flight for one document: enough to keep the server busy, few enough to leave room for queries."""


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
        batches = [texts[start : start + self._batch] for start in range(0, len(texts), self._batch)]
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(batch: Sequence[str]) -> list[list[float]]:
            async with gate:
                return await self._call(batch)

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(batch)) for batch in batches]
        except* ApiError as failed:
            raise failed.exceptions[0] from None
        return [vector for task in tasks for vector in task.result()]

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
        rows = sorted(response.json()["data"], key=lambda row: row["index"])
        vectors = [row["embedding"] for row in rows]
        if len(vectors) != len(batch) or any(len(vector) != self._size for vector in vectors):
            raise ApiError(
                502,
                f"the embedding server's vectors are not of {self._size} dimensions: is AGENTS_EMBEDDING_SIZE right?",
                code="embedding_mismatch",
                kind="server_error",
            )
        return vectors

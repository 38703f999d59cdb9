"""Puts passages in the order that a reranking model gives them, where one is configured.

The interface is that of Text Embeddings Inference, `POST /rerank`, which serves one model a process: a reranker is an
instance beside that of the embeddings. Without one, or while it is away, passages stay in the order of the vector
database: a search is none the worse for it.
"""

import logging
from collections.abc import Sequence
from typing import Final

import httpx

from mesh_agents import metrics
from mesh_agents.config import Settings
from mesh_agents.rag.store import Passage

DEPTH: Final = 30
"""Passages that are put in order; the server's own limit is 32."""
_SECONDS: Final = 5.0
"""Longer than that nobody wants to wait for a better order."""
_LOG: Final = logging.getLogger(__name__)


class Reranker:
    """The server of the reranking model, if there is one."""

    def __init__(self, settings: Settings, http: httpx.AsyncClient) -> None:
        """Use `http`, which its owner closes."""
        self._http = http
        self._url = f"{settings.reranker_url}/rerank" if settings.reranker_url else None
        self._key = settings.secret("embeddings-key").get_secret_value()

    def depth(self, limit: int) -> int:
        """How many passages to fetch for `limit`."""
        return max(limit, DEPTH) if self._url else limit

    async def best(self, query: str, passages: Sequence[Passage], limit: int) -> list[Passage]:
        """The best of `passages`; those behind the first 30 stay where they are."""
        head = passages[:DEPTH]
        if self._url is None or len(head) < 2:
            return list(passages[:limit])
        order = await self._order(self._url, query, [passage.text for passage in head])
        metrics.RERANKED.labels("failed" if order is None else "ok").inc()
        ordered = list(head) if order is None else [head[index] for index in order]
        return [*ordered, *passages[DEPTH:]][:limit]

    async def _order(self, url: str, query: str, texts: list[str]) -> list[int] | None:
        """Indices of `texts`, best first; None: the server is away or answers nonsense."""
        try:
            answer = await self._http.post(
                url,
                json={"query": query, "texts": texts, "truncate": True},
                headers={"authorization": f"Bearer {self._key}"},
                timeout=httpx.Timeout(_SECONDS, connect=2),
            )
            answer.raise_for_status()
            rows = sorted(answer.json(), key=lambda row: -float(row["score"]))
            order = [int(row["index"]) for row in rows]
        except (httpx.HTTPError, ValueError, LookupError, TypeError) as error:
            _LOG.warning("passages were not reranked: %s", error)
            return None
        return order if sorted(order) == list(range(len(texts))) else None

"""What workers do with documents: take in large ones, and make all chunks of a tenant anew. Each is a run."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, TypeVar

from mesh_agents.errors import ApiError
from mesh_agents.rag.ingest import Ingester
from mesh_agents.rag.registry import Document, Registry, document_id
from mesh_agents.runs.store import Run

_T = TypeVar("_T")

INGEST: Final = "ingest"
REINDEX: Final = "reindex"
_PAUSES: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 60.0, 60.0, 60.0)
"""Seconds before something that is away is tried again: long enough for a node to restart."""
_PAGE: Final = 100
_NAMED: Final = 100
"""Documents that a result names."""
_SELDOM: Final = 1.0
"""Seconds between two events that tell how far a run is."""

Report = Callable[[dict[str, Any]], Awaitable[None]]
"""Notes how far a run is; the last note is what a worker that takes it over begins with."""
Job = Callable[[Run, Mapping[str, Any], Report], Awaitable[dict[str, Any]]]


@dataclass
class Reindexed:
    """How far a reindex is, and in the end its result."""

    after: str | None = None
    """The last document that is done, in order of id."""
    documents: int = 0
    rebuilt: int = 0
    whole: int = 0
    failed: list[str] = field(default_factory=list)
    send_again: list[str] = field(default_factory=list)
    """Documents whose text was not kept, or could not be cut; the first hundred."""
    strays: int = 0
    """Deleted documents whose chunks were found and removed."""


class DocumentJobs:
    """The runs that are about documents."""

    def __init__(self, ingester: Ingester, registry: Registry) -> None:
        """Use what the process has of both."""
        self._ingester = ingester
        self._registry = registry

    def all(self) -> dict[str, Job]:
        """Kind of job -> what does it."""
        return {INGEST: self.ingest, REINDEX: self.reindex}

    async def ingest(self, run: Run, _before: Mapping[str, Any], report: Report) -> dict[str, Any]:
        """Take in a document that was accepted.

        Raises:
            ApiError: it cannot be; the document says so too.

        """
        asked = run.request
        document = document_id(run.tenant, asked["source"])
        await report({"document": str(document)})

        async def resume() -> Any:
            return await self._ingester.resume(run.tenant, asked["source"], asked["content_hash"], asked["name"])

        try:
            done = await _patiently(resume)
            if done is None:
                found = await self._registry.find(run.tenant, document)
                if _finished_before(found, asked["content_hash"]):
                    # By the worker that died behind it, or by a request.
                    return {"document": str(document), "outcome": "completed"}
                raise _lost()
        except ApiError as error:
            told = error.envelope()["error"]
            await self._ingester.give_up(document, run.id, asked["content_hash"], told)
            raise
        return {"document": str(document), "outcome": done.outcome, "chunks": done.document.chunks}

    async def reindex(self, run: Run, before: Mapping[str, Any], report: Report) -> dict[str, Any]:
        """Make the chunks of all documents anew; `only_missing`: of those that are not all there.

        Raises:
            ApiError: what is needed for it stays away.

        """
        only_missing = bool(run.request["only_missing"])
        known = {name: value for name, value in before.items() if name in Reindexed.__dataclass_fields__}
        state = Reindexed(**known)
        if state.after is None:
            state.strays = await _patiently(lambda: self._ingester.remove_strays(run.tenant))
        told = 0.0
        while page := await _patiently(lambda: self._page(run.tenant, state.after)):
            for document in page:
                await self._one(run.tenant, document, state, only_missing=only_missing)
                if time.monotonic() - told > _SELDOM:
                    told = time.monotonic()
                    await report(asdict(state))
        return {name: value for name, value in asdict(state).items() if name != "after"}

    async def _page(self, tenant: str, after: str | None) -> list[Document]:
        return await self._registry.all(tenant, _PAGE, uuid.UUID(after) if after else None)

    async def _one(self, tenant: str, document: Document, state: Reindexed, *, only_missing: bool) -> None:
        try:
            became = await _patiently(lambda: self._ingester.rebuild(tenant, document.id, only_missing=only_missing))
        except ApiError as error:
            if error.status >= 500:
                raise
            # This one cannot be; the others are no worse for it.
            became = "failed"
        named = {"failed": state.failed, "textless": state.send_again}.get(became)
        if named is not None and len(named) < _NAMED:
            named.append(str(document.id))
        state.documents += became != "gone"
        state.rebuilt += became == "rebuilt"
        state.whole += became == "whole"
        state.after = str(document.id)


def _lost() -> ApiError:
    told = "the file is no longer there; send it again"
    return ApiError(410, told, code="document_lost", kind="server_error")


def _finished_before(document: Document | None, content_hash: str) -> bool:
    return document is not None and (document.status, document.content_hash) == ("ready", content_hash)


async def _patiently(act: Callable[[], Awaitable[_T]]) -> _T:
    """Do it, and again while something behind is away or the document is being changed by somebody else."""
    for pause in _PAUSES:
        try:
            return await act()
        except ApiError as error:
            if error.status not in (409, 429, 502, 503, 504):
                raise
            await asyncio.sleep(pause)
    return await act()

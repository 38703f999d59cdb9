"""`/v1/documents` and `/v1/search`."""

import uuid
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, File, Form, Query, Response, UploadFile
from pydantic import BaseModel, ConfigDict, Field

from mesh_agents.api.depends import Keyed, PartsDep, Tenant
from mesh_agents.api.handlers import refusals
from mesh_agents.api.names import MOST_SOURCE, file_name, source_of
from mesh_agents.api.runs import RunView
from mesh_agents.errors import ApiError, ErrorBody, failed, not_found
from mesh_agents.parts import Parts
from mesh_agents.rag.jobs import INGEST, REINDEX
from mesh_agents.rag.parse import READ
from mesh_agents.rag.registry import Document
from mesh_agents.storable import storable

router = APIRouter(prefix="/v1", tags=["documents"], route_class=Keyed)


class Progress(BaseModel):
    """How far an ingest is: first all pages are read, then their text is embedded, chunk by chunk."""

    pages: int | None = None
    pages_done: int | None = None
    chunks: int | None = None
    chunks_done: int | None = None


class DocumentView(BaseModel):
    """A document."""

    id: uuid.UUID
    object: Literal["document"] = "document"
    source: str
    name: str | None
    """Of the file, as it was sent."""
    media_type: str
    bytes: int
    content_hash: str
    status: Literal["ingesting", "ready", "failed", "deleting"]
    """`failed`: send it again. What was there before is found until another is there as a whole."""
    chunks: int
    progress: Progress | None
    error: ErrorBody | None
    run: uuid.UUID | None
    """The job that takes it in."""
    created_at: datetime
    updated_at: datetime


class IngestView(DocumentView):
    """A document that was just sent."""

    outcome: Literal["created", "replaced", "completed", "restored", "unchanged", "accepted"]
    """`completed`: an interrupted ingest was finished; `restored`: its vectors had been lost; `accepted`: its `run`
    takes it in."""


class DocumentList(BaseModel):
    """A page of documents; with `has_more`, ask again with `after` = the last id."""

    object: Literal["list"] = "list"
    data: list[DocumentView]
    has_more: bool


class SearchRequest(BaseModel):
    """What to look for."""

    model_config = ConfigDict(extra="forbid")

    query: Annotated[str, Field(min_length=1, max_length=8000)]
    limit: Annotated[int, Field(ge=1, le=50)] = 6


class Hit(BaseModel):
    """A passage."""

    document: uuid.UUID
    source: str
    position: int
    start: int
    text: str
    score: float


class SearchResult(BaseModel):
    """The passages that are relevant, best first; none: nothing is."""

    object: Literal["list"] = "list"
    data: list[Hit]


class Reindex(BaseModel):
    """What is to be made anew."""

    model_config = ConfigDict(extra="forbid")

    only_missing: bool = False
    """Leave those alone of which all chunks are there."""


def _view(document: Document) -> DocumentView:
    view = DocumentView.model_validate(document, from_attributes=True)
    if view.status == "failed" and view.error is None:
        told = "the ingest broke off; send the document again"
        view.error = ErrorBody(message=told, type="server_error", code="ingest_interrupted")
    return view


@router.post(
    "/documents",
    status_code=201,
    responses={
        200: {"model": IngestView, "description": "It was there, and is as it was sent now"},
        202: {"model": IngestView, "description": "A run takes it in"},
        **refusals(409, 415, 422, 429, 502, 503),
    },
)
async def ingest(
    parts: PartsDep,
    tenant: Tenant,
    response: Response,
    file: Annotated[UploadFile, File(description=READ)],
    source: Annotated[
        str | None, Form(max_length=MOST_SOURCE, description="Names the document; the file's name when left out")
    ] = None,
    wait: Annotated[
        bool,
        Form(
            description="Answer when the document is there; with `false` at once, and a run takes it in: for large ones"
        ),
    ] = True,
) -> IngestView:
    """Take a document in. The same again changes nothing; other content under the same source replaces it."""
    name = file_name(file)
    named = (source or "").strip() or source_of(name)
    if not named or storable(named) != named:
        raise ApiError(400, "the document needs a source or a file name", code="invalid_value", param="source")
    content = await file.read()
    if wait:
        done = await parts.ingester.ingest(tenant, named, content, name)
    else:
        start = partial(_start, parts, tenant, INGEST)
        done = await parts.ingester.accept(tenant, named, content, name, start)
    response.status_code = {"created": 201, "accepted": 202}.get(done.outcome, 200)
    return IngestView(**_view(done.document).model_dump(), outcome=done.outcome)  # type: ignore[arg-type]


@router.post("/documents:reindex", status_code=202, responses=refusals(429, 503))
async def reindex(parts: PartsDep, tenant: Tenant, asked: Reindex | None = None) -> RunView:
    """Make the chunks of all of the caller's documents anew, from their text: after the vectors were lost, or an older
    state of them was restored. It is a run; while one goes on, that is the answer.
    """
    run = await parts.runs.open_job(tenant, REINDEX)
    if run is None:
        request = {"only_missing": asked.only_missing if asked else False}
        made = await _start(parts, tenant, REINDEX, request)
        run = await parts.runs.find(tenant, made)
    if run is None:
        raise failed()
    return RunView.model_validate(run, from_attributes=True)


async def _start(parts: Parts, tenant: str, job: str, request: dict[str, Any]) -> uuid.UUID:
    """Make and queue a run; its id."""
    run = await parts.runs.start_job(tenant, job, request, parts.settings)
    if not await parts.queue.put(run.id):
        await parts.runs.unqueued(run.id)
    return run.id


@router.get("/documents", responses=refusals(503))
async def documents(
    parts: PartsDep, tenant: Tenant, limit: Annotated[int, Query(ge=1, le=100)] = 50, after: uuid.UUID | None = None
) -> DocumentList:
    """The caller's documents, in order of id."""
    found = await parts.registry.all(tenant, limit + 1, after)
    return DocumentList(data=[_view(document) for document in found[:limit]], has_more=len(found) > limit)


@router.get("/documents/{document_id}", responses=refusals(404, 503))
async def document(document_id: uuid.UUID, parts: PartsDep, tenant: Tenant) -> DocumentView:
    """A document, and how far its ingest is."""
    found = await parts.registry.find(tenant, document_id)
    if found is None:
        raise not_found("document", str(document_id))
    return _view(found)


@router.delete("/documents/{document_id}", status_code=204, responses=refusals(404, 409, 429, 503))
async def delete(document_id: uuid.UUID, parts: PartsDep, tenant: Tenant) -> None:
    """Remove a document and all its chunks."""
    await parts.ingester.delete(tenant, document_id)


@router.post("/search", responses=refusals(502, 503))
async def search(asked: SearchRequest, parts: PartsDep, tenant: Tenant) -> SearchResult:
    """Passages of the caller's documents that fit a question."""
    passages = await parts.searcher.search(tenant, asked.query, asked.limit)
    return SearchResult(
        data=[
            Hit(
                document=uuid.UUID(passage.document),
                source=passage.source,
                position=passage.index,
                start=passage.start,
                text=passage.text,
                score=passage.score,
            )
            for passage in passages
        ]
    )

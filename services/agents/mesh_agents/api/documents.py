"""`/v1/documents` and `/v1/search`."""

import uuid
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, File, Form, Query, Response, UploadFile
from pydantic import BaseModel, ConfigDict, Field

from mesh_agents.api.depends import Keyed, PartsDep, Tenant
from mesh_agents.api.handlers import refusals
from mesh_agents.errors import ApiError
from mesh_agents.rag.registry import Document

router = APIRouter(prefix="/v1", tags=["documents"], route_class=Keyed)


class DocumentView(BaseModel):
    """A document."""

    id: uuid.UUID
    object: Literal["document"] = "document"
    source: str
    media_type: str
    bytes: int
    content_hash: str
    status: Literal["ingesting", "ready", "deleting"]
    chunks: int
    created_at: datetime
    updated_at: datetime


class IngestView(DocumentView):
    """A document that was just sent."""

    outcome: Literal["created", "replaced", "completed", "unchanged"]


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


def _view(document: Document) -> DocumentView:
    return DocumentView.model_validate(document, from_attributes=True)


@router.post(
    "/documents",
    status_code=201,
    responses={200: {"model": IngestView}, **refusals(409, 415, 422, 429, 502, 503)},
)
async def ingest(
    parts: PartsDep,
    tenant: Tenant,
    response: Response,
    file: Annotated[UploadFile, File(description="UTF-8 text, Markdown, HTML, PDF, PNG or JPEG")],
    source: Annotated[
        str | None, Form(max_length=500, description="Names the document; the file's name when left out")
    ] = None,
) -> IngestView:
    """Take a document in. The same again changes nothing; other content under the same source replaces it."""
    name = (file.filename or "").rsplit("/", 1)[-1][:200]
    named = (source or name).strip()
    if not named or "\0" in named:
        raise ApiError(400, "the document needs a source or a file name", code="invalid_value", param="source")
    done = await parts.ingester.ingest(tenant, named, await file.read(), name)
    response.status_code = 201 if done.outcome == "created" else 200
    return IngestView(**_view(done.document).model_dump(), outcome=done.outcome)  # type: ignore[arg-type]


@router.get("/documents", responses=refusals(503))
async def documents(
    parts: PartsDep, tenant: Tenant, limit: Annotated[int, Query(ge=1, le=100)] = 50, after: uuid.UUID | None = None
) -> DocumentList:
    """The caller's documents, in order of id."""
    found = await parts.registry.all(tenant, limit + 1, after)
    return DocumentList(data=[_view(document) for document in found[:limit]], has_more=len(found) > limit)


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

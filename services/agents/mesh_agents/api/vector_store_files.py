"""`/v1/vector_stores/{id}/files` and `/file_batches`: which files are in a vector store, and how far they are."""

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from mesh_agents.api import vector_stores
from mesh_agents.api.depends import Keyed, PartsDep, Tenant
from mesh_agents.api.files import find as find_file
from mesh_agents.api.handlers import refusals
from mesh_agents.api.listing import Attributes, PageDep, absent, seconds
from mesh_agents.api.vector_stores import MAX_FILES_AT_ONCE, Chunking, Counts, FileIds, check_files, counts
from mesh_agents.errors import ApiError
from mesh_agents.filed.rows import Page, new_id
from mesh_agents.filed.stores import Attached
from mesh_agents.filed.stores import Attributes as Given
from mesh_agents.parts import Parts

router = APIRouter(prefix="/v1/vector_stores/{vector_store_id}", tags=["vector stores"], route_class=Keyed)
Status = Literal["in_progress", "completed", "failed", "cancelled"]
_POLL: Final = {"openai-poll-after-ms": "500"}
"""How long the official client waits before it asks again."""


class AttachRequest(BaseModel):
    """A file that is to be searchable."""

    model_config = ConfigDict(extra="allow")

    file_id: Annotated[str, Field(max_length=100)]
    attributes: Attributes | None = None
    chunking_strategy: Chunking | None = None


class AttributesRequest(BaseModel):
    """What is said of a file."""

    model_config = ConfigDict(extra="allow")

    attributes: Attributes | None


class BatchRequest(BaseModel):
    """Several files: by `file_ids`, all with the same `attributes`, or as `files`, each with its own."""

    model_config = ConfigDict(extra="allow")

    file_ids: FileIds | None = None
    files: Annotated[list[AttachRequest], Field(max_length=MAX_FILES_AT_ONCE)] | None = None
    attributes: Attributes | None = None
    chunking_strategy: Chunking | None = None

    def wanted(self) -> dict[str, Given]:
        """Attributes by file.

        Raises:
            ApiError: 400, there are none, or they are said in both ways.

        """
        if bool(self.file_ids) == bool(self.files):
            raise ApiError(400, "give either file_ids or files", code="invalid_value", param="file_ids")
        for one in (self, *(self.files or ())):
            if one.chunking_strategy:
                one.chunking_strategy.check()
        if self.file_ids:
            return {name: self.attributes or {} for name in self.file_ids}
        return {one.file_id: one.attributes or {} for one in self.files or ()}


class LastError(BaseModel):
    """Why a file is not searchable."""

    code: Literal["server_error", "unsupported_file", "invalid_file"]
    message: str


class Strategy(BaseModel):
    """How it is cut: ours is none of those that have a name."""

    type: Literal["other"] = "other"


class AttachedView(BaseModel):
    """A file in a vector store."""

    id: str
    object: Literal["vector_store.file"] = "vector_store.file"
    created_at: int
    vector_store_id: str
    status: Status
    last_error: LastError | None
    usage_bytes: int
    attributes: Attributes
    chunking_strategy: Strategy = Strategy()


class AttachedList(BaseModel):
    """A page of them; with `has_more`, ask again with `after` = `last_id`."""

    object: Literal["list"] = "list"
    data: list[AttachedView]
    first_id: str | None
    last_id: str | None
    has_more: bool


class Detached(BaseModel):
    """A file that is no longer in the vector store."""

    id: str
    object: Literal["vector_store.file.deleted"] = "vector_store.file.deleted"
    deleted: Literal[True] = True


class BatchView(BaseModel):
    """Files that were attached together."""

    id: str
    object: Literal["vector_store.files_batch"] = "vector_store.files_batch"
    created_at: int
    vector_store_id: str
    status: Status
    file_counts: Counts


_StatusQuery = Annotated[Status | None, Query(alias="filter")]


@router.post("/files", responses=refusals(404, 503))
async def attach(vector_store_id: str, asked: AttachRequest, parts: PartsDep, tenant: Tenant) -> AttachedView:
    """Make a file searchable in this vector store; ask for it again until its `status` is `completed`."""
    if asked.chunking_strategy:
        asked.chunking_strategy.check()
    store = await vector_stores.find(parts, tenant, vector_store_id)
    file = await find_file(parts, tenant, asked.file_id)
    [made] = await parts.filing.stores.attach(store.id, {file.id: asked.attributes or {}})
    parts.filing.kick()
    return (await _views(parts, tenant, [made]))[0]


@router.get("/files", responses=refusals(404, 503))
async def files(
    vector_store_id: str, parts: PartsDep, tenant: Tenant, page: PageDep, status: _StatusQuery = None
) -> AttachedList:
    """Its files, the newest first."""
    store = await vector_stores.find(parts, tenant, vector_store_id)
    return await _listed(parts, tenant, store.id, status, None, page)


@router.get("/files/{file_id}", responses=refusals(404, 503))
async def one(vector_store_id: str, file_id: str, parts: PartsDep, tenant: Tenant, response: Response) -> AttachedView:
    """How far one of them is."""
    response.headers.update(_POLL)
    return (await _views(parts, tenant, [await _find(parts, tenant, vector_store_id, file_id)]))[0]


@router.post("/files/{file_id}", responses=refusals(404, 503))
async def describe(
    vector_store_id: str, file_id: str, asked: AttributesRequest, parts: PartsDep, tenant: Tenant
) -> AttachedView:
    """Set its attributes."""
    found = await _find(parts, tenant, vector_store_id, file_id)
    await parts.filing.stores.describe(found.vector_store, found.file, asked.attributes or {})
    return (await _views(parts, tenant, [await _find(parts, tenant, vector_store_id, file_id)]))[0]


@router.delete("/files/{file_id}", responses=refusals(404, 409, 429, 503))
async def detach(vector_store_id: str, file_id: str, parts: PartsDep, tenant: Tenant) -> Detached:
    """Take a file out of the vector store; the file stays."""
    found = await _find(parts, tenant, vector_store_id, file_id)
    await parts.filing.detach(found.vector_store, await find_file(parts, tenant, found.file))
    return Detached(id=file_id)


@router.post("/file_batches", responses=refusals(404, 503))
async def attach_all(vector_store_id: str, asked: BatchRequest, parts: PartsDep, tenant: Tenant) -> BatchView:
    """Make several files searchable at once."""
    wanted = asked.wanted()
    store = await vector_stores.find(parts, tenant, vector_store_id)
    await check_files(parts, tenant, list(wanted))
    name = new_id("vsfb_")
    made = await parts.filing.stores.attach(store.id, wanted, name)
    parts.filing.kick()
    return _batch_view(name, made)


@router.get("/file_batches/{batch_id}", responses=refusals(404, 503))
async def batch(vector_store_id: str, batch_id: str, parts: PartsDep, tenant: Tenant, response: Response) -> BatchView:
    """How far they are."""
    response.headers.update(_POLL)
    return _batch_view(batch_id, await _batch(parts, tenant, vector_store_id, batch_id))


@router.post("/file_batches/{batch_id}/cancel", responses=refusals(404, 503))
async def cancel(vector_store_id: str, batch_id: str, parts: PartsDep, tenant: Tenant) -> BatchView:
    """Give up those that are not searchable yet."""
    found = await _batch(parts, tenant, vector_store_id, batch_id)
    await parts.filing.stores.cancel(found[0].vector_store, batch_id)
    return _batch_view(batch_id, await _batch(parts, tenant, vector_store_id, batch_id))


@router.get("/file_batches/{batch_id}/files", responses=refusals(404, 503))
async def batch_files(
    vector_store_id: str, batch_id: str, parts: PartsDep, tenant: Tenant, page: PageDep, status: _StatusQuery = None
) -> AttachedList:
    """Its files."""
    found = await _batch(parts, tenant, vector_store_id, batch_id)
    return await _listed(parts, tenant, found[0].vector_store, status, batch_id, page)


async def _find(parts: Parts, tenant: str, vector_store_id: str, file_id: str) -> Attached:
    store = await vector_stores.find(parts, tenant, vector_store_id)
    found = await parts.filing.stores.attached(store.id, file_id)
    if found is None:
        raise absent("file", file_id)
    return found


async def _batch(parts: Parts, tenant: str, vector_store_id: str, batch_id: str) -> list[Attached]:
    store = await vector_stores.find(parts, tenant, vector_store_id)
    found = await parts.filing.stores.all_attached(store.id, batch_id)
    if not found:
        raise absent("batch", batch_id)
    return found


async def _listed(
    parts: Parts, tenant: str, store: str, status: str | None, batch_id: str | None, page: Page
) -> AttachedList:
    found, more = await parts.filing.stores.attached_page(store, status, batch_id, page)
    views = await _views(parts, tenant, found)
    ids: list[str | None] = [view.id for view in views] or [None]
    return AttachedList(data=views, first_id=ids[0], last_id=ids[-1], has_more=more)


async def _views(parts: Parts, tenant: str, attached: list[Attached]) -> list[AttachedView]:
    sizes = {file.id: file.bytes for file in await parts.filing.files.find_all(tenant, [one.file for one in attached])}
    return [
        AttachedView(
            id=one.file,
            created_at=seconds(one.created_at),
            vector_store_id=one.vector_store,
            status=one.status,  # type: ignore[arg-type]
            last_error=LastError(**one.error) if one.error else None,  # type: ignore[arg-type]
            usage_bytes=sizes.get(one.file, 0) if one.status == "completed" else 0,
            attributes=one.attributes,
        )
        for one in attached
    ]


def _batch_view(name: str, attached: list[Attached]) -> BatchView:
    by_status: dict[str, int] = {}
    for one in attached:
        by_status[one.status] = by_status.get(one.status, 0) + 1
    status: Status = "completed"
    if by_status.get("in_progress"):
        status = "in_progress"
    elif by_status.get("cancelled"):
        status = "cancelled"
    elif by_status.get("failed") == len(attached):
        status = "failed"
    return BatchView(
        id=name,
        created_at=min(seconds(one.created_at) for one in attached),
        vector_store_id=attached[0].vector_store,
        status=status,
        file_counts=counts(by_status),
    )

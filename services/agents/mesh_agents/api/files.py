"""`/v1/files`: OpenAI's files, for vector stores and for chats."""

from typing import Annotated, Final, Literal

from fastapi import APIRouter, File, Form, Query, Response, UploadFile
from pydantic import BaseModel

from mesh_agents.api.depends import Keyed, PartsDep, Tenant
from mesh_agents.api.handlers import refusals
from mesh_agents.api.listing import absent, seconds
from mesh_agents.api.names import file_name
from mesh_agents.errors import ApiError
from mesh_agents.filed import files as filed
from mesh_agents.filed.rows import Page
from mesh_agents.parts import Parts

router = APIRouter(prefix="/v1/files", tags=["files"], route_class=Keyed)
_PURPOSES: Final = ("assistants", "user_data", "vision")


class FileView(BaseModel):
    """A file."""

    id: str
    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    expires_at: int | None
    filename: str
    purpose: str
    status: Literal["processed"] = "processed"
    status_details: None = None


class FileList(BaseModel):
    """A page of files; with `has_more`, ask again with `after` = `last_id`."""

    object: Literal["list"] = "list"
    data: list[FileView]
    first_id: str | None
    last_id: str | None
    has_more: bool


class FileDeleted(BaseModel):
    """A file that is gone."""

    id: str
    object: Literal["file"] = "file"
    deleted: Literal[True] = True


@router.post("", responses=refusals(503))
async def create(
    parts: PartsDep,
    tenant: Tenant,
    file: Annotated[UploadFile, File(description="Any file; what a vector store can read is that of /v1/documents")],
    purpose: Annotated[str, Form(max_length=50, examples=["assistants"])],
    anchor: Annotated[Literal["created_at"] | None, Form(alias="expires_after[anchor]")] = None,
    lifetime: Annotated[int | None, Form(alias="expires_after[seconds]", ge=3600, le=2592000)] = None,
) -> FileView:
    """Keep a file as it is. Attached to a vector store it becomes searchable; a chat can name it in a file part."""
    if purpose not in _PURPOSES:
        told = f"files are taken for the purposes {', '.join(_PURPOSES)}; batches, training and evals are not served"
        raise ApiError(400, told, code="invalid_value", param="purpose")
    if anchor is not None and lifetime is None:
        raise ApiError(400, "expires_after needs seconds", code="invalid_value", param="expires_after.seconds")
    content = await file.read()
    if not content:
        raise ApiError(400, "the file is empty", code="empty_file", param="file")
    return _view(await parts.filing.files.create(tenant, file_name(file).strip() or "file", purpose, content, lifetime))


@router.get("", responses=refusals(503))
async def listed(
    parts: PartsDep,
    tenant: Tenant,
    purpose: Annotated[str | None, Query(max_length=50, pattern=r"^[a-z_-]*$")] = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 10_000,
    order: Literal["asc", "desc"] = "desc",
    after: Annotated[str | None, Query(max_length=100)] = None,
) -> FileList:
    """The caller's files, the newest first."""
    found, more = await parts.filing.files.page(tenant, purpose, Page(limit, order, after))
    views = [_view(file) for file in found]
    ids: list[str | None] = [view.id for view in views] or [None]
    return FileList(data=views, first_id=ids[0], last_id=ids[-1], has_more=more)


@router.get("/{file_id}", responses=refusals(404, 503))
async def one(file_id: str, parts: PartsDep, tenant: Tenant) -> FileView:
    """One of them."""
    return _view(await find(parts, tenant, file_id))


@router.get(
    "/{file_id}/content",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {}}}, **refusals(404, 503)},
)
async def content(file_id: str, parts: PartsDep, tenant: Tenant) -> Response:
    """What it holds, as it was sent."""
    found = await parts.filing.files.content(tenant, file_id)
    if found is None:
        raise absent("file", file_id)
    # Never shown by a browser, whatever it holds.
    headers = {"content-disposition": "attachment", "x-content-type-options": "nosniff"}
    return Response(found, media_type="application/octet-stream", headers=headers)


@router.delete("/{file_id}", responses=refusals(404, 409, 429, 503))
async def delete(file_id: str, parts: PartsDep, tenant: Tenant) -> FileDeleted:
    """Remove a file, also from all vector stores."""
    await parts.filing.delete_file(await find(parts, tenant, file_id))
    return FileDeleted(id=file_id)


async def find(parts: Parts, tenant: str, file_id: str) -> filed.File:
    """A tenant's file.

    Raises:
        ApiError: 404, there is none.

    """
    found = await parts.filing.files.find(tenant, file_id)
    if found is None:
        raise absent("file", file_id)
    return found


def _view(file: filed.File) -> FileView:
    return FileView(
        id=file.id,
        bytes=file.bytes,
        created_at=seconds(file.created_at),
        expires_at=seconds(file.expires_at) if file.expires_at else None,
        filename=file.filename,
        purpose=file.purpose,
    )

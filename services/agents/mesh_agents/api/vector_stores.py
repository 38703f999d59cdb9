"""`/v1/vector_stores`: OpenAI's collections of searchable files."""

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from mesh_agents.api.depends import Keyed, PartsDep, Tenant
from mesh_agents.api.fields import unsupported
from mesh_agents.api.handlers import refusals
from mesh_agents.api.listing import Attributes, Metadata, Name, PageDep, Value, absent, seconds
from mesh_agents.filed.filters import Filter, fits
from mesh_agents.filed.stores import Store
from mesh_agents.parts import Parts
from mesh_agents.rag import words
from mesh_agents.rag.registry import document_id
from mesh_agents.rag.store import Passage

router = APIRouter(prefix="/v1/vector_stores", tags=["vector stores"], route_class=Keyed)
MAX_FILES_AT_ONCE: Final = 500
FileIds = Annotated[list[Annotated[str, Field(max_length=100)]], Field(max_length=MAX_FILES_AT_ONCE)]
_CHUNKS: Final = "files are cut into chunks the same way for all: leave chunking_strategy out or send {'type': 'auto'}"


class Chunking(BaseModel):
    """How files are cut."""

    model_config = ConfigDict(extra="allow")

    type: Annotated[str, Field(max_length=20)]

    def check(self) -> None:
        """Refuse what is not served.

        Raises:
            ApiError: 400, it is not the one way.

        """
        if self.type != "auto":
            raise unsupported("chunking_strategy", _CHUNKS)


class StoreRequest(BaseModel):
    """A vector store that is to be made."""

    model_config = ConfigDict(extra="allow")

    name: Name | None = None
    description: Value | None = None
    metadata: Metadata | None = None
    file_ids: FileIds | None = None
    chunking_strategy: Chunking | None = None
    expires_after: dict[str, Any] | None = None


class StoreChange(BaseModel):
    """What is to be changed of it."""

    model_config = ConfigDict(extra="allow")

    name: Name | None = None
    metadata: Metadata | None = None
    expires_after: dict[str, Any] | None = None


class Counts(BaseModel):
    """Files by status."""

    in_progress: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    total: int = 0


class StoreView(BaseModel):
    """A vector store."""

    id: str
    object: Literal["vector_store"] = "vector_store"
    created_at: int
    last_active_at: int
    name: str
    description: str | None
    metadata: dict[str, str]
    status: Literal["in_progress", "completed"]
    file_counts: Counts
    usage_bytes: int
    expires_after: None = None
    expires_at: None = None


class StoreList(BaseModel):
    """A page of vector stores; with `has_more`, ask again with `after` = `last_id`."""

    object: Literal["list"] = "list"
    data: list[StoreView]
    first_id: str | None
    last_id: str | None
    has_more: bool


class StoreDeleted(BaseModel):
    """A vector store that is gone."""

    id: str
    object: Literal["vector_store.deleted"] = "vector_store.deleted"
    deleted: Literal[True] = True


class Ranking(BaseModel):
    """How passages are ranked: in one way, whatever the ranker."""

    model_config = ConfigDict(extra="allow")

    ranker: Annotated[str, Field(max_length=100)] | None = None
    score_threshold: Annotated[float, Field(ge=0, le=1)] | None = None


class SearchRequest(BaseModel):
    """What to look for."""

    model_config = ConfigDict(extra="allow")

    query: (
        Annotated[str, Field(min_length=1, max_length=8000)]
        | Annotated[list[Annotated[str, Field(min_length=1, max_length=8000)]], Field(min_length=1, max_length=8)]
    )
    max_num_results: Annotated[int, Field(ge=1, le=50)] = 10
    filters: Filter | None = None
    ranking_options: Ranking | None = None
    rewrite_query: bool | None = None


class Content(BaseModel):
    """A piece of a file."""

    type: Literal["text"] = "text"
    text: str


class Result(BaseModel):
    """A passage."""

    file_id: str
    filename: str
    score: float
    attributes: Attributes
    content: list[Content]


class SearchResults(BaseModel):
    """The relevant passages, best first; none: nothing is."""

    object: Literal["vector_store.search_results.page"] = "vector_store.search_results.page"
    search_query: list[str]
    data: list[Result]
    has_more: Literal[False] = False
    next_page: None = None


@router.post("", responses=refusals(404, 503))
async def create(asked: StoreRequest, parts: PartsDep, tenant: Tenant) -> StoreView:
    """Make a vector store, with files if some are named."""
    _check_life(asked.expires_after)
    if asked.chunking_strategy:
        asked.chunking_strategy.check()
    await check_files(parts, tenant, asked.file_ids or [])
    made = await parts.filing.stores.create(tenant, asked.name or "", asked.description, asked.metadata or {})
    if asked.file_ids:
        await parts.filing.stores.attach(made.id, {file: {} for file in asked.file_ids})
        parts.filing.kick()
    return view(await find(parts, tenant, made.id))


@router.get("", responses=refusals(503))
async def listed(parts: PartsDep, tenant: Tenant, page: PageDep) -> StoreList:
    """The caller's vector stores, the newest first."""
    found, more = await parts.filing.stores.page(tenant, page)
    views = [view(store) for store in found]
    ids: list[str | None] = [one.id for one in views] or [None]
    return StoreList(data=views, first_id=ids[0], last_id=ids[-1], has_more=more)


@router.get("/{vector_store_id}", responses=refusals(404, 503))
async def one(vector_store_id: str, parts: PartsDep, tenant: Tenant) -> StoreView:
    """One of them."""
    return view(await find(parts, tenant, vector_store_id))


@router.post("/{vector_store_id}", responses=refusals(404, 503))
async def change(vector_store_id: str, asked: StoreChange, parts: PartsDep, tenant: Tenant) -> StoreView:
    """Name it otherwise, or set its metadata."""
    _check_life(asked.expires_after)
    store = await find(parts, tenant, vector_store_id)
    await parts.filing.stores.change(store.id, name=asked.name, metadata=asked.metadata)
    return view(await find(parts, tenant, vector_store_id))


@router.delete("/{vector_store_id}", responses=refusals(404, 409, 429, 503))
async def delete(vector_store_id: str, parts: PartsDep, tenant: Tenant) -> StoreDeleted:
    """Remove a vector store; its files stay, and are no longer found."""
    store = await find(parts, tenant, vector_store_id)
    await parts.filing.delete_store(tenant, store.id)
    return StoreDeleted(id=store.id)


@router.post("/{vector_store_id}/search", responses=refusals(404, 502, 503))
async def search(vector_store_id: str, asked: SearchRequest, parts: PartsDep, tenant: Tenant) -> SearchResults:
    """Passages of its files that fit a question. `score` is the similarity of meaning, 0 to 1."""
    if asked.rewrite_query:
        raise unsupported("rewrite_query", "questions are taken as they are: leave rewrite_query out")
    store = await find(parts, tenant, vector_store_id)
    queries = [asked.query] if isinstance(asked.query, str) else asked.query
    attached = {one.file: one for one in await parts.filing.stores.all_attached(store.id) if one.status == "completed"}
    files = await parts.filing.files.find_all(tenant, list(attached))
    by_document = {
        str(document_id(tenant, file.source)): file
        for file in files
        if asked.filters is None or fits(attached[file.id].attributes, asked.filters)
    }
    options = asked.ranking_options
    least = options.score_threshold if options and options.score_threshold is not None else None
    found = await _passages(parts, tenant, queries, list(by_document), asked.max_num_results, least)
    await parts.filing.stores.change(store.id)
    return SearchResults(
        search_query=queries,
        data=[
            Result(
                file_id=by_document[passage.document].id,
                filename=by_document[passage.document].filename,
                score=max(0.0, min(1.0, passage.score)),
                attributes=attached[by_document[passage.document].id].attributes,
                content=[Content(text=passage.text)],
            )
            for passage in found
        ],
    )


async def _passages(
    parts: Parts, tenant: str, queries: list[str], documents: list[str], limit: int, least: float | None
) -> list[Passage]:
    """The best passages for any of the questions; `least` in place of the usual threshold of relevance."""
    if not documents:
        return []
    searcher = parts.searcher
    vectors = await searcher.embedder.embed(queries)
    best: dict[tuple[str, int], Passage] = {}
    for query, vector in zip(queries, vectors, strict=True):
        threshold = searcher.min_score if least is None else least
        asked, names = words.of_query(query), words.names(query)
        for passage in await searcher.store.search(tenant, vector, asked, limit, threshold, names, documents):
            key = (passage.document, passage.index)
            if key not in best or best[key].score < passage.score:
                best[key] = passage
    found = list(best.values())
    if len(queries) > 1:
        found.sort(key=lambda passage: -passage.score)
    return [passage for passage in found if least is None or passage.score >= least][:limit]


async def find(parts: Parts, tenant: str, vector_store_id: str) -> Store:
    """A tenant's vector store.

    Raises:
        ApiError: 404, there is none.

    """
    found = await parts.filing.stores.find(tenant, vector_store_id)
    if found is None:
        raise absent("vector store", vector_store_id)
    return found


async def check_files(parts: Parts, tenant: str, ids: list[str]) -> None:
    """Refuse ids that are no files of the tenant.

    Raises:
        ApiError: 404, names the first that is not there.

    """
    there = {file.id for file in await parts.filing.files.find_all(tenant, ids)}
    for name in ids:
        if name not in there:
            raise absent("file", name)


def counts(by_status: dict[str, int]) -> Counts:
    """As they are told."""
    return Counts(**by_status, total=sum(by_status.values()))


def view(store: Store) -> StoreView:
    """As it is told."""
    return StoreView(
        id=store.id,
        created_at=seconds(store.created_at),
        last_active_at=seconds(store.last_active_at),
        name=store.name,
        description=store.description,
        metadata=store.metadata,
        status="in_progress" if store.counts.get("in_progress") else "completed",
        file_counts=counts(store.counts),
        usage_bytes=store.bytes,
    )


def _check_life(expires_after: dict[str, Any] | None) -> None:
    if expires_after is not None:
        raise unsupported("expires_after", "vector stores stay until they are deleted: leave expires_after out")

"""`/v1/files` and `/v1/vector_stores` by the official client. The vector database is Qdrant's own local mode,
a stand-in for its server."""

# ruff: noqa: S608 - the values are ids that the service has just made

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from qdrant_client import AsyncQdrantClient

from tests.services.agents.conftest import KEY, Worker, serving
from tests.services.agents.servers import Postgres, wait_until
from tests.services.agents.stand_in import StandIn

# Of the local mode alone.
pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant")

LIGHTHOUSE = b"The lighthouse at Cape Verity was built in 1871 by Elias Thorn. Its lamp is lit at dusk."
BREAD = b"Our bakery's sourdough needs twelve hours of rest before it goes into the oven at 240 degrees."
QUESTION = "who built the lighthouse?"


@pytest.fixture
def mine_ai(base_url: str, tenant: str, upstream: StandIn) -> Iterator[openai.OpenAI]:
    """The official client of a tenant that nobody else is."""
    with _client(base_url, tenant) as made:
        yield made


def _client(base_url: str, tenant: str) -> openai.OpenAI:
    return openai.OpenAI(
        base_url=f"{base_url}/v1", api_key=KEY, max_retries=0, default_headers={"x-consumer-username": tenant}
    )


def _file(client: openai.OpenAI, content: bytes = LIGHTHOUSE, name: str = "lights.txt") -> str:
    return client.files.create(file=(name, content), purpose="assistants").id


def _found(client: openai.OpenAI, store: str, query: Any = QUESTION, **more: Any) -> list[Any]:
    return list(client.vector_stores.search(store, query=query, **more))


def test_upload_list_get_content_delete(mine_ai: openai.OpenAI) -> None:
    made = mine_ai.files.create(file=("Größe & 表.txt", BREAD), purpose="assistants")
    assert made.id.startswith("file-")
    assert (made.bytes, made.filename, made.purpose, made.status) == (
        len(BREAD),
        "Größe & 表.txt",
        "assistants",
        "processed",
    )
    assert mine_ai.files.retrieve(made.id) == made
    assert mine_ai.files.content(made.id).read() == BREAD
    assert [one.id for one in mine_ai.files.list()] == [made.id]
    assert list(mine_ai.files.list(purpose="vision")) == []
    assert mine_ai.files.delete(made.id).deleted
    for gone in (mine_ai.files.retrieve, mine_ai.files.content, mine_ai.files.delete):
        with pytest.raises(openai.NotFoundError) as caught:
            gone(made.id)
        assert caught.value.type == "invalid_request_error"


def test_a_path_is_uploaded_as_people_do_it(mine_ai: openai.OpenAI, tmp_path: Path) -> None:
    path = tmp_path / "garbage.bin"
    path.write_bytes(bytes(range(256)) * 4)
    made = mine_ai.files.create(file=path, purpose="user_data", expires_after={"anchor": "created_at", "seconds": 3600})
    assert made.filename == "garbage.bin"
    assert made.expires_at
    assert made.expires_at - made.created_at == 3600
    assert mine_ai.files.content(made.id).read() == path.read_bytes()


def test_a_name_survives_whole(mine_ai: openai.OpenAI) -> None:
    name = 'Angebot „Ärger & Co.“; 100 % "neu" 表.txt' + "x" * 600 + ".md"
    file = _file(mine_ai, name=name)
    assert mine_ai.files.retrieve(file).filename == name
    store = mine_ai.vector_stores.create().id
    mine_ai.vector_stores.files.create_and_poll(file, vector_store_id=store)
    assert [hit.filename for hit in _found(mine_ai, store)] == [name]


def test_pages(mine_ai: openai.OpenAI) -> None:
    ids = [_file(mine_ai, name=f"{number}.txt") for number in range(5)]
    assert [one.id for one in mine_ai.files.list(limit=2)] == ids[::-1], "the client asks for all pages"
    assert [one.id for one in mine_ai.files.list(limit=2, order="asc")] == ids
    page = mine_ai.files.list(limit=2, after=ids[3])
    assert ([one.id for one in page.data], page.has_more) == (ids[1:3][::-1], True)
    stores = [mine_ai.vector_stores.create(name=str(number)).id for number in range(4)]
    assert [one.id for one in mine_ai.vector_stores.list(limit=3)] == stores[::-1]
    assert [one.id for one in mine_ai.vector_stores.list(before=stores[0], limit=2).data] == stores[1:3][::-1]
    assert mine_ai.vector_stores.list(after="file-nothing").data == []


@pytest.mark.parametrize("purpose", ["batch", "fine-tune", "evals"])
def test_purposes_that_are_not_served(mine_ai: openai.OpenAI, purpose: Any) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        mine_ai.files.create(file=("a.jsonl", b"{}"), purpose=purpose)
    assert caught.value.param == "purpose"
    assert "assistants" in str(caught.value)


def test_bad_uploads(mine: httpx.Client) -> None:
    for files, data, param in [
        ({"file": ("a.txt", b"")}, {"purpose": "assistants"}, "file"),
        ({"file": ("a.txt", b"x")}, {}, "purpose"),
        (None, {"purpose": "assistants"}, "file"),
        (
            {"file": ("a.txt", b"x")},
            {"purpose": "vision", "expires_after[anchor]": "created_at"},
            "expires_after.seconds",
        ),
        ({"file": ("a.txt", b"x")}, {"purpose": "vision", "expires_after[seconds]": "1"}, "expires_after[seconds]"),
    ]:
        answer = mine.post("/v1/files", files=files, data=data)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), answer.text
    assert (
        mine.post("/v1/files", files={"file": ("a", b"x" * (3 << 20))}, data={"purpose": "vision"}).status_code == 413
    )
    assert mine.get("/v1/files").json()["data"] == []


def test_a_tenant_has_a_limit(environment: dict[str, str], vectors: AsyncQdrantClient, tenant: str) -> None:
    with (
        serving({**environment, "AGENTS_MAX_FILES_MIB_OF_TENANT": "1"}, vectors) as url,
        _client(url, tenant) as client,
    ):
        first = _file(client, b"x" * (700 << 10))
        with pytest.raises(openai.APIStatusError) as caught:
            _file(client, b"x" * (400 << 10))
        assert (caught.value.status_code, caught.value.code) == (413, "file_storage_full")
        client.files.delete(first)
        _file(client, b"x" * (400 << 10))


def test_a_chat_names_a_file(mine_ai: openai.OpenAI, upstream: StandIn, base_url: str) -> None:
    file = _file(mine_ai)

    def ask(client: openai.OpenAI) -> None:
        content: Any = [{"type": "text", "text": "When?"}, {"type": "file", "file": {"file_id": file}}]
        client.chat.completions.create(model="vllm_local", messages=[{"role": "user", "content": content}])

    ask(mine_ai)
    told = json.dumps(upstream.chats[0]["messages"])
    assert file not in told, "the model knows no files of ours"
    assert base64.b64encode(LIGHTHOUSE).decode() in told or LIGHTHOUSE.decode() in told
    with _client(base_url, "somebody-else") as other, pytest.raises(openai.NotFoundError) as caught:
        ask(other)
    assert "/v1/files" in str(caught.value)
    assert len(upstream.chats) == 1


def test_a_run_names_a_file(mine_ai: openai.OpenAI, mine: httpx.Client, postgres: Postgres) -> None:
    for file, status in ((_file(mine_ai), 202), ("file-1", 404)):
        part = {"type": "file", "file": {"file_id": file, "filename": None}}
        body = {"messages": [{"role": "user", "content": [part]}], "heavy": True}
        answer = mine.post("/v1/runs", json=body)
        assert answer.status_code == status, answer.text
    [kept] = postgres.psql("SELECT request FROM runs ORDER BY created_at DESC LIMIT 1").splitlines()
    assert base64.b64encode(LIGHTHOUSE).decode() in kept
    assert "lights.txt" in kept


def test_a_vector_store_from_files_to_answers(mine_ai: openai.OpenAI) -> None:
    file = _file(mine_ai)
    store = mine_ai.vector_stores.create(name="harbour", metadata={"team": "north"})
    assert store.id.startswith("vs_")
    done = mine_ai.vector_stores.files.create_and_poll(
        file, vector_store_id=store.id, attributes={"year": 1871, "public": True}, poll_interval_ms=100
    )
    assert (done.status, done.last_error, done.usage_bytes) == ("completed", None, len(LIGHTHOUSE))
    assert done.attributes == {"year": 1871, "public": True}
    [hit] = _found(mine_ai, store.id)
    assert (hit.file_id, hit.filename, hit.content[0].text) == (file, "lights.txt", LIGHTHOUSE.decode())
    assert 0 < hit.score <= 1
    assert hit.attributes == {"year": 1871, "public": True}
    seen = mine_ai.vector_stores.retrieve(store.id)
    assert (seen.status, seen.file_counts.completed, seen.file_counts.total) == ("completed", 1, 1)
    assert (seen.name, seen.metadata, seen.usage_bytes) == ("harbour", {"team": "north"}, len(LIGHTHOUSE))
    changed = mine_ai.vector_stores.update(store.id, name="port", metadata={"team": "south"})
    assert (changed.name, changed.metadata) == ("port", {"team": "south"})


def test_a_search_is_narrowed_to_the_store(mine_ai: openai.OpenAI, mine: httpx.Client) -> None:
    mine.post("/v1/documents", files={"file": ("other.txt", LIGHTHOUSE)})
    lights, bread = _file(mine_ai), _file(mine_ai, BREAD, "bread.md")
    stores = [mine_ai.vector_stores.create(file_ids=[file]).id for file in (lights, bread)]
    for store in stores:
        wait_until(lambda s=store: mine_ai.vector_stores.retrieve(s).status == "completed", what="the ingest")  # type: ignore[misc]
    assert [hit.file_id for hit in _found(mine_ai, stores[0])] == [lights]
    assert _found(mine_ai, stores[1]) == []
    assert [hit.file_id for hit in _found(mine_ai, stores[1], ["sourdough rest", QUESTION])] == [bread]
    hits = mine.post("/v1/search", json={"query": QUESTION}).json()["data"]
    assert {hit["source"] for hit in hits} == {"other.txt", f"lights.txt ({lights})"}, "its files are documents too"


def test_filters_and_thresholds(mine_ai: openai.OpenAI) -> None:
    store = mine_ai.vector_stores.create().id
    files = {}
    for year, kind in ((1871, "history"), (1999, "guide")):
        files[kind] = _file(mine_ai, LIGHTHOUSE + str(year).encode(), f"{kind}.txt")
        mine_ai.vector_stores.files.create_and_poll(
            files[kind], vector_store_id=store, attributes={"year": year, "kind": kind, "old": year < 1900}
        )
    old: Any = {"type": "lt", "key": "year", "value": 1900}
    guide: Any = {"type": "eq", "key": "kind", "value": "guide"}
    for filters, wanted in [
        (old, {"history"}),
        (guide, {"guide"}),
        ({"type": "or", "filters": [old, guide]}, {"history", "guide"}),
        ({"type": "and", "filters": [old, guide]}, set()),
        ({"type": "in", "key": "kind", "value": ["guide", "map"]}, {"guide"}),
        ({"type": "nin", "key": "kind", "value": ["guide"]}, {"history"}),
        ({"type": "ne", "key": "nothing", "value": 1}, {"history", "guide"}),
        ({"type": "gt", "key": "kind", "value": 1}, set()),
        ({"type": "eq", "key": "old", "value": True}, {"history"}),
        ({"type": "eq", "key": "year", "value": True}, set()),
    ]:
        found = {hit.file_id for hit in _found(mine_ai, store, filters=filters)}
        assert found == {files[name] for name in wanted}, filters
    assert len(_found(mine_ai, store, max_num_results=1)) == 1
    assert _found(mine_ai, store, ranking_options={"ranker": "auto", "score_threshold": 0.99}) == []
    assert len(_found(mine_ai, store, "the price of tea in China", ranking_options={"score_threshold": 0.0})) == 2
    mine_ai.vector_stores.files.update(files["guide"], vector_store_id=store, attributes={"kind": "map"})
    assert {hit.file_id for hit in _found(mine_ai, store, filters=guide)} == set()


def test_batches(mine_ai: openai.OpenAI) -> None:
    store = mine_ai.vector_stores.create().id
    done = mine_ai.vector_stores.file_batches.upload_and_poll(
        store, files=[("a.txt", LIGHTHOUSE), ("b.txt", BREAD), ("c.bin", b"\x7fELF\0\1\2")], poll_interval_ms=100
    )
    assert done.id.startswith("vsfb_")
    assert (done.status, done.file_counts.completed, done.file_counts.failed) == ("completed", 2, 1)
    [bad] = mine_ai.vector_stores.file_batches.list_files(done.id, vector_store_id=store, filter="failed")
    assert bad.last_error
    assert bad.last_error.code == "unsupported_file"
    assert mine_ai.vector_stores.retrieve(store).file_counts.failed == 1
    assert len(list(mine_ai.vector_stores.files.list(store, limit=2))) == 3
    assert mine_ai.vector_stores.file_batches.cancel(done.id, vector_store_id=store).status == "completed"
    more = mine_ai.vector_stores.file_batches.create_and_poll(
        store, files=[{"file_id": bad.id, "attributes": {"again": True}}]
    )
    assert (more.status, more.file_counts.total) == ("failed", 1)


def test_what_is_taken_out_is_not_found_any_more(mine_ai: openai.OpenAI, mine: httpx.Client) -> None:
    file = _file(mine_ai)
    first, second = (mine_ai.vector_stores.create().id for _ in range(2))
    for store in (first, second):
        mine_ai.vector_stores.files.create_and_poll(file, vector_store_id=store)
    assert mine_ai.vector_stores.files.delete(file, vector_store_id=first).deleted
    assert _found(mine_ai, first) == []
    assert len(_found(mine_ai, second)) == 1, "another store has it"
    assert mine_ai.vector_stores.delete(second).deleted
    assert mine.get("/v1/documents").json()["data"] == []
    assert mine_ai.files.retrieve(file).id == file, "the file itself stays"
    mine_ai.vector_stores.files.create_and_poll(file, vector_store_id=first)
    assert len(_found(mine_ai, first)) == 1
    mine_ai.files.delete(file)
    assert _found(mine_ai, first) == []
    assert mine_ai.vector_stores.retrieve(first).file_counts.total == 0
    assert mine.get("/v1/documents").json()["data"] == []


def test_another_tenant_sees_nothing(mine_ai: openai.OpenAI, base_url: str) -> None:
    file, store = _file(mine_ai), mine_ai.vector_stores.create().id
    mine_ai.vector_stores.files.create_and_poll(file, vector_store_id=store)
    with _client(base_url, "somebody-else") as other:
        own = other.vector_stores.create().id
        for attempt in (
            lambda: other.files.retrieve(file),
            lambda: other.files.content(file),
            lambda: other.files.delete(file),
            lambda: other.vector_stores.retrieve(store),
            lambda: other.vector_stores.delete(store),
            lambda: other.vector_stores.update(store, name="mine"),
            lambda: other.vector_stores.search(store, query=QUESTION),
            lambda: other.vector_stores.files.list(store),
            lambda: other.vector_stores.files.create(own, file_id=file),
            lambda: other.vector_stores.file_batches.create(own, file_ids=[file]),
            lambda: other.vector_stores.create(file_ids=[file]),
        ):
            with pytest.raises(openai.NotFoundError):
                attempt()
        assert file not in {one.id for one in other.files.list()}
        assert store not in {one.id for one in other.vector_stores.list()}
    assert len(_found(mine_ai, store)) == 1


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("", {"chunking_strategy": {"type": "static", "static": {"max_chunk_size_tokens": 800}}}, "chunking_strategy"),
        ("", {"expires_after": {"anchor": "last_active_at", "days": 1}}, "expires_after"),
        ("", {"metadata": {"a": "x" * 513}}, "metadata.a"),
        ("", {"name": "a\0b"}, "name"),
        ("/{store}/search", {"query": QUESTION, "rewrite_query": True}, "rewrite_query"),
        ("/{store}/search", {"query": ""}, None),
        ("/{store}/search", {"query": QUESTION, "max_num_results": 51}, "max_num_results"),
        ("/{store}/file_batches", {}, "file_ids"),
        ("/{store}/files", {"file_id": "file-1", "attributes": {"a": {}}}, None),
    ],
)
def test_what_does_not_fit_is_refused_by_name(mine: httpx.Client, path: str, body: Any, param: str | None) -> None:
    store = mine.post("/v1/vector_stores", json={}).json()["id"]
    answer = mine.post(f"/v1/vector_stores{path.format(store=store)}", json=body)
    error = answer.json()["error"]
    assert answer.status_code == 400, answer.text
    assert (error["type"], bool(error["message"])) == ("invalid_request_error", True)
    assert param is None or error["param"] == param


@pytest.mark.parametrize("name", ["file-1", "vs_1", "vsfb_1", "nothing", "%00", "x" * 300, "..%2f.."])
def test_ids_that_are_none(mine: httpx.Client, name: str) -> None:
    store = mine.post("/v1/vector_stores", json={}).json()["id"]
    paths = [f"/v1/files/{name}", f"/v1/vector_stores/{name}", f"/v1/vector_stores/{store}/files/{name}"]
    for path in [*paths, f"/v1/vector_stores/{store}/file_batches/{name}"]:
        answer = mine.get(path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found"), path


def test_what_is_away_is_waited_for(mine_ai: openai.OpenAI, upstream: StandIn) -> None:
    upstream.embedding_fault_after = 0
    file, store = _file(mine_ai), mine_ai.vector_stores.create().id
    mine_ai.vector_stores.files.create(store, file_id=file)
    time.sleep(1)
    assert mine_ai.vector_stores.files.retrieve(file, vector_store_id=store).status == "in_progress"
    upstream.embedding_fault_after = None
    assert mine_ai.vector_stores.files.poll(file, vector_store_id=store, poll_interval_ms=200).status == "completed"


def test_a_worker_goes_on_with_what_a_dead_process_left(
    mine_ai: openai.OpenAI, postgres: Postgres, environment: dict[str, str]
) -> None:
    file, store = _file(mine_ai), mine_ai.vector_stores.create().id
    hopeless = mine_ai.vector_stores.create().id
    for left, attempts in ((store, 1), (hopeless, 5)):
        postgres.psql(
            "INSERT INTO vector_store_files (vector_store, file, status, attributes, lease_until, attempts)"
            f" VALUES ('{left}', '{file}', 'in_progress', '{{}}', now(), {attempts})"
        )
    assert mine_ai.vector_stores.retrieve(store).status == "in_progress"
    # The memory of the local mode is not shared, so that the worker's own vector database is away for it.
    worker = Worker(environment)
    try:
        wait_until(
            lambda: mine_ai.vector_stores.files.retrieve(file, vector_store_id=hopeless).status == "failed",
            what="the end of one that killed five processes",
        )
    finally:
        worker.stop()
    postgres.psql(f"UPDATE vector_store_files SET lease_until = now() WHERE vector_store = '{store}'")
    other = _file(mine_ai, BREAD, "bread.txt")
    mine_ai.vector_stores.files.create_and_poll(other, vector_store_id=mine_ai.vector_stores.create().id)
    assert mine_ai.vector_stores.files.poll(file, vector_store_id=store).status == "completed"


def test_expired_files_are_gone(mine_ai: openai.OpenAI, postgres: Postgres, environment: dict[str, str]) -> None:
    file = _file(mine_ai)
    postgres.psql(f"UPDATE files SET expires_at = now() - interval '1 minute' WHERE id = '{file}'")
    with pytest.raises(openai.NotFoundError):
        mine_ai.files.retrieve(file)
    assert list(mine_ai.files.list()) == []
    worker = Worker(environment)
    try:
        left = f"SELECT count(*) FROM files WHERE id = '{file}'"
        wait_until(lambda: postgres.psql(left) == "0", what="the end of a file whose time is over")
    finally:
        worker.stop()


def test_the_database_away_is_a_503(environment: dict[str, str], vectors: AsyncQdrantClient, tenant: str) -> None:
    with serving({**environment, "AGENTS_POSTGRES_PORT": "9"}, vectors) as url, _client(url, tenant) as client:
        for attempt in (
            lambda: client.files.list(),
            lambda: client.files.create(file=("a.txt", b"x"), purpose="assistants"),
            lambda: client.vector_stores.create(),
        ):
            with pytest.raises(openai.InternalServerError) as caught:
                attempt()
            assert (caught.value.status_code, caught.value.code) == (503, "dependency_unavailable")


def test_the_description_names_every_route_of_the_client() -> None:
    """A list in one place, so that a route that vanishes is noticed."""
    paths = json.loads((Path(__file__).parents[3] / "services/agents/openapi.json").read_text())["paths"]
    routes = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    assert {
        "POST /v1/files",
        "GET /v1/files",
        "GET /v1/files/{file_id}",
        "DELETE /v1/files/{file_id}",
        "GET /v1/files/{file_id}/content",
        "POST /v1/vector_stores",
        "POST /v1/vector_stores/{vector_store_id}/search",
        "POST /v1/vector_stores/{vector_store_id}/files",
        "POST /v1/vector_stores/{vector_store_id}/file_batches",
    } <= routes

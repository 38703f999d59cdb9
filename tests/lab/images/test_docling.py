"""docling-serve and its stand-in are asked the same and answer the same. The real one runs with `LAB_REAL=ocr`."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from lab.images.archive import File
from lab.images.docling_models import LAYOUT, TABLES, files
from lab.images.standins import ocr
from render.gpu import share_environment, share_files
from tests.lab.images.conftest import Client
from tests.lab.images.docling_cases import (
    DOCUMENTS,
    DRAWN,
    KEY,
    MARKDOWN,
    REFUSED,
    TEXT,
    Case,
    Document,
    form,
    pdf,
    png,
)
from tests.lab.images.program import free_port, lay, running
from tests.unit.samples import settings
from topology.catalog import SERVICES

LARGE = "ocr"
"""The key of the image whose real program is asked where `LAB_REAL` names it."""

FORM = {"content-type": "multipart/form-data; boundary=b"}
FIELDS = {"to_formats": "md", "image_export_mode": "placeholder"}
MOST_SECONDS = 300


@pytest.fixture(scope="session")
def stand_in() -> Iterator[Client]:
    service = ocr.make(KEY)
    service.poll_seconds = 0.01
    server = service.start(0, "127.0.0.1")
    yield Client(server.server_address[1])
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """With the environment and the limit of the card that the program gives it."""
    port = free_port()
    root = tmp_path_factory.mktemp("docling")
    for name, text in share_files().items():
        lay(root / "config" / name, File(text.encode()))
    environment = {
        "EASYOCR_MODULE_PATH": "/tmp/easyocr",
        "HF_HUB_OFFLINE": "1",
        "DOCLING_SERVE_ENG_LOC_NUM_WORKERS": "1",
        "UVICORN_HOST": "127.0.0.1",
        "UVICORN_PORT": str(port),
        "DOCLING_SERVE_API_KEY": KEY,
        "DOCLING_SERVE_SCRATCH_PATH": "/scratch",
        "DOCLING_SERVE_CORS_ORIGINS": "[]",
        "DOCLING_SERVE_ENABLE_UI": "false",
        **share_environment(settings("thanos"), "ocr"),
    }
    command = ("docling-serve", "run")
    service = next(service for service in SERVICES if service.name == "ocr")
    more = {"user": service.user, "tmpfs": service.tmpfs}
    with running("ocr", root, command, environment, port=port, probe="/ready", **more) as client:
        yield client


@pytest.fixture(params=["stand-in", "real"])
def server(request: pytest.FixtureRequest) -> Client:
    found: Client = request.getfixturevalue(request.param.replace("-", "_"))
    return found


def get(client: Client, path: str) -> tuple[int, Any]:
    return client.ask("GET", path, headers={"x-api-key": KEY})


def begin(client: Client, name: str, content: bytes) -> str:
    body = form([(name, content)], FIELDS)
    status, begun = client.ask("POST", "/v1/convert/file/async", body, {**FORM, "x-api-key": KEY})
    assert status == 200, begun
    assert (begun["task_type"], begun["task_status"]) == ("convert", "pending")
    return str(begun["task_id"])


def ended(client: Client, task: str) -> dict[str, Any]:
    """The state of a conversion once it goes on no more."""
    until = time.monotonic() + MOST_SECONDS
    while time.monotonic() < until:
        status, state = get(client, f"/v1/status/poll/{task}")
        assert status == 200, state
        if state["task_status"] not in ("pending", "started"):
            found: dict[str, Any] = state
            return found
        time.sleep(0.1)
    pytest.fail(f"{task} goes on after {MOST_SECONDS} s")


def result(client: Client, name: str, content: bytes) -> Any:
    task = begin(client, name, content)
    state = ended(client, task)
    assert state["task_status"] == "success", state
    status, found = get(client, f"/v1/result/{task}")
    assert status == 200, found
    return found


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_what_docling_refuses(server: Client, case: Case) -> None:
    headers = {**FORM, **({"x-api-key": case.key} if case.key is not None else {})}
    body = form(case.files, case.fields) if case.method == "POST" else None
    status, said = server.ask(case.method, case.path, body, headers)
    assert status == case.status, said
    if case.answer is not None:
        assert said == case.answer


def test_an_unknown_format_is_told_what_there_is(server: Client) -> None:
    body = form([("document.md", MARKDOWN)], {"to_formats": "word"})
    _, said = server.ask("POST", "/v1/convert/file/async", body, {**FORM, "x-api-key": KEY})
    assert [(error["type"], error["loc"]) for error in said["detail"]] == [("enum", ["body", "to_formats", 0])]
    assert said["detail"][0]["msg"].startswith("Input should be 'md', 'json',")


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_what_becomes_of_a_document(server: Client, document: Document, request: pytest.FixtureRequest) -> None:
    """The conversion ends well whatever becomes of the file: what did become of it is in the result."""
    found = result(server, document.name, document.content)
    assert (found["status"], found["document"]["filename"]) == (document.status, document.name)
    assert [error["category"] for error in found["errors"]] == ([document.category] if document.category else [])
    text = found["document"]["md_content"]
    if document.text is None:
        assert text is None
    elif document.read_by and server is not request.getfixturevalue("stand_in"):
        assert document.text in text
    elif document.read_by:
        assert "(stand-in)" in text
    else:
        assert document.text in text


def test_a_result_can_be_fetched_twice_at_first(server: Client) -> None:
    task = begin(server, "document.md", MARKDOWN)
    ended(server, task)
    first, second = get(server, f"/v1/result/{task}"), get(server, f"/v1/result/{task}")
    assert first == second
    assert first[0] == 200
    assert ended(server, task)["task_status"] == "success"


def test_the_stand_in_forgets_a_result_that_was_fetched() -> None:
    service = ocr.make(KEY, keep_seconds=0)
    service.poll_seconds = 0.01
    server = service.start(0, "127.0.0.1")
    client = Client(server.server_address[1])
    task = begin(client, "document.md", MARKDOWN)
    assert ended(client, task)["task_status"] == "success"
    assert get(client, f"/v1/result/{task}")[0] == 200
    for path in ("result", "status/poll"):
        assert get(client, f"/v1/{path}/{task}") == (404, {"detail": "Task not found."})
    server.shutdown()
    server.server_close()


def test_a_synchronous_conversion_answers_with_the_result(server: Client) -> None:
    body = form([("document.md", MARKDOWN)], FIELDS)
    status, found = server.ask("POST", "/v1/convert/file", body, {**FORM, "x-api-key": KEY})
    assert (status, found["status"]) == (200, "success")
    assert TEXT in found["document"]["md_content"]


@pytest.mark.parametrize("path", ["/health", "/ready", "/version", "/metrics"])
def test_what_needs_no_key(server: Client, path: str) -> None:
    assert server.ask("GET", path)[0] == 200


def test_the_version_is_the_one_that_the_stand_in_follows(server: Client) -> None:
    assert server.ask("GET", "/version")[1]["docling-serve"] == ocr.VERSION


def test_the_real_one_reads_a_whole_page_and_a_whole_picture(real: Client) -> None:
    """The lab's layout model says that a page is one text; RapidOCR's models are real."""
    assert result(real, "document.pdf", pdf())["document"]["md_content"] == TEXT
    assert set(result(real, "document.png", png())["document"]["md_content"].split()) == set(DRAWN.split())


def test_the_lab_s_models_are_the_same_each_time() -> None:
    made = files()
    assert made == files()
    assert f"{LAYOUT}/model.safetensors" in made
    assert f"{TABLES}/tm_config.json" in made
    assert sum(map(len, made.values())) < 64 << 20

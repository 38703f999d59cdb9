"""docling-serve: `docling-serve run`. It reads text files as they are and of others tells name and size.

Its routes, states, refusals and what becomes of a file that cannot be read are those of 1.32.0 from PyPI: the same
requests are asked of both (`tests/lab/images/docling_cases.py`).
"""

from __future__ import annotations

import os
import re
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any, Final

from lab.images.standins.common import TEXT, Answer, Refused, Request, Service, same, secret, wait

VERSION: Final = "1.32.0"
KEEP_SECONDS: Final = 300
"""A result can be fetched again for so long (`DOCLING_SERVE_RESULT_REMOVAL_DELAY`)."""
MOST_FILES: Final = 3
FORMATS: Final = (
    *("md", "json", "yaml", "html", "html_split_page", "text", "doctags", "vtt", "doclang", "dclx", "chunks", "latex"),
)
TEXTS: Final = frozenset({"md", "markdown", "txt", "html", "htm"})
READABLE: Final = {
    "pdf": rb"%PDF-.*\d obj",
    "docx": rb"PK\x03\x04.*\[Content_Types\]\.xml",
    "png": rb"\x89PNG\r\n\x1a\n.*IHDR",
    "jpg": rb"\xff\xd8\xff.{16}",
    "jpeg": rb"\xff\xd8\xff.{16}",
}
"""How the files begin that it takes for readable."""
BY_CONTENT: Final = {"png": b"\x89PNG\r\n\x1a\n", "jpg": b"\xff\xd8\xff", "jpeg": b"\xff\xd8\xff"}
"""Kinds that a name alone does not make."""
_FILE: Final = re.compile(rb'name="files"; filename="([^"]*)"')


class Tasks:
    """Conversions that were begun. The stand-in has finished each when it is first asked about it."""

    def __init__(self, keep_seconds: float) -> None:
        self._keep = keep_seconds
        self._results: dict[str, dict[str, Any]] = {}
        self._until: dict[str, float] = {}
        """When a result that was fetched is forgotten."""
        self._lock = threading.Lock()

    def begin(self, result: dict[str, Any]) -> dict[str, Any]:
        """A conversion; its state."""
        name = str(uuid.uuid4())
        with self._lock:
            self._results[name] = result
        return _state(name, "pending", 1)

    def state(self, name: str) -> dict[str, Any]:
        """What is said of a conversion."""
        self._find(name)
        return _state(name, "success", None)

    def result(self, name: str) -> dict[str, Any]:
        """Hand a result over; it will be forgotten."""
        found = self._find(name)
        with self._lock:
            self._until.setdefault(name, time.monotonic() + self._keep)
        return found

    def _find(self, name: str) -> dict[str, Any]:
        with self._lock:
            for over in [task for task, until in self._until.items() if until <= time.monotonic()]:
                del self._until[over], self._results[over]
            if name not in self._results:
                raise Refused(404, "", {"detail": "Task not found."})
            return self._results[name]


def _state(name: str, status: str, position: int | None) -> dict[str, Any]:
    nothing = dict.fromkeys(("task_meta", "error_message", "failure"))
    return {"task_id": name, "task_type": "convert", "task_status": status, "task_position": position, **nothing}


def make(key: str, keep_seconds: float = KEEP_SECONDS) -> Service:
    """The server."""
    service = Service("ocr")
    service.error_key = "detail"
    tasks = Tasks(keep_seconds)

    def route(method: str, path: str, answer: Any) -> None:
        def handler(request: Request) -> Any:
            # By the route: a path that is none is 404 to everybody.
            if not same(request.header("x-api-key"), key):
                raise Refused(401, "", {"detail": "Unauthorized"})
            return answer(request)

        service.route(method, path)(handler)

    for path in ("/health", "/ready", "/livez", "/readyz"):
        service.route("GET", path)(lambda _: {"status": "ok"})
    service.route("GET", "/version")(lambda _: {"docling-serve": VERSION})
    service.route("GET", "/metrics")(lambda _: Answer(service.metrics(), type=TEXT))
    route("POST", "/v1/convert/file", converted)
    route("POST", "/v1/convert/file/async", lambda request: tasks.begin(converted(request)))
    route("GET", "/v1/status/poll/{task}", lambda request: tasks.state(request.groups["task"]))
    route("GET", "/v1/result/{task}", lambda request: tasks.result(request.groups["task"]))
    return service


def converted(request: Request) -> dict[str, Any]:
    """The outcome for the file of a form."""
    parts = request.files() if request.body else {}
    if "files" not in parts:
        raise _wrong("missing", ["body", "files"], "Field required")
    wanted = parts.get("to_formats", b"md").decode(errors="replace")
    if wanted not in FORMATS:
        *most, last = (f"'{name}'" for name in FORMATS)
        raise _wrong("enum", ["body", "to_formats", 0], f"Input should be {', '.join(most)} or {last}")
    names = [name.decode(errors="replace") for name in _FILE.findall(request.body)]
    if len(names) > MOST_FILES:
        raise Refused(422, "", {"detail": f"Too many files: {len(names)} exceeds the maximum of {MOST_FILES}."})
    name, content = (names[0] if names else "file"), parts["files"]
    status, text, errors = read(name, content)
    document = {"filename": name, "md_content": text}
    return {"document": document, "status": status, "errors": errors, "processing_time": 0.0, "timings": {}}


def read(name: str, content: bytes) -> tuple[str, str | None, list[dict[str, Any]]]:
    """Status, text and errors of one file: a task ends well whatever becomes of its file."""
    ending = name.rpartition(".")[2].lower()
    if ending in TEXTS:
        return "success", content.decode(errors="replace"), []
    if ending not in READABLE or not content.startswith(BY_CONTENT.get(ending, b"")):
        return "skipped", None, [_error(f"File format not allowed: {name}", "policy")]
    if not re.match(READABLE[ending], content, re.DOTALL):
        return "failure", None, [_error(f"could not load document {name}", "backend_failure")]
    return "success", f"# {name}\n\n(stand-in) {len(content)} bytes that are no text", []


def _error(message: str, category: str) -> dict[str, Any]:
    where = {"component_type": "user_input", "module_name": "", "page_no": None}
    return {**where, "error_message": message, "category": category}


def _wrong(kind: str, place: list[Any], message: str) -> Refused:
    return Refused(422, "", {"detail": [{"type": kind, "loc": place, "msg": message}]})


def main() -> None:
    """`docling-serve run`."""
    if sys.argv[1:] != ["run"]:
        sys.exit("usage: docling-serve run")
    scratch = Path(os.environ["DOCLING_SERVE_SCRATCH_PATH"])
    (scratch / "probe").write_text("the real one keeps its work here")
    service = make(secret("DOCLING_SERVE_API_KEY"))
    service.start(int(os.environ["UVICORN_PORT"]), os.environ["UVICORN_HOST"])
    wait()


if __name__ == "__main__":
    main()

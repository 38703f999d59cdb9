"""docling-serve: `docling-serve run`. It reads text files as they are and of others tells name and size.

Its routes, states and refusals are those of `docling_serve/app.py` and `docling_serve/auth.py` of v1.31.0.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import uuid
from pathlib import Path
from typing import Any

from lab.images.standins.common import TEXT, Answer, Refused, Request, Service, same, secret, wait

OPEN = ("/health", "/ready", "/version", "/metrics")


def markdown(name: str, content: bytes) -> str:
    """What is read of a document."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return f"# {name}\n\n(stand-in) {len(content)} bytes that are no text"


class Tasks:
    """Conversions that were begun. A result can be fetched once, as `DOCLING_SERVE_SINGLE_USE_RESULTS` has it."""

    def __init__(self) -> None:
        self._results: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()

    def begin(self, result: dict[str, Any]) -> dict[str, Any]:
        """A conversion, which the stand-in has finished already; its state."""
        name = str(uuid.uuid4())
        with self._lock:
            self._results[name] = result
        return self.state(name)

    def state(self, name: str) -> dict[str, Any]:
        """What is said of a conversion while it is not fetched."""
        with self._lock:
            if name not in self._results:
                raise Refused(404, "", {"detail": "Task not found."})
        return {"task_id": name, "task_type": "convert", "task_status": "success", "task_position": None}

    def result(self, name: str) -> dict[str, Any]:
        """Hand a result over and forget it."""
        self.state(name)
        with self._lock:
            return self._results.pop(name)


def make(key: str) -> Service:
    """The server."""
    service = Service("ocr")
    tasks = Tasks()

    def guard(request: Request) -> None:
        if request.path not in OPEN and not same(request.header("x-api-key"), key):
            raise Refused(401, "", {"detail": "Unauthorized"})

    service.guard = guard
    service.route("GET", "/health")(lambda _: {"status": "ok"})
    service.route("GET", "/ready")(lambda _: {"status": "ok"})
    service.route("GET", "/metrics")(lambda _: Answer(service.metrics(), type=TEXT))
    service.route("POST", "/v1/convert/file")(converted)
    service.route("POST", "/v1/convert/file/async")(lambda request: tasks.begin(converted(request)))
    service.route("GET", "/v1/status/poll/{task}")(lambda request: tasks.state(request.groups["task"]))
    service.route("GET", "/v1/result/{task}")(lambda request: tasks.result(request.groups["task"]))
    return service


def converted(request: Request) -> dict[str, Any]:
    """The outcome for the file of a form."""
    parts = request.files()
    if "files" not in parts:
        raise Refused(422, "", {"detail": [{"type": "missing", "loc": ["body", "files"], "msg": "Field required"}]})
    found = re.search(rb'name="files"; filename="([^"]*)"', request.body)
    name = found[1].decode(errors="replace") if found else "file"
    content = parts["files"]
    outcome = {"errors": [], "processing_time": 0.0, "timings": {}}
    if not content:
        # A file that no format is found for is skipped, and that is no failure of the task.
        return {"document": {"filename": name, "md_content": None}, "status": "skipped", **outcome}
    return {"document": {"filename": name, "md_content": markdown(name, content)}, "status": "success", **outcome}


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

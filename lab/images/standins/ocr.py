"""docling-serve: `docling-serve run`. It reads text files as they are and of others tells name and size."""

from __future__ import annotations

import base64
import os
import re
import sys
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


def make(key: str) -> Service:
    """The server."""
    service = Service("ocr")

    def guard(request: Request) -> None:
        if request.path not in OPEN and not same(request.header("x-api-key"), key):
            raise Refused(401, "", {"detail": "Api key is required."})

    def converted(name: str, content: bytes) -> dict[str, Any]:
        if not content:
            raise Refused(422, "", {"detail": "the document is empty"})
        document = {"filename": name, "md_content": markdown(name, content), "text_content": None}
        return {"document": document, "status": "success", "errors": [], "processing_time": 0.0, "timings": {}}

    service.guard = guard
    service.route("GET", "/health")(lambda _: {"status": "ok"})
    service.route("GET", "/ready")(lambda _: {"status": "ok"})
    service.route("GET", "/metrics")(lambda _: Answer(service.metrics(), type=TEXT))

    @service.route("POST", "/v1/convert/file")
    def _(request: Request) -> Any:
        parts = request.files()
        name = re.search(rb'name="files"; filename="([^"]*)"', request.body)
        if "files" not in parts:
            raise Refused(422, "", {"detail": "files: field required"})
        return converted(name[1].decode(errors="replace") if name else "file", parts["files"])

    @service.route("POST", "/v1/convert/source")
    def _(request: Request) -> Any:
        sources = request.json().get("sources") or []
        if not sources or sources[0].get("kind") != "file":
            raise Refused(422, "", {"detail": "the stand-in takes sources of kind file alone"})
        return converted(sources[0].get("filename", "file"), base64.b64decode(sources[0].get("base64_string", "")))

    return service


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

"""A stand-in of docling-serve's asynchronous API, as `docling_serve/app.py` of v1.31.0 has it and
version 1.35.0 answered when it was tried.

It converts nothing: it keeps what it was sent and answers the text that it was told.
"""

import time
import uuid
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

KEY: Final = "secret-of-ocr-key"
BEGIN: Final = "/v1/convert/file/async"


@dataclass
class Task:
    """A conversion."""

    ends: float
    """When it is done, on the monotonic clock."""
    text: str | None


class Docling:
    """Its state, and what makes it fail."""

    def __init__(self) -> None:
        self.converted: list[bytes] = []
        self.text: str | None = "# Scanned\n\nThe lighthouse was built in 1871."
        """None: the document is beyond it."""
        self.delay = 0.0
        """Seconds that a conversion takes."""
        self.raw: dict[str, bytes] = {}
        """`begin`, `poll` or `result` -> what it answers instead, with status 200."""
        self.tasks: dict[str, Task] = {}

    def routes(self) -> list[Route]:
        """The API."""
        return [
            Route(BEGIN, self._begin, methods=["POST"]),
            Route("/v1/status/poll/{task}", self._poll),
            Route("/v1/result/{task}", self._result),
        ]

    async def _begin(self, request: Request) -> Response:
        if (refused := self._refused(request, "begin")) is not None:
            return refused
        async with request.form() as form:
            upload: Any = form["files"]
            self.converted.append(await upload.read())
        task = str(uuid.uuid4())
        self.tasks[task] = Task(time.monotonic() + self.delay, self.text)
        return self._status(task)

    async def _poll(self, request: Request) -> Response:
        if (refused := self._refused(request, "poll")) is not None:
            return refused
        name = request.path_params["task"]
        return self._status(name) if name in self.tasks else _not_found("Task not found.")

    async def _result(self, request: Request) -> Response:
        if (refused := self._refused(request, "result")) is not None:
            return refused
        name = request.path_params["task"]
        if name not in self.tasks:
            return _not_found("Task not found.")
        text = self.tasks[name].text
        if text is None or time.monotonic() < self.tasks[name].ends:
            return _not_found("Task result not found. Please wait for a completion status.")
        # A result can be fetched once.
        del self.tasks[name]
        return JSONResponse({"status": "success", "document": {"md_content": text}, "errors": []})

    def _refused(self, request: Request, step: str) -> Response | None:
        if request.headers.get("x-api-key") != KEY:
            return JSONResponse({"detail": "Unauthorized"}, 401)
        return Response(self.raw[step], media_type="application/json") if step in self.raw else None

    def _status(self, name: str) -> Response:
        task = self.tasks[name]
        ended = "success" if task.text is not None else "failure"
        state = ended if time.monotonic() >= task.ends else "started"
        return JSONResponse({"task_id": name, "task_type": "convert", "task_status": state, "task_position": None})


def _not_found(detail: str) -> Response:
    return JSONResponse({"detail": detail}, 404)

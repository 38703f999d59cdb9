"""Around every request: its id, its size, its metrics and its line in the log."""

import logging
import re
import time
import uuid
from typing import Final

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mesh_agents import metrics
from mesh_agents.errors import ApiError
from mesh_agents.logs import request_id

_LOG: Final = logging.getLogger(__name__)
_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Edge:
    """ASGI middleware; streams pass through it unbuffered."""

    def __init__(self, app: ASGIApp, max_body: int) -> None:
        """`max_body` is in bytes."""
        self._app = app
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"").decode("latin-1")
        name = given if _ID.fullmatch(given) else uuid.uuid4().hex
        token = request_id.set(name)
        exchange = _Exchange(scope, send, name)
        try:
            await self._app(scope, _bounded(receive, self._max_body), exchange.send)
        except _TooLargeError:
            await exchange.refuse(scope, receive, self._max_body)
        finally:
            exchange.account()
            request_id.reset(token)


class _TooLargeError(HTTPException):
    """The body is larger than allowed; of a kind that the framework lets through while it reads a body."""

    def __init__(self) -> None:
        super().__init__(413)


def _bounded(receive: Receive, most: int) -> Receive:
    seen = 0

    async def bounded() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > most:
            raise _TooLargeError
        return message

    return bounded


class _Exchange:
    """What is known of an answer."""

    def __init__(self, scope: Scope, send: Send, name: str) -> None:
        self._scope = scope
        self._send = send
        self._name = name
        self._start = time.perf_counter()
        self._began: float | None = None
        self._status = 499  # nothing was answered: the caller went away

    async def send(self, message: Message) -> None:
        """Pass a message on, the first with the request's id."""
        if message["type"] == "http.response.start":
            self._began = time.perf_counter()
            self._status = message["status"]
            message["headers"] = [*message.get("headers", ()), (b"x-request-id", self._name.encode())]
        await self._send(message)

    async def refuse(self, scope: Scope, receive: Receive, most: int) -> None:
        """Answer that the body is too large."""
        if self._began is None:
            error = ApiError(413, f"the request is larger than {most} bytes", code="request_too_large")
            await JSONResponse(error.envelope(), 413)(scope, receive, self.send)

    def account(self) -> None:
        """Metrics and log. The path is the route's template, so that ids do not become labels."""
        route = self._scope.get("route")
        path = getattr(route, "path", "other")
        metrics.REQUESTS.labels(path, str(self._status)).inc()
        if self._began is not None:
            metrics.REQUEST_SECONDS.labels(path).observe(self._began - self._start)
        if path not in ("/health", "/metrics", "/ready"):
            _LOG.info(
                "request",
                extra={
                    "method": self._scope["method"],
                    "path": path,
                    "status": self._status,
                    "ms": round((time.perf_counter() - self._start) * 1000, 1),
                    "tenant": self._scope.get("state", {}).get("tenant"),
                },
            )

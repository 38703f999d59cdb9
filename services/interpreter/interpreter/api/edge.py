"""What every request passes: its id, the log, the key, the limit of its size."""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import time
import uuid
from http import HTTPStatus
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from interpreter import logs
from interpreter.api import errors
from interpreter.api.metrics import ServiceMetrics
from interpreter.limits import MAX_BODY_BYTES

OPEN_PATHS: Final = frozenset({"/health", "/ready", "/metrics", "/openapi.json"})

_log = logging.getLogger("interpreter.access")
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Edge:
    """The outermost layer."""

    def __init__(self, app: ASGIApp, metrics: ServiceMetrics, key: bytes) -> None:
        self._app = app
        self._metrics = metrics
        self._digest = hashlib.sha256(key).digest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = _request_id(headers)
        scope.setdefault("state", {})["request_id"] = request_id
        exchange = _Exchange(send, request_id)
        started = time.monotonic()
        try:
            refusal = self._refusal(scope["path"], headers)
            if refusal is not None:
                await refusal(scope, receive, exchange.send)
            else:
                await self._app(scope, _limited(receive), exchange.send)
        except Exception:
            logs.event(_log, logging.ERROR, "request failed", request_id=request_id)
            raise
        finally:
            self._account(scope, exchange, request_id, time.monotonic() - started)

    def _refusal(self, path: str, headers: Headers) -> JSONResponse | None:
        """The answer to a request that goes no further: its body is not even read."""
        if path not in OPEN_PATHS and not self._authorized(headers):
            message = "Send the API key as `Authorization: Bearer KEY`."
            return errors.response(
                HTTPStatus.UNAUTHORIZED, message, code="invalid_api_key", headers={"WWW-Authenticate": "Bearer"}
            )
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > MAX_BODY_BYTES:
            return errors.response(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _TOO_LARGE, code="body_too_large")
        return None

    def _authorized(self, headers: Headers) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        # Digests have one length, so that the comparison's time tells nothing of the key's.
        digest = hashlib.sha256(given.strip().encode("latin-1", "replace")).digest()
        return scheme.lower() == "bearer" and hmac.compare_digest(digest, self._digest)

    def _account(self, scope: Scope, exchange: _Exchange, request_id: str, seconds: float) -> None:
        # The route's pattern, not the path: a label for each path would be one for each session.
        route = getattr(scope.get("route"), "path", None) or (scope["path"] if scope["path"] in OPEN_PATHS else "other")
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.requests.labels(method, route, str(exchange.status)).inc()
        level = logging.DEBUG if route in OPEN_PATHS else logging.INFO
        logs.event(
            _log,
            level,
            "request",
            request_id=request_id,
            method=method,
            route=route,
            status=exchange.status,
            milliseconds=round(seconds * 1000, 1),
            **scope["state"].get("run", {}),
        )


class _Exchange:
    """Sends the answer with its id, and remembers the status."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._request_id = request_id
        self.status = 499
        """As nginx calls it where the caller went away first."""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            MutableHeaders(scope=message)["x-request-id"] = self._request_id
        await self._send(message)


_TOO_LARGE: Final = f"The body has more than {MAX_BODY_BYTES} bytes."


def _limited(receive: Receive) -> Receive:
    """Counts what arrives, for bodies that do not say their length."""
    total = 0

    async def counted() -> Message:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        if total > MAX_BODY_BYTES:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _TOO_LARGE)
        return message

    return counted


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex

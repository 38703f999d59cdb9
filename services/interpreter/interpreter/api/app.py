"""The application: routes and what they share."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Body, FastAPI, Path, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.types import ASGIApp

from interpreter import logs
from interpreter.api import errors
from interpreter.api.edge import Edge
from interpreter.api.errors import ApiError
from interpreter.api.gate import Gate
from interpreter.api.metrics import ServiceMetrics
from interpreter.api.models import (
    SESSION_ID,
    ExecuteRequest,
    ExecuteResponse,
    Health,
    SessionRequest,
    SessionResponse,
)
from interpreter.api.openapi import VERSION, describe, refusals
from interpreter.api.runner import Runner
from interpreter.api.sessions import Session, Sessions
from interpreter.boxes import BoxGoneError, Zygote
from interpreter.settings import Settings

_log = logging.getLogger("interpreter")
_router = APIRouter()
_SessionId = Annotated[str, Path(pattern=SESSION_ID)]


class Stop(Protocol):
    """Ends the server."""

    def __call__(self, *, failed: bool) -> None:
        """`failed`: so that it is started anew."""


class _Service:
    """What lives as long as the server."""

    def __init__(self, settings: Settings, control: socket.socket, metrics: ServiceMetrics, stop: Stop) -> None:
        self.zygote = Zygote(control, unclean=metrics.unclean.inc, stop=lambda: stop(failed=False))
        self.sessions = Sessions(self.zygote, metrics, settings.limits, settings.sessions)
        gate = Gate(metrics, runs=settings.runs, queue=settings.queue, seconds=settings.queue_seconds)
        self.runner = Runner(self.zygote, self.sessions, gate, metrics, settings.limits)


def _service(request: Request) -> _Service:
    service: _Service = request.app.state.service
    if not service.zygote.ready:
        raise ApiError(HTTPStatus.SERVICE_UNAVAILABLE, "starting", "The service is starting.", retry_after=2)
    return service


def _describe(session: Session) -> SessionResponse:
    return SessionResponse(
        id=session.id, ttl_seconds=session.ttl_seconds, expires_at=session.expires_at, busy=session.busy
    )


async def _unless_gone(request: Request, work: Awaitable[ExecuteResponse]) -> ExecuteResponse | None:
    """The work's outcome; None, and the work is ended, once the caller has gone away."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        return await task if task.done() else None
    finally:
        for future in (task, gone):
            future.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


@_router.post("/v1/execute", response_model=ExecuteResponse, responses=refusals(400, 404, 409, 413, 415, 429, 503))
async def execute(request: Request, body: Annotated[ExecuteRequest, Body()]) -> Any:
    """Run code and answer with what it wrote, made and came to."""
    errors.require_json(request)
    answer = await _unless_gone(request, _service(request).runner.execute(body))
    if answer is None:
        return Response(status_code=499)
    request.state.run = {"language": body.language, "run_status": answer.status, "run_seconds": answer.seconds}
    # It is in shape already; another validation of megabytes would hold up everybody.
    return JSONResponse(answer.model_dump())


@_router.post(
    "/v1/sessions",
    response_model=SessionResponse,
    status_code=HTTPStatus.CREATED,
    responses=refusals(400, 413, 415, 429, 503),
)
async def open_session(request: Request, body: Annotated[SessionRequest, Body()]) -> SessionResponse:
    """Open a session: runs in it share Python names and the work folder."""
    errors.require_json(request)
    return _describe(await _service(request).sessions.open(body.ttl_seconds))


@_router.get("/v1/sessions/{session_id}", response_model=SessionResponse, responses=refusals(400, 404, 503))
async def show_session(request: Request, session_id: _SessionId) -> SessionResponse:
    """A session's state."""
    return _describe(_service(request).sessions.find(session_id))


@_router.delete("/v1/sessions/{session_id}", status_code=HTTPStatus.NO_CONTENT, responses=refusals(400, 404, 503))
async def close_session(request: Request, session_id: _SessionId) -> Response:
    """End a session and all that runs in it."""
    sessions = _service(request).sessions
    await sessions.close(sessions.find(session_id))
    return Response(status_code=HTTPStatus.NO_CONTENT)


@_router.get("/health", response_model=Health)
async def health() -> Health:
    """The server answers."""
    return Health(status="ok")


@_router.get("/ready", response_model=Health, responses={503: {"model": Health}})
async def ready(request: Request) -> JSONResponse:
    """Runs are taken."""
    if request.app.state.service.zygote.ready:
        return JSONResponse({"status": "ok"})
    return JSONResponse({"status": "starting"}, HTTPStatus.SERVICE_UNAVAILABLE)


@_router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(request: Request) -> Response:
    """Prometheus metrics."""
    return Response(generate_latest(request.app.state.metrics.registry), media_type=CONTENT_TYPE_LATEST)


async def _failed(_: Request, error: Exception) -> JSONResponse:
    if isinstance(error, BoxGoneError):
        return errors.response(HTTPStatus.SERVICE_UNAVAILABLE, "The sandbox is not available.", code="unavailable")
    return errors.response(HTTPStatus.INTERNAL_SERVER_ERROR, "Something went wrong here; see the log.")


def _lifespan(
    settings: Settings, control: socket.socket, metrics: ServiceMetrics, stop: Stop
) -> Callable[[FastAPI], contextlib.AbstractAsyncContextManager[None]]:
    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service = _Service(settings, control, metrics, stop)
        app.state.service = service

        async def notice() -> None:
            await service.zygote.lost.wait()
            logs.event(_log, logging.ERROR, "the zygote has ended; stopping to be started anew")
            stop(failed=True)

        tasks = [asyncio.ensure_future(service.sessions.expire()), asyncio.ensure_future(notice())]
        yield
        for task in tasks:
            task.cancel()
        await service.sessions.close_all()
        await service.runner.close()
        service.zygote.close()

    return lifespan


def bare() -> FastAPI:
    """The routes and their description, without anything behind them."""
    app = FastAPI(title="Code interpreter", version=VERSION, docs_url=None, redoc_url=None)
    app.include_router(_router)
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]
    errors.install(app)
    app.add_exception_handler(BoxGoneError, _failed)
    app.add_exception_handler(Exception, _failed)
    return app


def build(settings: Settings, key: bytes, control: socket.socket, stop: Stop) -> ASGIApp:
    """The whole application; `stop` is called where it cannot go on."""
    app = bare()
    counters = ServiceMetrics()
    app.state.metrics = counters
    app.router.lifespan_context = _lifespan(settings, control, counters, stop)
    return Edge(app, counters, key)

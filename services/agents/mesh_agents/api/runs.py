"""`/v1/runs`: long jobs."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Header, Path
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response, StreamingResponse

from mesh_agents import metrics
from mesh_agents.api.by_team import default_limits
from mesh_agents.api.chat_models import MAX_MESSAGES, ChatMessage
from mesh_agents.api.depends import Keyed, PartsDep, Tenant
from mesh_agents.api.file_ids import put_in
from mesh_agents.api.handlers import refusals
from mesh_agents.errors import ApiError, not_found
from mesh_agents.parts import Parts
from mesh_agents.routing.choice import wishes
from mesh_agents.routing.routes import AUTO
from mesh_agents.runs.store import ENDED, Run
from mesh_agents.runs.window import opens
from mesh_agents.storable import is_storable
from mesh_agents.tools.attachments import attachments
from mesh_agents.tools.images import Image

router = APIRouter(prefix="/v1/runs", tags=["runs"], route_class=Keyed)
_POLL_SECONDS: Final = 0.5


class RunLimits(BaseModel):
    """Less than the service allows; more is cut to what it allows."""

    model_config = ConfigDict(extra="forbid")

    steps: Annotated[int, Field(ge=1)] | None = None
    tokens: Annotated[int, Field(ge=1)] | None = None
    seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    usd: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None


class RunRequest(BaseModel):
    """A job."""

    model_config = ConfigDict(extra="forbid")

    input: Annotated[str, Field(min_length=1, max_length=1_000_000)] | None = None
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=MAX_MESSAGES)] | None = None
    """In place of `input`: a conversation, possibly with attachments."""
    model: Annotated[str, Field(max_length=100)] = AUTO
    route: Annotated[str, Field(max_length=100)] | None = None
    heavy: Annotated[bool, Field(description="Wait for the off-peak window.")] = False
    run_now: Annotated[bool, Field(description="Do not wait, although heavy.")] = False
    limits: RunLimits = RunLimits()


class RunView(BaseModel):
    """How a job stands."""

    id: uuid.UUID
    object: Literal["run"] = "run"
    status: Literal["waiting", "queued", "running", "succeeded", "failed", "cancelled"]
    result: dict[str, Any] | None
    error: dict[str, Any] | None
    not_before: datetime | None
    cancel_requested: bool
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


def _view(run: Run) -> RunView:
    return RunView.model_validate(run, from_attributes=True)


@router.post("", status_code=202, responses=refusals(404, 429, 503))
async def create(
    asked: RunRequest,
    parts: PartsDep,
    tenant: Tenant,
    idempotency_key: Annotated[str | None, Header(max_length=200)] = None,
) -> RunView:
    """Accept a job. With the same `Idempotency-Key` it is accepted once.

    It is stored before it is queued: while the queue is away it is accepted all the same, and begun later.
    """
    await put_in(parts.filing.files, tenant, asked.messages or (), parts.settings.max_body_mib << 20)
    request = _request(parts, asked)
    not_before = None
    if asked.heavy and not asked.run_now:
        not_before = opens(datetime.now().astimezone(), *parts.settings.off_peak_window())
    run, new = await parts.runs.create(
        tenant,
        request,
        not_before=not_before,
        key=idempotency_key,
        most=parts.settings.max_waiting_runs,
        most_of_tenant=parts.settings.max_waiting_runs_of_tenant,
    )
    if new and run.status == "queued" and not await parts.queue.put(run.id):
        await parts.runs.unqueued(run.id)
    return _view(run)


@router.get("/{run_id}", responses=refusals(404, 503))
async def status(run_id: uuid.UUID, parts: PartsDep, tenant: Tenant) -> RunView:
    """How a job stands."""
    return _view(await _find(parts, tenant, run_id))


@router.post("/{run_id}/cancel", responses=refusals(404, 503))
async def cancel(run_id: uuid.UUID, parts: PartsDep, tenant: Tenant) -> RunView:
    """End a job that waits, or ask the worker of one that runs; a job that has ended stays as it is."""
    found = await parts.runs.cancel(tenant, run_id)
    if found is None:
        raise not_found("run", str(run_id))
    run, ended = found
    if ended:
        metrics.RUNS.labels("cancelled", "caller").inc()
    return _view(run)


@router.get(
    "/{run_id}/events",
    response_model=None,
    responses={200: {"content": {"text/event-stream": {}}}, **refusals(404, 503)},
)
async def stream(
    run_id: uuid.UUID,
    parts: PartsDep,
    tenant: Tenant,
    last_event_id: Annotated[int, Header(ge=0, le=2**62)] = 0,
) -> StreamingResponse:
    """The events of a job, from the first or behind `Last-Event-ID`, until it has ended."""
    await _find(parts, tenant, run_id)
    return StreamingResponse(
        _events(parts, tenant, run_id, last_event_id),
        media_type="text/event-stream",
        headers={"cache-control": "no-cache", "x-accel-buffering": "no"},
    )


@router.get(
    "/{run_id}/images/{number}",
    response_class=Response,
    responses={200: {"content": {"image/png": {}, "image/jpeg": {}, "image/webp": {}}}, **refusals(404, 502, 503)},
)
async def image(
    run_id: uuid.UUID, number: Annotated[int, Path(ge=1, le=1000)], parts: PartsDep, tenant: Tenant
) -> Response:
    """A picture that a job made, by its number in the result."""
    run = await _find(parts, tenant, run_id)
    made = (run.result or {}).get("images") or []
    if number > len(made):
        raise not_found("image", str(number))
    kept = made[number - 1]
    content, media = await parts.toolbox.images.view(
        Image(filename=kept["filename"], subfolder=kept["subfolder"], type=kept["type"])
    )
    return Response(content, media_type=media)


async def _events(parts: Parts, tenant: str, run_id: uuid.UUID, after: int) -> AsyncIterator[str]:
    quiet = 0.0
    while True:
        try:
            # The status first: whatever ended the run has written its last event by then.
            run = await parts.runs.find(tenant, run_id)
            rows = await parts.runs.events(run_id, after)
        except ApiError as error:
            yield f"event: error\ndata: {json.dumps(error.envelope())}\n\n"
            return
        for row in rows:
            after = row["seq"]
            data = json.dumps({"type": row["type"], "at": row["at"].isoformat(), **row["data"]}, ensure_ascii=False)
            yield f"id: {after}\nevent: {row['type']}\ndata: {data}\n\n"
        if not rows and (run is None or run.status in ENDED):
            yield "event: end\ndata: {}\n\n"
            return
        quiet = 0.0 if rows else quiet + _POLL_SECONDS
        if quiet >= 15:
            quiet = 0.0
            yield ": working\n\n"
        await asyncio.sleep(_POLL_SECONDS)


async def _find(parts: Parts, tenant: str, run_id: uuid.UUID) -> Run:
    run = await parts.runs.find(tenant, run_id)
    if run is None:
        raise not_found("run", str(run_id))
    return run


def _request(parts: Parts, asked: RunRequest) -> dict[str, Any]:
    """What is stored of a job, after checking everything that can be checked now."""
    if (asked.input is None) == (asked.messages is None):
        raise ApiError(400, "give either input or messages", code="invalid_value", param="input")
    route, model = wishes(asked.model, {"route": asked.route} if asked.route else None)
    messages = [message.model_dump(exclude_unset=True) for message in asked.messages or ()]
    if asked.input is not None:
        messages = [{"role": "user", "content": asked.input}]
    attachments(messages)
    limits = default_limits(parts.settings)
    given = asked.limits.model_dump(exclude_none=True)
    least = {name: min(value, given.get(name, value)) for name, value in limits.items()}
    if not is_storable(messages):
        raise ApiError(
            400, "the messages hold a NUL, or half of a surrogate pair", code="invalid_value", param="messages"
        )
    return {"messages": messages, "route": route, "model": model, "limits": least}

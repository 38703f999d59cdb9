"""`/v1/chat/completions` and `/v1/models`: the way in for every OpenAI client."""

from collections.abc import AsyncIterator
from typing import Any, Final

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from mesh_agents.api.agentic import agentic
from mesh_agents.api.chat_models import ChatRequest
from mesh_agents.api.depends import PartsDep, Tenant
from mesh_agents.api.handlers import refusals
from mesh_agents.api.sse import events, explained
from mesh_agents.errors import ApiError
from mesh_agents.graph.prompts import request_text
from mesh_agents.llm.client import ModelClient
from mesh_agents.parts import Parts
from mesh_agents.routing.choice import OFFERED, choose, wishes
from mesh_agents.routing.router import Decision
from mesh_agents.routing.routes import Route

router = APIRouter(prefix="/v1", tags=["chat"])
_AGENTIC: Final = (Route.SEARCH, Route.MULTI_STEP)


@router.get("/models", responses=refusals())
async def models(_tenant: Tenant) -> dict[str, Any]:
    """What `model` may hold: `auto`, the routes, and the models behind them."""
    return {
        "object": "list",
        "data": [{"id": str(name), "object": "model", "created": 0, "owned_by": "agentic-mesh"} for name in OFFERED],
    }


@router.post(
    "/chat/completions",
    response_model=None,
    responses={
        200: {"content": {"application/json": {}, "text/event-stream": {}}},
        **refusals(404, 422, 429, 502, 503),
    },
)
async def completions(asked: ChatRequest, parts: PartsDep, tenant: Tenant) -> Response:
    """Answer a conversation, by the route that fits; `metadata` of the answer says which and why."""
    messages = asked.plain_messages()
    route, model = wishes(asked.model, asked.metadata)
    decision = choose(parts.router, request_text(messages), route, model)
    if decision.route in _AGENTIC and not (asked.tools and route is None):
        if (asked.n or 1) > 1 or asked.tools:
            raise ApiError(
                400, f"n and tools do not go with the route {decision.route}", code="unsupported_parameter", param="n"
            )
        return await agentic(parts, asked, messages, decision, tenant)
    # A caller with tools of its own leads the conversation itself: it gets the model, not our agents.
    payload = {**asked.parameters(), "model": decision.model, "messages": messages}
    if asked.stream:
        return await _streamed(parts.models, asked, payload, decision, tenant)
    return await _whole(parts, payload, decision, tenant)


async def _whole(parts: Parts, payload: dict[str, Any], decision: Decision, tenant: str) -> Response:
    done = await parts.models.complete(payload, tenant)
    return JSONResponse({**done.body, "metadata": decision.metadata()}, headers=explained(decision))


async def _streamed(
    client: ModelClient, asked: ChatRequest, payload: dict[str, Any], decision: Decision, tenant: str
) -> Response:
    # Usage is asked for in any case, for the metrics, and shown when the caller wants it.
    wanted = bool(asked.stream_options and asked.stream_options.include_usage)
    chunks = await client.stream({**payload, "stream_options": {"include_usage": True}}, tenant)

    async def shown() -> AsyncIterator[dict[str, Any]]:
        first = True
        async for chunk in chunks:
            usage = chunk.get("usage")
            if usage:
                client.count(decision.model, usage)
            if not chunk.get("choices") and not wanted:
                continue
            yield {**chunk, "metadata": decision.metadata()} if first else chunk
            first = False

    return events(shown(), decision)

"""`/v1/chat/completions`: the way in for every OpenAI client."""

from collections.abc import Callable, Coroutine
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import ValidationError
from starlette.responses import Response

from mesh_agents.api.agentic import agentic
from mesh_agents.api.chat_models import ChatRequest
from mesh_agents.api.depends import PartsDep, Tenant, tenant_of
from mesh_agents.api.file_ids import put_in
from mesh_agents.api.handlers import refusals
from mesh_agents.api.leaving import while_there
from mesh_agents.api.pass_through import passed_through
from mesh_agents.api.prefill import going_on
from mesh_agents.api.sse import EventStream, whole
from mesh_agents.attached.marks import links_now
from mesh_agents.errors import ApiError
from mesh_agents.parts import Parts
from mesh_agents.routing.abilities import TOOLS
from mesh_agents.routing.choice import choose, wishes
from mesh_agents.routing.routes import Route
from mesh_agents.routing.situation import Situation


class _Straight(APIRoute):
    """Described by the handler's signature, as all are; a request goes past FastAPI's dependencies, which cost much."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """What is called with a request."""

        async def handle(request: Request) -> Response:
            tenant = tenant_of(request)
            asked = _understood(request, await request.body())
            parts: Parts = request.app.state.parts
            async with while_there(request.receive):
                await put_in(parts.filing.files, tenant, asked.messages, parts.settings.max_body_mib << 20)
                return await completions(asked, parts, tenant)

        return handle


straight = APIRouter(prefix="/v1", tags=["chat"], route_class=_Straight)
_AGENTIC: Final = (Route.SEARCH, Route.MULTI_STEP)
TEAM_LINKS: Final = "pictures on the route multi_step are sent as data: URLs; its agents follow no links"


@straight.post(
    "/chat/completions",
    response_model=None,
    responses={
        200: {"content": {"application/json": {}, "text/event-stream": {}}},
        **refusals(404, 422, 429, 502, 503),
    },
)
async def completions(asked: ChatRequest, parts: PartsDep, tenant: Tenant) -> Response:
    """Answer a conversation, by the route that fits; `metadata` of the answer says which and why."""
    route, model = wishes(asked.model, asked.metadata)
    taken = await parts.taker.take(tenant, asked.plain_messages(), model)
    messages = taken.messages
    needs = frozenset(taken.needs | ({TOOLS} if asked.tools else set()))
    decision = choose(parts.router, Situation.of(messages), route, model, needs).telling(taken.told)
    if decision.route in _AGENTIC and not (asked.tools and route is None):
        if (asked.n or 1) > 1 or asked.tools:
            raise ApiError(
                400, f"n and tools do not go with the route {decision.route}", code="unsupported_parameter", param="n"
            )
        if decision.route is Route.MULTI_STEP:
            # The team reads attachments with its tools, after its plan is made; links it does not follow. Of earlier
            # ones, which were answered by another route, it is told that they were there.
            if links_now(messages):
                raise ApiError(400, TEAM_LINKS, code="unsupported_parameter", param="messages")
            messages = asked.plain_messages()
        return await agentic(parts, asked, messages, decision, tenant)
    asked.fits(decision.model)
    # A caller with tools of its own leads the conversation itself: it gets the model, not our agents.
    payload = {**asked.parameters(), "model": decision.model, "messages": messages}
    if not asked.stream:
        done = await going_on(lambda asking: parts.models.complete(asking, tenant), payload)
        return whole({**done.body, "metadata": decision.metadata()}, decision)
    wanted = bool(asked.stream_options and asked.stream_options.include_usage)
    answer = await going_on(lambda asking: parts.models.stream(asking, tenant), payload)
    return EventStream(passed_through(answer, decision, usage=wanted), decision)


def _understood(request: Request, body: bytes) -> ChatRequest:
    if "json" not in request.headers.get("content-type", ""):
        raise ApiError(400, "send JSON, and say so: content-type: application/json", code="invalid_value")
    try:
        return ChatRequest.model_validate_json(body)
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_url=False)) from error

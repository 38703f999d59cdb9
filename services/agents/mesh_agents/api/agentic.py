"""Chat answers that are more than one model call: from the documents, or by the whole team."""

from typing import Any

from starlette.responses import Response

from mesh_agents.api.by_team import by_team
from mesh_agents.api.chat_models import ChatRequest
from mesh_agents.api.fields import unsupported
from mesh_agents.api.from_documents import from_documents
from mesh_agents.parts import Parts
from mesh_agents.routing.router import Decision
from mesh_agents.routing.routes import Route


async def agentic(
    parts: Parts, asked: ChatRequest, messages: list[dict[str, Any]], decision: Decision, tenant: str
) -> Response:
    """Answer on the routes `search` and `multi_step`."""
    asked.fits(decision.model)
    manner = asked.parameters()
    if "logprobs" in manner:
        raise unsupported("logprobs", f"the route {decision.route} has no logprobs; ask a model by its name")
    manner.pop("n", None)
    answered = from_documents if decision.route is Route.SEARCH else by_team
    return await answered(parts, asked, messages, manner, decision, tenant)

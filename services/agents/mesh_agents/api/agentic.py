"""Chat answers that are more than one model call: from the documents, or by the whole team."""

import asyncio
import base64
import time
import uuid
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Final

from starlette.responses import Response

from mesh_agents.api.chat_models import ChatRequest
from mesh_agents.api.sse import ALIVE, EventStream, chunk_of, event, whole
from mesh_agents.config import Settings
from mesh_agents.errors import ApiError
from mesh_agents.graph.build import build, config
from mesh_agents.graph.effects import Unremembered
from mesh_agents.graph.nodes import Nodes
from mesh_agents.graph.prompts import request_text
from mesh_agents.graph.state import Limits, RunState
from mesh_agents.parts import Parts
from mesh_agents.rag.answer import NOTHING_FOUND, cited, grounded, sources
from mesh_agents.routing.router import Decision
from mesh_agents.routing.routes import Route
from mesh_agents.tools.images import Image

CHAT_SECONDS: Final = 300.0
"""How long the team may work on a chat answer; longer work is a run."""
_ALIVE_SECONDS: Final = 10.0
_SAMPLING: Final = ("temperature", "top_p", "max_tokens", "max_completion_tokens", "seed")


@dataclass(frozen=True)
class _Answer:
    """An answer with what is told about it."""

    text: str
    metadata: dict[str, Any]
    tokens: int = 0


async def agentic(
    parts: Parts, asked: ChatRequest, messages: list[dict[str, Any]], decision: Decision, tenant: str
) -> Response:
    """Answer on the routes `search` and `multi_step`."""
    make = _from_documents if decision.route is Route.SEARCH else _by_team
    work = make(parts, asked, messages, decision, tenant)
    if asked.stream:
        return EventStream(_streamed(asyncio.create_task(work), decision), decision)
    answer = await work
    body = {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": decision.model,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": answer.text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": answer.tokens},
        "metadata": answer.metadata,
    }
    return whole(body, decision)


async def _from_documents(
    parts: Parts, asked: ChatRequest, messages: list[dict[str, Any]], decision: Decision, tenant: str
) -> _Answer:
    """A cited answer, or the statement that nothing relevant was found, for which no model is asked."""
    question = request_text(messages)
    if not question.strip():
        raise ApiError(400, "there is no question in the messages", code="no_question", param="messages")
    passages = await parts.searcher.search(tenant, question[:8000])
    metadata = {**decision.metadata(), "sources": sources(passages)}
    if not passages:
        return _Answer(NOTHING_FOUND, metadata)
    sampling = {name: value for name, value in asked.parameters().items() if name in _SAMPLING}
    done = await parts.models.complete(
        {**sampling, "model": decision.model, "messages": grounded(question, passages)}, tenant
    )
    good, invented = cited(done.text, len(passages))
    return _Answer(
        done.text, {**metadata, "cited": good, "invented_citations": invented}, done.tokens_in + done.tokens_out
    )


async def _by_team(
    parts: Parts, _asked: ChatRequest, messages: list[dict[str, Any]], decision: Decision, tenant: str
) -> _Answer:
    """The supervisor graph, inside this request."""
    graph = build(Nodes(parts.router, parts.models, parts.toolbox, Unremembered()))
    limits = default_limits(parts.settings)
    limits["seconds"] = min(limits["seconds"], CHAT_SECONDS)
    state: RunState = {
        "run": uuid.uuid4().hex,
        "tenant": tenant,
        "messages": messages,
        "forced_route": Route.MULTI_STEP.value,
        "forced_model": decision.model,
        "limits": limits,
        "started": time.time(),
        "notes": [],
        "images": [],
    }
    done = await graph.ainvoke(state, config(state["run"], limits["steps"]))
    if done.get("stop"):
        raise ApiError(
            422,
            f"the agents were stopped: {done['stop']}; start a run at /v1/runs for longer work",
            code=str(done["stop"]),
            kind="run_error",
        )
    usage = done["usage"]
    metadata = {**decision.metadata(), "plan": done["plan"], "usage": usage}
    if done["images"]:
        metadata["images"] = [await _inline(parts, image) for image in done["images"]]
    return _Answer(done["answer"], metadata, usage["tokens"])


async def _inline(parts: Parts, image: Image) -> dict[str, str]:
    """A picture with the answer, since nothing is stored of a chat; one that cannot be had takes no answer away."""
    try:
        content, media = await parts.toolbox.images.view(image)
    except ApiError as error:
        return {"error": str(error)}
    return {"media_type": media, "data": base64.b64encode(content).decode()}


def default_limits(settings: Settings) -> Limits:
    """What a run may spend at most."""
    return Limits(
        steps=settings.max_steps, tokens=settings.max_tokens, seconds=settings.max_seconds, usd=settings.max_usd
    )


async def _streamed(work: asyncio.Task[_Answer], decision: Decision) -> AsyncGenerator[bytes, None]:
    """Signs of life while the work goes on, then the answer; the work ends with the stream."""
    try:
        first = chunk_of(decision.model, {"role": "assistant", "content": ""})
        yield event({**first, "metadata": decision.metadata()})
        while not (await asyncio.wait({work}, timeout=_ALIVE_SECONDS))[0]:
            yield ALIVE
        answer = work.result()
        yield event(chunk_of(decision.model, {"content": answer.text}))
        yield event({**chunk_of(decision.model, {}, "stop"), "metadata": answer.metadata})
    finally:
        work.cancel()

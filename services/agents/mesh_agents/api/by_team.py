"""Chat answers by the whole team, on the route `multi_step`."""

import asyncio
import base64
import re
import time
import uuid
from collections.abc import AsyncGenerator
from typing import Any, Final, cast

from starlette.responses import Response

from mesh_agents.api.chat_models import ChatRequest
from mesh_agents.api.progress import Progress
from mesh_agents.api.sse import ALIVE, Chunks, EventStream, completion, whole
from mesh_agents.config import Settings
from mesh_agents.errors import ApiError
from mesh_agents.graph.build import Graph, build, config
from mesh_agents.graph.effects import Unremembered
from mesh_agents.graph.nodes import Nodes
from mesh_agents.graph.speaker import Listener, Speaker
from mesh_agents.graph.state import Limits, RunState, Usage
from mesh_agents.llm.usage import usage_of
from mesh_agents.parts import Parts
from mesh_agents.routing.router import Decision
from mesh_agents.routing.routes import Route
from mesh_agents.tools.images import Image

CHAT_SECONDS: Final = 300.0
"""How long the team may work on a chat answer; longer work is a run."""
_ALIVE_SECONDS: Final = 10.0
_PIECE: Final = re.compile(r"\S*\s*")


async def by_team(
    parts: Parts,
    asked: ChatRequest,
    messages: list[dict[str, Any]],
    manner: dict[str, Any],
    decision: Decision,
    tenant: str,
) -> Response:
    """The supervisor graph, inside this request; `manner` are the model's parameters for the answer itself."""
    limits = default_limits(parts.settings)
    limits["seconds"] = min(limits["seconds"], CHAT_SECONDS)
    state: RunState = {
        "run": uuid.uuid4().hex,
        "tenant": tenant,
        "messages": messages,
        "manner": manner,
        "forced_route": Route.MULTI_STEP.value,
        "forced_model": decision.model,
        "limits": limits,
        "started": time.time(),
        "notes": [],
        "images": [],
    }
    if asked.stream:
        wanted = bool(asked.stream_options and asked.stream_options.include_usage)
        return EventStream(_streamed(parts, state, decision, wanted=wanted), decision)
    done = cast(RunState, await _graph(parts).ainvoke(state, config(state["run"], limits["steps"])))
    metadata = await _metadata(parts, done, decision)
    return whole(completion(decision.model, done["answer"], done["finish"], _usage(done["usage"]), metadata), decision)


async def _streamed(parts: Parts, state: RunState, decision: Decision, *, wanted: bool) -> AsyncGenerator[bytes, None]:
    """How far the team is, and then the answer; the work ends with the stream."""
    team = _Team(parts, Chunks(decision.model))
    working = asyncio.create_task(team.work(state))
    working.add_done_callback(lambda _: team.told.put_nowait(None))
    try:
        yield team.chunks.delta({"role": "assistant", "content": ""}, metadata=decision.metadata())
        while (part := await _next(team.told)) is not None:
            yield part
        done = working.result()
        metadata = await _metadata(parts, done, decision)
        if not team.heard:
            # A single step with tools: its last words are known as such only when they are all there.
            for words in filter(None, _PIECE.findall(done["answer"])):
                yield team.chunks.delta({"content": words})
        yield team.chunks.delta({}, done["finish"], metadata=metadata)
        if wanted:
            yield team.chunks.usage(_usage(done["usage"]))
    finally:
        working.cancel()


class _Team:
    """Works, and puts what it tells into a queue."""

    def __init__(self, parts: Parts, chunks: Chunks) -> None:
        self.chunks = chunks
        self.told: asyncio.Queue[bytes | None] = asyncio.Queue()
        """Chunks; None at the end."""
        self.heard = False
        """Whether the answer was told."""
        self._graph = _graph(parts, self._hear)

    async def work(self, state: RunState) -> RunState:
        """Work to the end; the graph's last state."""
        progress = Progress()
        done: Any = None
        thread = config(state["run"], state["limits"]["steps"])
        update: Any
        async for mode, update in self._graph.astream(state, thread, stream_mode=["updates", "values"]):
            if mode == "values":
                done = update
                continue
            for node, change in update.items():
                for words, event in progress.of(node, change or {}):
                    self.told.put_nowait(self.chunks.delta({"reasoning_content": words}, metadata={"progress": event}))
        return cast(RunState, done)

    def _hear(self, words: str) -> None:
        self.heard = True
        self.told.put_nowait(self.chunks.delta({"content": words}))


async def _next(told: asyncio.Queue[bytes | None]) -> bytes | None:
    """What is told next, or a sign of life; None: the work is done."""
    try:
        return await asyncio.wait_for(told.get(), _ALIVE_SECONDS)
    except TimeoutError:
        return ALIVE


def _graph(parts: Parts, listener: Listener | None = None) -> Graph:
    speaker = Speaker(parts.models, listener)
    return build(Nodes(parts.router, speaker, parts.toolbox, Unremembered(), parts.settings.conversation_tokens))


async def _metadata(parts: Parts, done: RunState, decision: Decision) -> dict[str, Any]:
    """What is told about an answer.

    Raises:
        ApiError: 422, there is none: the monitor has stopped the team.

    """
    if stop := done.get("stop"):
        raise ApiError(
            422,
            f"the agents were stopped: {stop}; start a run at /v1/runs for longer work",
            code=stop,
            kind="run_error",
        )
    metadata = {**decision.metadata(), "plan": done["plan"], "usage": done["usage"]}
    if done["images"]:
        metadata["images"] = [await _inline(parts, image) for image in done["images"]]
    return metadata


def _usage(spent: Usage) -> dict[str, Any]:
    return usage_of(spent["prompt_tokens"], spent["completion_tokens"])


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

"""Chat answers from the caller's documents, on the route `search`."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.responses import Response

from mesh_agents.api.chat_models import ChatRequest
from mesh_agents.api.sse import Chunks, EventStream, completion, whole
from mesh_agents.conversation.rewrite import standalone_question
from mesh_agents.conversation.turns import conversation_of
from mesh_agents.errors import ApiError
from mesh_agents.llm.client import Streamed
from mesh_agents.llm.events import Event
from mesh_agents.llm.usage import Usage, together
from mesh_agents.parts import Parts
from mesh_agents.rag.answer import NOTHING_FOUND, cited, grounded, sources
from mesh_agents.routing.router import Decision

_LONGEST: Final = 8000
"""Characters of a question that is looked up."""
_STOP: Final = "stop"


@dataclass(frozen=True)
class _Prepared:
    """What was found, and what a model is asked with it."""

    metadata: dict[str, Any]
    passages: int
    payload: dict[str, Any] | None
    """None: there is nothing to say."""
    usage: list[Usage] = field(default_factory=list)
    """Of what was asked until here."""


async def from_documents(
    parts: Parts,
    asked: ChatRequest,
    messages: list[dict[str, Any]],
    manner: dict[str, Any],
    decision: Decision,
    tenant: str,
) -> Response:
    """A cited answer, or the statement that nothing relevant was found, for which no model is asked.

    `manner` are the model's parameters for the answer.
    """
    ready = await _prepared(parts, messages, manner, decision, tenant)
    if not asked.stream:
        if ready.payload is None:
            body = completion(decision.model, NOTHING_FOUND, _STOP, together(ready.usage), ready.metadata)
            return whole(body, decision)
        done = await parts.models.complete(ready.payload, tenant)
        reason = done.body["choices"][0].get("finish_reason")
        metadata = {**ready.metadata, **_citations(done.text, ready.passages)}
        usage = together([*ready.usage, done.usage])
        return whole(completion(decision.model, done.text, _end(reason), usage, metadata), decision)
    wanted = bool(asked.stream_options and asked.stream_options.include_usage)
    if ready.payload is None:
        return EventStream(_nothing(ready, decision, wanted=wanted), decision)
    answer = await parts.models.stream(ready.payload, tenant)
    return EventStream(_streamed(answer, ready, decision, wanted=wanted), decision)


async def _prepared(
    parts: Parts, messages: list[dict[str, Any]], manner: dict[str, Any], decision: Decision, tenant: str
) -> _Prepared:
    conversation = conversation_of(messages)
    if not conversation.request.strip():
        raise ApiError(400, "there is no question in the messages", code="no_question", param="messages")
    question = await standalone_question(parts.models, conversation, tenant)
    passages = await parts.searcher.search(tenant, question.text[-_LONGEST:])
    metadata = {**decision.metadata(), **question.metadata(), "sources": sources(passages)}
    if not passages and not conversation.earlier:
        return _Prepared(metadata, 0, None, question.usage)
    told = grounded(conversation, question.text, passages, parts.settings.conversation_tokens)
    payload = {**manner, "model": decision.model, "messages": told}
    return _Prepared(metadata, len(passages), payload, question.usage)


async def _nothing(ready: _Prepared, decision: Decision, *, wanted: bool) -> AsyncGenerator[bytes, None]:
    chunks = Chunks(decision.model)
    yield chunks.delta({"role": "assistant", "content": NOTHING_FOUND}, metadata=ready.metadata)
    yield chunks.delta({}, _STOP)
    if wanted:
        yield chunks.usage(together(ready.usage))


async def _streamed(
    answer: Streamed, ready: _Prepared, decision: Decision, *, wanted: bool
) -> AsyncGenerator[bytes, None]:
    """The answer as the model says it; which passages it cites is known at its end."""
    chunks = Chunks(decision.model)
    said: list[str] = []
    reason: Any = None
    async with aclosing(answer):
        yield chunks.delta({"role": "assistant", "content": ""}, metadata=ready.metadata)
        async for portion in answer:
            heard = [_heard(one) for one in portion]
            said += [delta.get("content", "") for delta, _ in heard]
            reason = next((end for _, end in heard if end), reason)
            if told := b"".join(chunks.delta(delta) for delta, _ in heard if delta):
                yield told
    metadata = {**ready.metadata, **_citations("".join(said), ready.passages)}
    yield chunks.delta({}, _end(reason), metadata=metadata)
    if wanted:
        yield chunks.usage(together([*ready.usage, answer.usage]))


def _heard(one: Event) -> tuple[dict[str, str], Any]:
    """What a chunk says, and how it ends. A model has no tools here; what it asks of them is left out."""
    choice: Mapping[str, Any] = (one.chunk.get("choices") or [{}])[0]
    said = {name: (choice.get("delta") or {}).get(name) for name in ("content", "reasoning_content")}
    return {name: text for name, text in said.items() if isinstance(text, str) and text}, choice.get("finish_reason")


def _end(reason: Any) -> str:
    return str(reason) if reason in ("length", "content_filter") else _STOP


def _citations(text: str, passages: int) -> dict[str, Any]:
    good, invented = cited(text, passages)
    return {"cited": good, "invented_citations": invented}

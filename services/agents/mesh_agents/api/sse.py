"""Answers as server-sent events, in OpenAI's chunks."""

import json
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

from starlette.responses import StreamingResponse

from mesh_agents.errors import ApiError
from mesh_agents.routing.router import Decision


def explained(decision: Decision) -> dict[str, str]:
    """The decision as headers, for clients that do not show extra fields."""
    return {"x-agents-route": decision.route.value, "x-agents-model": decision.model}


def events(chunks: AsyncIterator[dict[str, Any] | None], decision: Decision) -> StreamingResponse:
    """Server-sent events; None keeps the connection alive. A failure is one clear error event, and no `[DONE]`."""

    async def lines() -> AsyncIterator[str]:
        try:
            async for chunk in chunks:
                yield ": working\n\n" if chunk is None else f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n"
        except ApiError as error:
            yield f"data: {json.dumps(error.envelope())}\n\n"
        else:
            yield "data: [DONE]\n\n"

    headers = {**explained(decision), "cache-control": "no-cache", "x-accel-buffering": "no"}
    return StreamingResponse(lines(), media_type="text/event-stream", headers=headers)


def chunk_of(model: str, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    """A chunk of an answer that we make ourselves."""
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": model,
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }

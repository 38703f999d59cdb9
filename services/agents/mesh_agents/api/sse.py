"""Answers on the wire: whole, or as server-sent events in OpenAI's chunks."""

import json
import logging
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from mesh_agents.api.leaving import LeftError, while_there
from mesh_agents.errors import ApiError, failed
from mesh_agents.routing.router import Decision

ALIVE: Final = b": working\n\n"
"""Keeps a connection alive, and says nothing."""
_LOG: Final = logging.getLogger(__name__)


def explained(decision: Decision) -> dict[str, str]:
    """The decision as headers, for clients that do not show extra fields."""
    return {"x-agents-route": decision.route.value, "x-agents-model": decision.model}


def whole(body: dict[str, Any], decision: Decision) -> Response:
    """An answer in one piece. In ASCII: a model may say half a character, which cannot be encoded otherwise."""
    return Response(json.dumps(body), headers=explained(decision), media_type="application/json")


def event(chunk: dict[str, Any]) -> bytes:
    """A chunk as an event."""
    return b"data: %s\n\n" % json.dumps(chunk).encode()


class EventStream(StreamingResponse):
    """Passes events on as they come, until they end or the caller leaves.

    The end is either `[DONE]` or, whatever went wrong, one clear error.
    """

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[bytes, None], decision: Decision) -> None:
        """`events` are whole; several may come as one."""
        super().__init__(
            events, headers={**explained(decision), "cache-control": "no-cache", "x-accel-buffering": "no"}
        )
        self._events = events

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send them."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            async with while_there(receive), aclosing(self._events):
                async for events in self._events:
                    await send({"type": "http.response.body", "body": events, "more_body": True})
            last = b"data: [DONE]\n\n"
        except LeftError:
            return
        except ApiError as error:
            last = event(error.envelope())
        except Exception:  # noqa: BLE001 - whatever it is, the caller must not be left in silence
            _LOG.exception("a stream failed")
            last = event(failed().envelope())
        await send({"type": "http.response.body", "body": last})


class Chunks:
    """Makes the chunks of an answer that we write ourselves: one id, one time."""

    def __init__(self, model: str) -> None:
        """`model` answers."""
        self._frame = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": model,
        }

    def delta(self, delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
        """A part of the answer; `more` are fields beside OpenAI's."""
        return event({**self._frame, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more})

    def usage(self, usage: dict[str, Any]) -> bytes:
        """What the request used, the last chunk for those who want it."""
        return event({**self._frame, "choices": [], "usage": usage})


def completion(model: str, text: str, finish: str, usage: dict[str, Any], metadata: dict[str, Any]) -> dict[str, Any]:
    """A whole answer that we write ourselves."""
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}],
        "usage": usage,
        "metadata": metadata,
    }

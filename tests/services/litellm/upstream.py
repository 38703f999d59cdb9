"""The models behind the proxy, stood in for: OpenAI's and Anthropic's protocols on loopback, with faults on demand."""

import asyncio
import base64
import json
import struct
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

SIZE = 4
"""Dimensions of the stand-in's vectors."""
HANG_SECONDS = 60

Event = tuple[str, dict[str, Any] | str]


class Script:
    """What each model does next, and what it was asked.

    Faults: a status such as `500`; `context`, the prompt is too long; `hang`, no answer. Of streams, in the middle:
    `cut`, the connection ends; `end`, the body ends as if it were whole; `broken`, an event that is no JSON; `stall`,
    nothing more comes; `error`, the provider's own error event. Before: `hang_stream`, headers and then nothing, and
    `empty`, a stream without an event.
    """

    def __init__(self) -> None:
        self.faults: dict[str, Any] = {}
        self.answers: dict[str, str] = {}
        self.tools: dict[str, dict[str, Any]] = {}
        """With what input a model uses the first tool that it is offered."""
        self.asked: list[dict[str, Any]] = []
        self.delay = 0.0
        self._count: dict[str, int] = defaultdict(int)

    def reset(self) -> None:
        self.faults.clear()
        self.answers.clear()
        self.tools.clear()
        self.asked.clear()
        self.delay = 0.0

    def calls(self, model: str) -> list[dict[str, Any]]:
        return [call for call in self.asked if call["model"] == model]

    def order(self) -> list[str]:
        """The models in the order in which they were asked, each run of one model once."""
        found: list[str] = []
        for call in self.asked:
            if not found or found[-1] != call["model"]:
                found.append(call["model"])
        return found

    def note(self, model: str, request: Request, body: dict[str, Any]) -> str:
        """Keep the call; the text of its answer, which no other has."""
        self.asked.append({"model": model, "headers": dict(request.headers), "body": body, "at": time.monotonic()})
        self._count[model] += 1
        return self.answers.get(model) or f"{model} answers for the {self._count[model]}th time"


class Upstream:
    """One address with all the models; stopped, it refuses connections."""

    def __init__(self, script: Script, port: int) -> None:
        self.port = port
        self._script = script
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def running(self) -> bool:
        return self._server is not None

    def start(self) -> None:
        if self._server is not None:
            return
        app = Starlette(
            routes=[
                Route("/v1/chat/completions", self._openai, methods=["POST"]),
                Route("/v1/messages", self._anthropic, methods=["POST"]),
                Route("/v1/embeddings", self._embeddings, methods=["POST"]),
            ]
        )
        config = uvicorn.Config(
            app, host="127.0.0.1", port=self.port, log_config=None, access_log=False, timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        end = time.monotonic() + 20
        while not self._server.started:
            assert time.monotonic() < end, "the stand-in did not start"
            time.sleep(0.02)

    def stop(self) -> None:
        if self._server is None or self._thread is None:
            return
        self._server.should_exit = True
        self._thread.join(20)
        assert not self._thread.is_alive()
        self._server = self._thread = None

    async def _openai(self, request: Request) -> Response:
        body = await request.json()
        text = self._script.note(body["model"], request, body)
        fault = self._script.faults.get(body["model"])
        too_long = "This model's maximum context length is 10 tokens, however you requested 99 tokens."
        if (
            refused := await self._refusal(fault, {"message": too_long, "code": "context_length_exceeded"})
        ) is not None:
            return refused
        use = self._script.tools.get(body["model"]) if body.get("tools") else None
        call = None if use is None else openai_call(body["tools"][0]["function"]["name"], use)
        if body.get("stream"):
            events = openai_events(body["model"], text, call, usage="stream_options" in body)
            return _stream(events, fault, self._script.delay)
        await asyncio.sleep(self._script.delay)
        message: dict[str, Any] = {"role": "assistant", "content": text}
        if call is not None:
            message |= {"content": None, "tool_calls": [call]}
        return JSONResponse(
            {
                "id": f"chatcmpl-{uuid.uuid4()}",
                "object": "chat.completion",
                "created": 1,
                "model": body["model"],
                "choices": [
                    {"index": 0, "message": message, "finish_reason": "tool_calls" if call else "stop"},
                ],
                "usage": _USAGE,
            }
        )

    async def _anthropic(self, request: Request) -> Response:
        body = await request.json()
        text = self._script.note(body["model"], request, body)
        fault = self._script.faults.get(body["model"])
        message = "prompt is too long: 250000 tokens > 200000 maximum"
        if (refused := await self._refusal(fault, {"message": message, "type": "invalid_request_error"})) is not None:
            return refused
        use = self._script.tools.get(body["model"]) if body.get("tools") else None
        block: dict[str, Any] = {"type": "text", "text": text}
        if use is not None:
            block = {"type": "tool_use", "id": "toolu_1", "name": body["tools"][0]["name"], "input": use}
        if body.get("stream"):
            return _stream(anthropic_events(body["model"], block), fault, self._script.delay)
        return JSONResponse(
            {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "model": body["model"],
                "content": [block],
                "stop_reason": "end_turn" if use is None else "tool_use",
                "stop_sequence": None,
                "usage": {"input_tokens": 1000, "output_tokens": 100},
            }
        )

    async def _embeddings(self, request: Request) -> Response:
        body = await request.json()
        self._script.note(body["model"], request, body)
        if (refused := await self._refusal(self._script.faults.get(body["model"]), {})) is not None:
            return refused
        given = body["input"] if isinstance(body["input"], list) else [body["input"]]
        vector: Any = [0.5] * SIZE
        if body.get("encoding_format") == "base64":
            vector = base64.b64encode(struct.pack(f"<{SIZE}f", *vector)).decode()
        data = [{"object": "embedding", "index": i, "embedding": vector} for i in range(len(given))]
        usage = {"prompt_tokens": 10, "total_tokens": 10}
        return JSONResponse({"object": "list", "data": data, "model": body["model"], "usage": usage})

    @staticmethod
    async def _refusal(fault: Any, too_long: dict[str, Any]) -> Response | None:
        if fault == "hang":
            await asyncio.sleep(HANG_SECONDS)
        if fault == "context":
            return JSONResponse({"type": "error", "error": {"type": "invalid_request_error", **too_long}}, 400)
        if isinstance(fault, int):
            kind = "rate_limit_error" if fault == 429 else "api_error"
            return JSONResponse({"type": "error", "error": {"message": f"fault {fault}", "type": kind}}, fault)
        return None


_USAGE = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}


def openai_call(name: str, given: dict[str, Any]) -> dict[str, Any]:
    """The use of a tool."""
    function = {"name": name, "arguments": json.dumps(given)}
    return {"id": f"call_{uuid.uuid4().hex}", "type": "function", "function": function}


def openai_events(model: str, text: str, call: dict[str, Any] | None, *, usage: bool) -> list[Event]:
    """The events of an answer: a word each or a tool's use in pieces, and the end."""
    base = {"id": f"chatcmpl-{uuid.uuid4()}", "object": "chat.completion.chunk", "created": 1, "model": model}

    def chunk(delta: dict[str, Any], finish: str | None = None) -> Event:
        return "", {**base, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    events = [chunk({"role": "assistant", "content": ""})]
    if call is None:
        events += [chunk({"content": f"{word} "}) for word in text.split()]
    else:
        begun = {**call, "index": 0, "function": {**call["function"], "arguments": ""}}
        events.append(chunk({"tool_calls": [begun]}))
        given = call["function"]["arguments"]
        pieces = [given[place : place + 5] for place in range(0, len(given), 5)]
        events += [chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}) for piece in pieces]
    events.append(chunk({}, "stop" if call is None else "tool_calls"))
    if usage:
        events.append(("", {**base, "choices": [], "usage": _USAGE}))
    return [*events, ("", "[DONE]")]


def anthropic_events(model: str, block: dict[str, Any]) -> list[Event]:
    """The same in Anthropic's protocol: a text, or a tool's use in pieces."""
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": []}
    usage = {"input_tokens": 1000, "output_tokens": 1}
    if block["type"] == "text":
        empty, reason = {**block, "text": ""}, "end_turn"
        deltas = [{"type": "text_delta", "text": f"{word} "} for word in block["text"].split()]
    else:
        empty, reason = {**block, "input": {}}, "tool_use"
        given = json.dumps(block["input"])
        pieces = [given[place : place + 5] for place in range(0, len(given), 5)]
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    told: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**message, "stop_reason": None, "stop_sequence": None, "usage": usage}},
        {"type": "content_block_start", "index": 0, "content_block": empty},
        *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": reason, "stop_sequence": None},
            "usage": {"output_tokens": 100},
        },
        {"type": "message_stop"},
    ]
    return [(event["type"], event) for event in told]


def _stream(events: list[Event], fault: Any, delay: float) -> Response:
    async def body() -> AsyncIterator[bytes]:
        await asyncio.sleep(HANG_SECONDS if fault == "hang_stream" else delay)
        for place, (name, data) in enumerate(events):
            if fault == "empty":
                return
            if fault and place == len(events) // 2:
                # What was sent before has arrived.
                await asyncio.sleep(0.2)
                if fault == "end":
                    return
                yield await _break(fault)
                if fault == "error":
                    return
            head = f"event: {name}\n" if name else ""
            yield f"{head}data: {data if isinstance(data, str) else json.dumps(data)}\n\n".encode()
            await asyncio.sleep(0)

    return StreamingResponse(body(), media_type="text/event-stream")


async def _break(fault: Any) -> bytes:
    """What comes in the middle of a stream instead of its next event."""
    if fault == "cut":
        # The server ends the connection without the last chunk of its encoding, as a killed process would.
        raise ConnectionAbortedError("cut by the script")
    if fault == "stall":
        await asyncio.sleep(HANG_SECONDS)
    if fault == "broken":
        return b"data: {this is no JSON\n\n"
    if fault == "error":
        overloaded = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
        return f"event: error\ndata: {json.dumps(overloaded)}\n\n".encode()
    return b""

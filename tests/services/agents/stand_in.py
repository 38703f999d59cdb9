"""Stand-ins for what cannot be had here: the model proxy with the clouds behind it, the embedding server, the
interpreter, docling, speaches and ComfyUI. One server with their interfaces, which answers as a test scripts it and
breaks on demand. The embeddings themselves are real: all-MiniLM-L6-v2.
"""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.services.agents.comfyui import ComfyUI
from tests.services.agents.docling import Docling
from tests.services.agents.embedding import embed

KEYS = {
    "/v1/chat/completions": "litellm-key",
    "/v1/embeddings": "embeddings-key",
    "/v1/execute": "interpreter-key",
    "/v1/audio/transcriptions": "whisper-key",
}

PNG = b"\x89PNG\r\n\x1a\n" + b"\x00\x00\x00\rIHDR" + (64).to_bytes(4, "big") * 2 + b"\x08\x02\x00\x00\x00"
"""The beginning of an image, which is all that the agents look at."""


@dataclass
class Say:
    """What the model says, and how it fails: `status:NNN`, `malformed`, and in the middle of its answer:

    `cut`: the answer ends as if it were whole; `error_event`: with an error, and no `[DONE]`; `drop`: with the
    connection; `silent`: it says no more; `senseless`: an event is no object; `no_done`, `no_reason`: all is said, and
    one of the two signs of it is missing; `error_reason`: that sign says that it failed.
    """

    text: str = "fine"
    tool_calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    raw_calls: Any = None
    """In their place, whatever it is."""
    fault: str | None = None
    words: int | None = None
    """Of a stream before its fault; if it is not said, half of them."""
    delay: float = 0.0
    """Seconds before the answer, or before each word of a stream."""
    finish: str = "stop"
    """Why it ends, unless for tools."""
    usage: tuple[int, int] | None = None
    """Tokens in and out; if it is not said, 100 and 50 of a whole answer, 10 and its words of a stream."""


_SOUND = (b"RIFF", b"ID3", b"OggS", b"fLaC")
"""How recordings begin."""
Script = Callable[[dict[str, Any]], Say]


class StandIn:
    """The server, in a thread of its own."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.comfyui = ComfyUI()
        self.docling = Docling()
        self.reset()
        app = Starlette(
            routes=[
                Route("/v1/chat/completions", self._chat, methods=["POST"]),
                Route("/v1/embeddings", self._embeddings, methods=["POST"]),
                Route("/v1/execute", self._execute, methods=["POST"]),
                Route("/v1/audio/transcriptions", self._transcribe, methods=["POST"]),
                *self.comfyui.routes(),
                *self.docling.routes(),
            ]
        )
        self._server = uvicorn.Server(
            uvicorn.Config(app, host="127.0.0.1", port=port, log_level="critical", ws="none", lifespan="off")
        )
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def reset(self) -> None:
        # In place: the routes are bound to them.
        vars(self.comfyui).update(vars(ComfyUI()))
        vars(self.docling).update(vars(Docling()))
        self.script: Script = lambda _payload: Say()
        self.chats: list[dict[str, Any]] = []
        self.request_ids: list[str] = []
        """Of the chats, in order."""
        self.embedded: list[int] = []
        self.executed: list[str] = []
        self.embedding_fault_after: int | None = None
        self.refuses_prefill = False
        """As Claude does from version 4.6 on."""
        self.execute_delay = 0.0
        self.output = "42\n"
        self.transcript = "please order forty chairs"
        self.raw: dict[str, bytes] = {}
        """Path -> what it answers instead, with status 200."""

    def start(self) -> None:
        self._thread.start()
        end = time.monotonic() + 10
        while not self._server.started:
            if time.monotonic() > end:
                raise TimeoutError("the stand-in did not start")
            time.sleep(0.02)

    def serve(self) -> None:
        """In this thread, until a signal ends it."""
        self._server.run()

    def stop(self) -> None:
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join(10)

    @staticmethod
    def _authorized(request: Request) -> bool:
        return request.headers.get("authorization") == f"Bearer secret-of-{KEYS[request.url.path]}"

    async def _chat(self, request: Request) -> Response:
        if not self._authorized(request):
            return JSONResponse({"error": {"message": "bad key"}}, 401)
        payload = await request.json()
        self.chats.append(payload)
        self.request_ids.append(request.headers.get("x-request-id", ""))
        refusal = _unpaired(payload["messages"])
        if self.refuses_prefill and payload["messages"][-1]["role"] == "assistant":
            refusal = "AnthropicException - This model does not support assistant message prefill. The conversation ..."
        if refusal:
            return JSONResponse({"error": {"message": refusal}}, 400)
        say = self.script(payload)
        if say.fault and say.fault.startswith("status:"):
            return JSONResponse({"error": {"message": f"told to fail: {say.fault}"}}, int(say.fault[7:]))
        if say.fault == "malformed":
            return Response(b'{"choices": []}', media_type="application/json")
        if payload.get("stream"):
            return StreamingResponse(self._stream(payload, say), media_type="text/event-stream")
        await asyncio.sleep(say.delay)
        response = Response(json.dumps(_body(payload, say)), media_type="application/json")
        if say.fault in ("cut", "drop"):
            response.body = response.body[: len(response.body) // 2]  # shorter than it says: the server hangs up
        return response

    async def _stream(self, payload: dict[str, Any], say: Say) -> AsyncIterator[str]:
        words = say.text.split(" ")
        faulty = say.fault in ("cut", "error_event", "drop", "senseless", "silent")
        last = len(words) // 2 if say.words is None else say.words
        yield _event(_chunk(payload, {"role": "assistant", "content": ""}))
        for index, word in enumerate(words):
            await asyncio.sleep(say.delay)
            if faulty and index == last:
                if say.fault == "error_event":
                    yield _event({"error": {"message": "overloaded", "code": "529"}})
                if say.fault == "senseless":
                    yield _event([])
                if say.fault == "silent":
                    await asyncio.sleep(60)
                if say.fault == "drop":
                    raise ConnectionAbortedError
                return  # an end without [DONE] and without a finish reason
            yield _event(_chunk(payload, {"content": word if index == 0 else f" {word}"}))
        if say.fault != "no_reason":
            yield _event(_chunk(payload, {}, "error" if say.fault == "error_reason" else say.finish))
        if (payload.get("stream_options") or {}).get("include_usage"):
            # As LiteLLM 1.103.2 sends it, with a choice that says nothing, where OpenAI has none.
            yield _event({**_chunk(payload, {}), "usage": _usage(say.usage or (10, len(words)))})
        if say.fault != "no_done":
            yield "data: [DONE]\n\n"

    async def _embeddings(self, request: Request) -> Response:
        if not self._authorized(request):
            return JSONResponse({"error": "bad key"}, 401)
        if request.url.path in self.raw:
            return Response(self.raw[request.url.path], media_type="application/json")
        texts = (await request.json())["input"]
        if len(texts) > 32:
            return JSONResponse({"error": "batch size > maximum allowed batch size 32"}, 413)
        if self.embedding_fault_after is not None:
            if self.embedding_fault_after <= 0:
                return JSONResponse({"error": "told to fail"}, 503)
            self.embedding_fault_after -= 1
        self.embedded.append(len(texts))
        vectors = await asyncio.to_thread(lambda: [embed(text) for text in texts])
        return JSONResponse({"data": [{"index": i, "embedding": v} for i, v in enumerate(vectors)]})

    async def _execute(self, request: Request) -> Response:
        if not self._authorized(request):
            return JSONResponse({"error": "bad key"}, 401)
        self.executed.append((await request.json())["code"])
        await asyncio.sleep(self.execute_delay)
        if request.url.path in self.raw:
            return Response(self.raw[request.url.path], media_type="application/json")
        stream = {"text": self.output, "truncated": False}
        body = {"status": "ok", "stdout": stream, "stderr": {"text": "", "truncated": False}}
        return Response(json.dumps(body), media_type="application/json")

    async def _transcribe(self, request: Request) -> Response:
        if not self._authorized(request):
            return JSONResponse({"error": "bad key"}, 401)
        if request.url.path in self.raw:
            return Response(self.raw[request.url.path], media_type="application/json")
        async with request.form() as form:
            file = form["file"]
            content = b"" if isinstance(file, str) else await file.read()
        if not content.startswith(_SOUND):
            # `audio_file_dependency` of speaches v0.9.0-rc.3, src/speaches/dependencies.py.
            return JSONResponse({"detail": "Failed to decode audio. The provided file type is not supported."}, 415)
        return JSONResponse({"text": self.transcript})


def _event(content: Any) -> str:
    return f"data: {json.dumps(content)}\n\n"


def _body(payload: dict[str, Any], say: Say) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": say.text}
    if say.tool_calls:
        message["tool_calls"] = [
            {"id": f"call_{i}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
            for i, (name, arguments) in enumerate(say.tool_calls)
        ]
    if say.raw_calls is not None:
        message["tool_calls"] = say.raw_calls
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": payload["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if say.tool_calls else say.finish}],
        "usage": _usage(say.usage or (100, 50)),
    }


def _usage(tokens: tuple[int, int]) -> dict[str, int]:
    return {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}


def _unpaired(messages: list[dict[str, Any]]) -> str | None:
    """What the providers refuse, in OpenAI's and Anthropic's words: a tool's call or result without the other."""
    open_calls: set[str] = set()
    for message in messages:
        if message["role"] == "tool":
            identity = str(message.get("tool_call_id"))
            if identity not in open_calls:
                return "messages with role 'tool' must be a response to a preceding message with 'tool_calls'"
            open_calls.remove(identity)
        elif open_calls:
            break
        calls = message.get("tool_calls")
        found = [call.get("id") for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
        open_calls |= {str(identity) for identity in found}
    if open_calls:
        return f"tool_use ids were found without tool_result blocks immediately after: {', '.join(sorted(open_calls))}"
    return None


def _chunk(payload: dict[str, Any], delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": payload["model"],
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }

"""The world outside as the lab has it: Anthropic's and OpenRouter's APIs on HTTPS, by the names that they have.

`python -m lab.images.outside --folder FOLDER --address ADDRESS [--port 443]`. Certificates are of the lab's authority.
Faults (`standins.faults`) are switched on by the header or by the file `outside/fault` in the folder; `GET /lab/calls`
tells what was asked, without keys.
"""

from __future__ import annotations

import argparse
import json
import os
import ssl
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from lab.images.authority import issue

ANTHROPIC: Final = "api.anthropic.com"
OPENROUTER: Final = "openrouter.ai"
HOSTS: Final = (ANTHROPIC, OPENROUTER)


def _anthropic_error(status: int) -> dict[str, Any]:
    kind = {401: "authentication_error", 429: "rate_limit_error", 529: "overloaded_error"}.get(status, "api_error")
    return {"type": "error", "error": {"type": kind, "message": kind}}


def make() -> Any:
    """The server of both hosts; which one is meant, the Host header says."""
    # Imported late: the file of faults is fixed when the module is read.
    from lab.images.standins import faults, openai
    from lab.images.standins.common import EVENTS, Answer, Refused, Request, Service

    service = Service("outside")
    chat = openai.Chat([], any_model=True)
    calls: list[dict[str, Any]] = []
    lock = threading.Lock()

    def note(request: Request) -> None:
        asked = request.json() if request.body else {}
        with lock:
            calls.append(
                {
                    "host": request.header("host").partition(":")[0],
                    "path": request.path,
                    "model": asked.get("model"),
                    "stream": bool(asked.get("stream")),
                    "at": time.time(),
                }
            )

    service.route("GET", "/lab/calls")(lambda _: list(calls))

    @service.route("POST", "/api/v1/chat/completions")
    def _(request: Request) -> Any:
        if not request.bearer():
            raise Refused(401, "", openai.error(401, "No auth credentials found"))
        note(request)
        return chat.complete(request)

    @service.route("POST", "/v1/messages")
    def _(request: Request) -> Any:
        if not request.header("x-api-key") and not request.bearer():
            raise Refused(401, "", _anthropic_error(401))
        note(request)
        faults.meet(request, _anthropic_error)
        asked = request.json()
        messages = [{"role": m.get("role"), "content": m.get("content")} for m in asked.get("messages") or []]
        if not messages or not asked.get("max_tokens"):
            raise Refused(400, "", {"type": "error", "error": {"type": "invalid_request_error", "message": "messages"}})
        found = openai.reply(messages, str(asked.get("model")), bool(asked.get("tools")))
        used = {"input_tokens": sum(openai.tokens(openai.content(m)) for m in messages)}
        base = {
            "id": f"msg_{uuid.uuid4().hex[:20]}",
            "type": "message",
            "role": "assistant",
            "model": asked.get("model"),
            "stop_sequence": None,
        }
        if asked.get("stream"):
            return Answer(faults.cut(request, _stream(base, found, used)), type=EVENTS)
        block: dict[str, Any] = {"type": "text", "text": found.text}
        if found.tool:
            block = {
                "type": "tool_use",
                "id": _tool_id(),
                "name": found.tool,
                "input": json.loads(found.arguments),
            }
        usage = {**used, "output_tokens": openai.tokens(found.text)}
        return {**base, "content": [block], "stop_reason": "tool_use" if found.tool else "end_turn", "usage": usage}

    return service


def _tool_id() -> str:
    return f"toolu_{uuid.uuid4().hex[:20]}"


def _stream(base: dict[str, Any], found: Any, used: dict[str, int]) -> Iterator[bytes]:
    """A message as Anthropic's API streams it."""

    def event(kind: str, **fields: Any) -> bytes:
        return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()

    usage = {**used, "output_tokens": 1}
    yield event("message_start", message={**base, "content": [], "stop_reason": None, "usage": usage})
    if found.tool:
        block = {"type": "tool_use", "id": _tool_id(), "name": found.tool, "input": {}}
        yield event("content_block_start", index=0, content_block=block)
        delta = {"type": "input_json_delta", "partial_json": found.arguments}
        yield event("content_block_delta", index=0, delta=delta)
    else:
        yield event("content_block_start", index=0, content_block={"type": "text", "text": ""})
        for word in found.words:
            yield event("content_block_delta", index=0, delta={"type": "text_delta", "text": word})
    yield event("content_block_stop", index=0)
    reason = "tool_use" if found.tool else "end_turn"
    count = {"output_tokens": len(found.words)}
    yield event("message_delta", delta={"stop_reason": reason, "stop_sequence": None}, usage=count)
    yield event("message_stop")


def main() -> None:
    """Serve until told to end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--address", required=True)
    parser.add_argument("--port", type=int, default=443)
    args = parser.parse_args()
    found = issue(args.folder, "apis", HOSTS)
    os.environ.setdefault("STAND_IN_FAULT_FILE", str(args.folder / "outside" / "fault"))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(found.certificate, found.key)
    service = make()
    service.start(args.port, args.address, tls)
    from lab.images.standins.common import wait

    wait()


if __name__ == "__main__":
    main()

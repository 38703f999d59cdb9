"""OpenAI's chat API, as vLLM and OpenRouter speak it: the answer repeats the question, or is what the question says.

A last message that holds `[[...]]` is answered with the text between the brackets; `[[tool:NAME {...}]]` calls a tool.
"""

from __future__ import annotations

import itertools
import json
import re
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lab.images.standins import faults
from lab.images.standins.common import EVENTS, Answer, Refused, Request, events, now

_TOOL = re.compile(r"\[\[tool:(\w+)\s*(\{.*?\})?\]\]", re.DOTALL)
_SAY = re.compile(r"\[\[(?!tool:)(.*?)\]\]", re.DOTALL)


@dataclass(frozen=True)
class Reply:
    """What a model says, or which tool it calls."""

    text: str
    tool: str = ""
    arguments: str = ""

    @property
    def words(self) -> list[str]:
        """The text in the pieces in which it is streamed."""
        return re.findall(r"\S+\s*|\s+", self.text) or [""]


def reply(messages: list[dict[str, Any]], name: str, tools: bool) -> Reply:
    """The answer to a conversation."""
    last = messages[-1] if messages else {}
    text = content(last)
    if tools and last.get("role") == "user" and (found := _TOOL.search(text)):
        return Reply("", found[1], found[2] or "{}")
    if said := _SAY.search(text):
        return Reply(said[1])
    return Reply(f"{name} (stand-in) heard: {text}")


def content(message: dict[str, Any]) -> str:
    """A message's text, whether it is one string or a list of parts."""
    parts = message.get("content") or ""
    if isinstance(parts, str):
        return parts
    # A result of a tool has its own content, in Anthropic's API.
    return " ".join(str(part.get("text") or content(part)) for part in parts if isinstance(part, dict))


def tokens(text: str) -> int:
    """About as many as a tokenizer would make."""
    return max(1, len(text) // 4)


def error(status: int, message: str = "") -> dict[str, Any]:
    """An error in the API's words."""
    kind = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}.get(status, "server_error")
    return {"error": {"message": message or kind, "type": kind, "param": None, "code": status}}


class Chat:
    """The routes' answers for one server."""

    def __init__(self, models: list[str], *, any_model: bool = False, pause: float = 0.0) -> None:
        self.models = models
        self.any_model = any_model
        self.pause = pause
        self.seconds: list[float] = []
        """How long each answer took."""
        self.running = 0

    def listing(self, _: Request) -> dict[str, Any]:
        """GET /v1/models."""
        data = [{"id": m, "object": "model", "created": now(), "owned_by": "lab"} for m in self.models]
        return {"object": "list", "data": data}

    def complete(self, request: Request) -> Any:
        """POST /v1/chat/completions."""
        faults.meet(request, error)
        asked = request.json()
        model = str(asked.get("model", ""))
        if model not in self.models and not self.any_model:
            raise Refused(404, "", error(404, f"The model `{model}` does not exist."))
        messages = asked.get("messages")
        if not isinstance(messages, list) or not messages:
            raise Refused(400, "", error(400, "messages: at least one is needed"))
        started = time.monotonic()
        found = reply(messages, model, bool(asked.get("tools")))
        if limit := asked.get("max_tokens") or asked.get("max_completion_tokens"):
            found = Reply(found.text[: int(limit) * 4], found.tool, found.arguments)
        usage = self._usage(messages, found)
        base = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": now(), "model": model}
        if not asked.get("stream"):
            self.seconds.append(time.monotonic() - started)
            return _whole(base, found, usage)
        with_usage = bool((asked.get("stream_options") or {}).get("include_usage"))
        stream = events(self._pieces(base, found, usage if with_usage else None, started))
        return Answer(faults.cut(request, stream), type=EVENTS)

    def _usage(self, messages: list[dict[str, Any]], found: Reply) -> dict[str, int]:
        given, made = sum(tokens(content(m)) for m in messages), tokens(found.text + found.arguments)
        return {"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made}

    def _pieces(
        self, base: dict[str, Any], found: Reply, usage: dict[str, int] | None, started: float
    ) -> Iterator[dict[str, Any]]:
        self.running += 1
        try:
            yield _piece(base, {"role": "assistant", "content": ""})
            if found.tool:
                yield _piece(base, {"tool_calls": [{"index": 0, **_call(found)}]})
            for word in found.words if not found.tool else ():
                time.sleep(self.pause)
                yield _piece(base, {"content": word})
            yield _piece(base, {}, "tool_calls" if found.tool else "stop")
            if usage is not None:
                yield {**base, "object": "chat.completion.chunk", "choices": [], "usage": usage}
        finally:
            self.running -= 1
            self.seconds.append(time.monotonic() - started)


def _call(found: Reply) -> dict[str, Any]:
    return {
        "id": f"call_{uuid.uuid4().hex[:12]}",
        "type": "function",
        "function": {"name": found.tool, "arguments": found.arguments},
    }


def _whole(base: dict[str, Any], found: Reply, usage: dict[str, int]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": found.text or None}
    if found.tool:
        message["tool_calls"] = [_call(found)]
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if found.tool else "stop"}
    return {**base, "object": "chat.completion", "choices": [choice], "usage": usage}


def _piece(base: dict[str, Any], delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {**base, "object": "chat.completion.chunk", "choices": [choice]}


def histogram(name: str, labels: str, values: list[float]) -> str:
    """A histogram in Prometheus' text format."""
    bounds = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
    lines = [f"# TYPE {name} histogram"]
    for bound, text in itertools.chain(((b, str(b)) for b in bounds), ((float("inf"), "+Inf"),)):
        lines.append(f'{name}_bucket{{{labels},le="{text}"}} {sum(value <= bound for value in values)}')
    lines += [f"{name}_sum{{{labels}}} {sum(values)}", f"{name}_count{{{labels}}} {len(values)}"]
    return "\n".join(lines) + "\n"


def label(model: str) -> str:
    """A model's label."""
    return f"model_name={json.dumps(model)}"

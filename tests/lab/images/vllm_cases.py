"""What vLLM is asked, and what it answers: the real one and the stand-in alike."""

from dataclasses import dataclass
from typing import Any, Final

MODEL: Final = "lab-chat"
KEY: Final = "key-of-the-tests"
LIMIT: Final = 16384
CHAT: Final = "/v1/chat/completions"
TOOL: Final = {
    "type": "function",
    "function": {"name": "look", "parameters": {"type": "object", "properties": {"at": {"type": "string"}}}},
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One request and its answer."""

    name: str
    body: Any = None
    method: str = "POST"
    path: str = CHAT
    key: str = KEY
    status: int = 400
    kind: str = "BadRequestError"
    param: str | None = None
    message: str = ""
    """How the error's message begins."""
    answer: Any = None
    """The whole body, where it is not an error in OpenAI's shape."""

    def __str__(self) -> str:
        return self.name


def chat(**more: Any) -> dict[str, Any]:
    """A question with a short answer."""
    return {"model": MODEL, "messages": [{"role": "user", "content": "good morning"}], "max_tokens": 4, **more}


def parts(*given: dict[str, Any]) -> list[dict[str, Any]]:
    """A question in parts."""
    return [{"role": "user", "content": [{"type": "text", "text": "what is it?"}, *given]}]


UNAUTHORIZED: Final = {"error": "Unauthorized"}
NOT_FOUND: Final = {"detail": "Not Found"}
REFUSED: Final = (
    Case(name="no key", body=chat(), key="", status=401, answer=UNAUTHORIZED),
    Case(name="wrong key", body=chat(), key="wrong", status=401, answer=UNAUTHORIZED),
    Case(name="models without a key", method="GET", path="/v1/models", key="", status=401, answer=UNAUTHORIZED),
    Case(name="unknown path without a key", path="/v2/rerank", key="", status=401, answer=UNAUTHORIZED),
    Case(name="unknown path", method="GET", path="/v1/nothing", status=404, answer=NOT_FOUND),
    Case(name="no embeddings", path="/v1/embeddings", body={"input": "x"}, status=404, answer=NOT_FOUND),
    Case(name="pause", path="/pause", key="", status=404, answer=NOT_FOUND),
    Case(name="docs", method="GET", path="/docs", key="", status=404, answer=NOT_FOUND),
    Case(name="method", method="GET", status=405, answer={"detail": "Method Not Allowed"}),
    Case(name="open without a key", path="/invocations", body={}, key="", param="prompt", message="Either prompt or"),
    Case(
        name="wrong model", body=chat(model="other"), status=404, kind="NotFoundError", param="model",
        message="The model `other` does not exist.",
    ),
    Case(name="no tools", body=chat(tools=[]), param="tools", message="`tools` must not be an empty array."),
    Case(
        name="choice without tools", body=chat(tool_choice="auto"), param="tool_choice",
        message="When using `tool_choice`, `tools` must be set.",
    ),
    Case(
        name="unknown choice", body=chat(tools=[TOOL], tool_choice="maybe"), param="tool_choice",
        message="Invalid value for `tool_choice`: maybe!",
    ),
    Case(
        name="unknown tool", param="tool_choice", message="The tool specified in `tool_choice` does not match any of",
        body=chat(tools=[TOOL], tool_choice={"type": "function", "function": {"name": "listen"}}),
    ),
    Case(
        name="picture", message=f"{MODEL} is not a multimodal model",
        body=chat(messages=parts({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}})),
    ),
    Case(
        name="sound", message=f"{MODEL} is not a multimodal model",
        body=chat(messages=parts({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}})),
    ),
    Case(
        name="file", param="type", message="Unsupported chat content part type: 'file'. Supported types:",
        body=chat(messages=parts({"type": "file", "file": {"file_id": "x"}})),
    ),
    Case(
        name="too long", body=chat(messages=[{"role": "user", "content": "x" * 5 * LIMIT}], max_tokens=None),
        param="input_tokens", message=f"This model's maximum context length is {LIMIT} tokens. However, you requested",
    ),
    Case(
        name="too much", body=chat(max_tokens=LIMIT + 1), param="max_tokens",
        message=f"max_tokens={LIMIT + 1} cannot be greater than max_model_len=max_total_tokens={LIMIT}.",
    ),
    Case(name="nothing", body=chat(max_tokens=0), param="max_tokens", message="max_tokens must be at least 1, got 0."),
    Case(
        name="temperature", body=chat(temperature=-1), param="temperature",
        message="temperature must be non-negative, got -1.0.",
    ),
    Case(name="no messages", body=chat(messages=[]), message="Cannot apply chat template to an empty conversation."),
    Case(
        name="without messages", body={"model": MODEL}, kind="Bad Request", param="body.messages",
        message="1 validation error:\n  {'type': 'missing', 'loc': 'body.messages'",
    ),
    Case(name="no JSON", body="{x", kind="Bad Request", param="body.1", message="1 validation error:"),
    Case(
        name="options of no stream", body=chat(stream_options={"include_usage": True}), param="stream_options",
        message="Stream options can only be defined when `stream=True`.",
    ),
)  # fmt: skip
METRICS: Final = (
    "num_requests_running",
    "num_requests_waiting",
    "kv_cache_usage_perc",
    "prefix_cache_queries_total",
    "prefix_cache_hits_total",
    "request_success_total",
    "prompt_tokens_total",
    "generation_tokens_total",
    "time_to_first_token_seconds_bucket",
    "inter_token_latency_seconds_bucket",
    "request_time_per_output_token_seconds_bucket",
    "e2e_request_latency_seconds_bucket",
    "request_queue_time_seconds_bucket",
)
"""Below `vllm:`; what alerts and dashboards ask for is among them."""

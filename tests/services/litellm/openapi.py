"""The proxy's own description of the routes that the mesh lets callers reach, with what it leaves out of them."""

from typing import Any

ROUTES = (
    "/v1/chat/completions",
    "/v1/embeddings",
    "/v1/messages",
    "/v1/messages/count_tokens",
    "/v1/models",
    "/v1/models/{model_id}",
    "/v1/responses",
    "/v1/responses/{response_id}",
    "/v1/responses/{response_id}/input_items",
)
CHAT = ["vllm_local", "claude_sonnet", "claude_opus", "claude_small", "openrouter_mixtral"]
_TEXT = {"type": "string"}
_NUMBER = {"type": "number", "minimum": 0, "maximum": 1}
_FEW = {"type": "integer", "minimum": 1, "maximum": 100}
_OBJECT = {"type": "object"}
_FLAG = {"type": "boolean"}
_TOOL = {
    "type": "object",
    "required": ["name", "input_schema"],
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z]{1,9}$"},
        "description": _TEXT,
        "input_schema": _OBJECT,
    },
}
_PART = {
    "type": "object",
    "required": ["type", "text"],
    "properties": {"type": {"enum": ["text"]}, "text": {"type": "string", "minLength": 1}},
}
_CONTENT = {"anyOf": [{"type": "string", "minLength": 1}, {"type": "array", "minItems": 1, "items": _PART}]}
_MESSAGE = {
    "type": "object",
    "required": ["role", "content"],
    "properties": {"role": {"enum": ["user", "assistant"]}, "content": _CONTENT},
}
_MESSAGES = {"type": "array", "minItems": 1, "items": _MESSAGE}
_BODIES: dict[str, tuple[list[str], dict[str, Any]]] = {
    "/v1/messages": (
        ["model", "max_tokens", "messages"],
        {
            "max_tokens": _FEW,
            "messages": _MESSAGES,
            "metadata": {"type": "object", "properties": {"user_id": _TEXT}},
            "stop_sequences": {"type": "array", "items": _TEXT},
            "stream": _FLAG,
            "system": _CONTENT,
            "temperature": _NUMBER,
            "thinking": {"type": "object", "properties": {"type": {"enum": ["disabled"]}}, "required": ["type"]},
            "tool_choice": {"type": "object", "properties": {"type": {"enum": ["auto", "any"]}}, "required": ["type"]},
            "tools": {"type": "array", "items": _TOOL},
            "top_k": _FEW,
            "top_p": _NUMBER,
        },
    ),
    "/v1/messages/count_tokens": (
        ["model", "messages"],
        {
            "messages": _MESSAGES,
            "system": _CONTENT,
            "tools": {"type": "array", "items": _TOOL},
            "thinking": _OBJECT,
        },
    ),
    "/v1/responses": (
        ["model", "input"],
        {
            "input": {"anyOf": [_TEXT, _MESSAGES]},
            "instructions": _TEXT,
            "max_output_tokens": _FEW,
            "metadata": _OBJECT,
            "previous_response_id": _TEXT,
            "reasoning": _OBJECT,
            "store": _FLAG,
            "stream": _FLAG,
            "temperature": _NUMBER,
            "text": _OBJECT,
            "tool_choice": {"enum": ["auto", "none", "required"]},
            "tools": {"type": "array", "items": {**_OBJECT, "required": ["type"], "properties": {"type": _TEXT}}},
            "top_p": _NUMBER,
            "user": _TEXT,
        },
    ),
}
"""LiteLLM's description says nothing of these routes' bodies."""


_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type"],
            "properties": {"message": {"type": "string", "minLength": 1}, "type": _TEXT},
        }
    },
}
_ANSWERS = {
    "200": {"description": "An answer."},
    "4XX": {"description": "An error.", "content": {"application/json": {"schema": _ERROR}}},
}
"""No other: a stand-in that answers well leaves no reason for a 5xx."""


def reachable(whole: dict[str, Any]) -> dict[str, Any]:
    """The description of these routes alone, with the names of our models: others are refused before anything else."""
    paths = {route: whole["paths"][route] for route in ROUTES}
    for route, (required, properties) in _BODIES.items():
        schema = {"type": "object", "required": required, "properties": {"model": _TEXT, **properties}}
        paths[route]["post"]["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    for operation in (operation for path in paths.values() for operation in path.values()):
        operation["responses"] = _ANSWERS
    for route in ROUTES:
        if "post" not in paths[route]:
            continue
        names = ["local_bge"] if "embeddings" in route else CHAT
        schema = paths[route]["post"]["requestBody"]["content"]["application/json"]["schema"]
        schema["properties"]["model"] = {"type": "string", "enum": names}
    return {**whole, "paths": paths}

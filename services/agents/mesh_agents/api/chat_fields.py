"""What becomes of each field of OpenAI's chat request: passed on to the model, answered here, or refused by name.

A test walks all fields of the official client's types, so that a new one is decided about and never just dropped.
Fields that are not OpenAI's are left out: the proxy has some of its own, like another address or key for a model, that
are not for callers.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from mesh_agents.api.fields import Fate, Field, answered, refuse_fields, refused, unsupported
from mesh_agents.errors import ApiError

_PASSED: Final = Field(Fate.PASSED)
_ONE_TIER: Final = "there is one tier of service; every value gets it"
_TENANT: Final = "the proxy is told the caller's tenant instead, which comes from the key"
_CACHE: Final = "a hint for a provider's cache; the proxy sets up caching by itself"
_FUNCTIONS: Final = "functions and function_call are no longer supported; use tools and tool_choice"

FIELDS: Final[Mapping[str, Field]] = {
    "audio": refused("answers are text; have one spoken at /v1/audio/speech"),
    "frequency_penalty": _PASSED,
    "function_call": refused(_FUNCTIONS),
    "functions": refused(_FUNCTIONS, lambda value: not value),
    "logit_bias": _PASSED,
    "logprobs": _PASSED,
    "max_completion_tokens": _PASSED,
    "max_tokens": _PASSED,
    "messages": answered("of every role, with text, image, audio and file parts"),
    "metadata": answered("`route` forces a route; the rest is taken and ignored"),
    "modalities": refused(
        "answers are text: leave modalities out or send ['text']; have an answer spoken at /v1/audio/speech",
        lambda value: value in (None, [], ["text"]),
    ),
    "model": answered("`auto`, a route or a model of /v1/models"),
    "moderation": refused("answers are not moderated here; leave moderation out"),
    "n": _PASSED,
    "parallel_tool_calls": _PASSED,
    "prediction": answered("only makes an answer faster, and none of the models makes use of it"),
    "presence_penalty": _PASSED,
    "prompt_cache_key": answered(_CACHE),
    "prompt_cache_options": answered(_CACHE),
    "prompt_cache_retention": answered(_CACHE),
    "reasoning_effort": _PASSED,
    "response_format": _PASSED,
    "safety_identifier": answered(_TENANT),
    "seed": _PASSED,
    "service_tier": answered(_ONE_TIER),
    "stop": _PASSED,
    "store": answered("nothing of a chat is stored; /v1/runs keeps its results"),
    "stream": answered("server-sent events"),
    "stream_options": answered("include_usage; no obfuscation is ever added"),
    "temperature": _PASSED,
    "tool_choice": _PASSED,
    "tools": _PASSED,
    "top_logprobs": _PASSED,
    "top_p": _PASSED,
    "user": answered(_TENANT),
    "verbosity": _PASSED,
    "web_search_options": refused("no model searches the web here; give it a tool of yours that does"),
}
"""Every field of OpenAI's request."""

PASSED_ON: Final = frozenset(name for name, field in FIELDS.items() if field.fate is Fate.PASSED)
"""Parameters of the model."""

_NOT_CHAT: Final = {
    "local_bge": "/v1/embeddings",
    "whisper-1": "/v1/audio/transcriptions",
    "tts-1": "/v1/audio/speech",
}
"""Models that are listed and do not chat, and where they are asked."""
_LOCAL: Final = "vllm_local"
MODEL_ONLY: Final[Mapping[str, Callable[[Any], bool]]] = {
    "n": lambda value: (value or 1) == 1,
    "logprobs": lambda value: not value,
    "top_logprobs": lambda value: not value,
    "logit_bias": lambda value: not value,
}
"""Passed fields that Anthropic's models do not know, and without which the answer would be another than was asked for;
with the values that ask for nothing special. The proxy would leave them out in silence (LiteLLM's `drop_params`;
`litellm/llms/anthropic/chat/transformation.py`, `get_supported_openai_params`). Left out all the same: `seed`, which is
a best effort with every provider, and the penalties, which only lean an answer."""


def refuse(given: Mapping[str, Any]) -> None:
    """Refuse what a request may not ask for; `given` are the fields that the caller sent.

    Raises:
        ApiError: 400, names the field and what to do instead.

    """
    if path := _NOT_CHAT.get(given.get("model", "")):
        told = f"{given['model']} does not chat; it is for {path}"
        raise ApiError(400, told, code="model_not_supported", param="model")
    refuse_fields(FIELDS, given)
    if given.get("tools") or given.get("tool_choice") in (None, "none", "auto"):
        return
    raise ApiError(400, "tool_choice needs tools to choose from", code="invalid_value", param="tool_choice")


def fit(model: str, given: Mapping[str, Any]) -> None:
    """Refuse what the model that was chosen cannot do and the proxy would leave out in silence.

    Raises:
        ApiError: 400, names the field and a model that can.

    """
    if not model.startswith("claude_"):
        return
    for name, harmless in MODEL_ONLY.items():
        if not harmless(given.get(name)):
            raise unsupported(name, f"{model} does not support {name}; ask the model {_LOCAL} or leave it out")


def parameters(given: Mapping[str, Any]) -> dict[str, Any]:
    """What is passed on to a model; nothing that says nothing, which some models' servers refuse."""
    told = {name: value for name, value in given.items() if name in PASSED_ON and value is not None}
    if not told.get("tools"):
        for name in ("tools", "tool_choice", "parallel_tool_calls"):
            told.pop(name, None)
    if told.get("stop") in ([], ""):
        del told["stop"]
    if not told.get("logprobs"):
        told.pop("top_logprobs", None)
    return told

"""Requests that vLLM 0.30.0 rejects, with its error texts; `tests/lab/images/test_vllm.py` asks the real one too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from lab.images.standins.common import Refused
from lab.images.standins.openai import content, tokens

_PARTS: Final = (
    "audio_embeds, audio_url, image_embeds, image_pil, image_url, input_audio, input_image, input_text, output_text, "
    "prompt_embeds, refusal, text, thinking, tool_reference, video_embeds, video_url"
)
_TEXTS: Final = frozenset({"text", "input_text", "output_text", "refusal", "thinking"})
"""vllm/entrypoints/chat_utils.py: the parts that a text-only model reads."""


def refuse(message: str, param: str | None = None, *, kind: str = "BadRequestError", status: int = 400) -> Refused:
    """An error in vLLM's shape (vllm/entrypoints/serve/engine/protocol.py, `ErrorResponse`)."""
    return Refused(status, "", {"error": {"message": message, "type": kind, "param": param, "code": status}})


def check_request(asked: Mapping[str, Any]) -> None:
    """What the request's model refuses (vllm/entrypoints/openai/chat_completion/protocol.py).

    Raises:
        Refused: with vLLM's words.

    """
    if "messages" not in asked:
        raise refuse(
            "1 validation error:\n  {'type': 'missing', 'loc': 'body.messages', 'msg': 'Field required'}",
            "body.messages",
            kind="Bad Request",
        )
    if asked.get("stream_options") and not asked.get("stream"):
        raise refuse(
            "Stream options can only be defined when `stream=True`. (parameter=stream_options)", "stream_options"
        )
    offered, choice = asked.get("tools"), asked.get("tool_choice")
    if offered == []:
        raise refuse(
            "`tools` must not be an empty array. Either provide at least one tool or omit the field entirely. "
            "(parameter=tools)",
            "tools",
        )
    if choice not in (None, "none"):
        if not offered:
            raise refuse("When using `tool_choice`, `tools` must be set. (parameter=tool_choice)", "tool_choice")
        if choice not in ("auto", "required") and not isinstance(choice, dict):
            raise refuse(
                f'Invalid value for `tool_choice`: {choice}! Only named tools, "none", "auto" or "required" '
                "are supported. (parameter=tool_choice)",
                "tool_choice",
            )
        named = (choice.get("function") or {}).get("name") if isinstance(choice, dict) else None
        if named and named not in [tool.get("function", {}).get("name") for tool in offered]:
            raise refuse(
                "The tool specified in `tool_choice` does not match any of the specified `tools` "
                "(parameter=tool_choice)",
                "tool_choice",
            )


def check_choice(asked: Mapping[str, Any], *, tools: bool) -> None:
    """Tools without a parser to read their calls (vllm/renderers/online_renderer.py, `render_chat`).

    Raises:
        Refused: with vLLM's words.

    """
    choice = asked.get("tool_choice", "auto" if asked.get("tools") else None)
    if tools or choice in (None, "none"):
        return
    if choice == "auto":
        raise refuse('"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set')
    words = f'"{choice}"' if isinstance(choice, str) else f'function "{choice["function"]["name"]}"'
    raise refuse(f"tool_choice={words} requires --tool-call-parser to be set")


def check_messages(messages: Any, model: str) -> None:
    """Parts that the model cannot read (vllm/entrypoints/chat_utils.py).

    Raises:
        Refused: with vLLM's words.

    """
    if not messages:
        raise refuse("Cannot apply chat template to an empty conversation. Provide at least one message.")
    for message in messages:
        parts = message.get("content")
        for part in parts if isinstance(parts, list) else ():
            kind = part.get("type")
            if kind not in _PARTS.split(", "):
                raise refuse(
                    f"Unsupported chat content part type: {kind!r}. Supported types: {_PARTS}. "
                    f"(parameter=type, value={kind})",
                    "type",
                )
            if kind not in _TEXTS:
                raise refuse(f"{model} is not a multimodal model")


def check_length(asked: Mapping[str, Any], limit: int) -> None:
    """Limits of the context and of sampling (vllm/renderers/params.py, vllm/sampling_params.py).

    Raises:
        Refused: with vLLM's words.

    """
    most = asked.get("max_completion_tokens") or asked.get("max_tokens")
    if most is not None and most > limit:
        raise refuse(
            f"max_tokens={most} cannot be greater than max_model_len=max_total_tokens={limit}. Please request fewer "
            f"output tokens. (parameter=max_tokens, value={most})",
            "max_tokens",
        )
    given = sum(tokens(content(message)) for message in asked["messages"])
    if given > limit:
        raise refuse(
            f"This model's maximum context length is {limit} tokens. However, you requested 0 output tokens and your "
            f"prompt contains at least {given} input tokens, for a total of at least {given} tokens. Please reduce "
            "the length of the input prompt or the number of requested output tokens. "
            f"(parameter=input_tokens, value={given})",
            "input_tokens",
        )
    if asked.get("max_tokens") == 0:
        raise refuse("max_tokens must be at least 1, got 0. (parameter=max_tokens, value=0)", "max_tokens")
    warmth = asked.get("temperature")
    if warmth is not None and warmth < 0:
        warmth = float(warmth)
        raise refuse(
            f"temperature must be non-negative, got {warmth}. (parameter=temperature, value={warmth})", "temperature"
        )

"""Which configured model answers for the names that clients of OpenAI and Anthropic send."""

import re
from collections.abc import Mapping
from typing import Any, Final

from settings.checks import Check, NotAllowedError

OFFERED: Final = (
    "vllm_local",
    "claude_sonnet",
    "claude_opus",
    "claude_small",
    "openrouter_mixtral",
    "local_bge",
)
"""The model proxy's own names."""

KNOWN: Final[Mapping[str, str]] = {
    # Claude answers for Claude of any version: the same provider, the same class of model, the same order of price.
    "claude*opus*": "claude_opus",
    "claude*sonnet*": "claude_sonnet",
    "claude*haiku*": "claude_small",
    "claude*": "claude_sonnet",
    # No model of OpenAI's is configured: the one on our own GPU answers, which costs nothing.
    "gpt-*": "vllm_local",
    "chatgpt-*": "vllm_local",
    "o[0-9]*": "vllm_local",
    # There is one embedding model.
    "text-embedding-*": "local_bge",
}
"""Pattern of a client's name, as in a shell -> the model that answers for it. The first that matches counts."""

_EXAMPLE: Final = {"gpt-4o": "claude_sonnet", "o[0-9]*": ""}
_PATTERN: Final = re.compile(r"[A-Za-z0-9*?\[\]!./:_@-]{1,128}")


def _names(value: object) -> Mapping[str, str]:
    if not isinstance(value, dict):
        raise NotAllowedError
    for pattern, model in value.items():
        if _PATTERN.fullmatch(str(pattern)) is None or model not in ("", *OFFERED):
            raise NotAllowedError
    return dict(value)


NAMES: Final = Check[Mapping[str, str]](
    f"an object of client's name or pattern -> one of {', '.join(OFFERED)}, or an empty text: refused",
    str(_EXAMPLE).replace("'", '"'),
    _names,
)


def with_known(given: Mapping[str, str], configured: Mapping[str, str]) -> Mapping[str, str]:
    """The whole table: what the configuration gives, the real names of the configured models, the known patterns."""
    table: dict[str, Any] = dict(given)
    for more in (configured, KNOWN):
        for pattern, model in more.items():
            table.setdefault(pattern, model)
    return table

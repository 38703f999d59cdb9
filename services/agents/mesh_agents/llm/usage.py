"""What model calls used, in tokens."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

Usage = Mapping[str, Any]
"""Tokens, under OpenAI's names."""
_CHARACTERS: Final = 4
"""Of a token, about."""


def tokens(usage: Any) -> tuple[int, int]:
    """Tokens in and out; what is no number counts as none."""
    given = usage if isinstance(usage, dict) else {}
    read, written = (given.get(name) for name in ("prompt_tokens", "completion_tokens"))
    return _amount(read), _amount(written)


def usage_of(tokens_in: int, tokens_out: int) -> dict[str, Any]:
    """As callers see it."""
    return {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in + tokens_out}


def together(calls: Iterable[Usage | None]) -> dict[str, Any]:
    """The sum of several calls; of a single one all that the proxy told, such as how much of it was cached."""
    told = [call for call in calls if call]
    pairs = [tokens(call) for call in told]
    total = usage_of(sum(pair[0] for pair in pairs), sum(pair[1] for pair in pairs))
    return {**told[0], **total} if len(told) == 1 else total


def counted(usage: Any, payload: Mapping[str, Any], said: int) -> dict[str, Any]:
    """`usage` as the proxy counts it; where it does not, an estimate."""
    return usage if any(tokens(usage)) else estimate(payload, said)


def estimate(payload: Mapping[str, Any], said: int) -> dict[str, Any]:
    """By the length of what was asked, and of the `said` characters that were answered."""
    asked = sum(len(text) for message in payload["messages"] for text in _texts(message.get("content")))
    return usage_of(-(-asked // _CHARACTERS), -(-said // _CHARACTERS))


def _amount(value: Any) -> int:
    return max(0, value) if isinstance(value, int) else 0


def _texts(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        yield from (str(part.get("text") or "") for part in content)

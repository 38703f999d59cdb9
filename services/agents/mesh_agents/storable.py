"""Text that Postgres can keep. What models and tools answer is of others' making, and may hold what it cannot."""

from typing import Any, Final

_INSTEAD: Final = "\ufffd"


def storable(text: str) -> str:
    """`text` with a mark in place of each NUL and of each half of a surrogate pair."""
    return text.replace("\0", _INSTEAD).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def is_storable(value: Any) -> bool:
    """Whether that is so of every text in `value`, at any depth."""
    left = [value]
    while left:
        part = left.pop()
        if isinstance(part, str):
            if storable(part) != part:
                return False
        elif isinstance(part, dict):
            left += [*part, *part.values()]
        elif isinstance(part, list):
            left += part
    return True

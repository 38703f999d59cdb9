"""Property values as a policy pack gets them, made plain.

Three things differ from what the program wrote. A secret arrives as its plain value, without its mark, so no rule can
tell that a value was secret and none may repeat a value in its message unless it is harmless. A value that is not known
yet arrives as one of a few fixed strings. And a stack rule sees a resource's outputs: there, an input that was left
out is not known yet as well, so only a resource rule can tell "absent" from "not known".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pulumi_policy import proxy

Props = Mapping[str, Any]
ResourceRule = Callable[[str, Props], Iterator[str]]


class Unknown(Mapping[str, Any]):
    """A value that only a deploy reveals. It equals nothing, and so do its parts.

    A rule states what it allows; what is not known is then refused without a word about it in the rule.
    """

    def __getitem__(self, key: str) -> Any:
        """Any part of it is as unknown."""
        return self

    def __iter__(self) -> Iterator[str]:
        """No part of it can be named."""
        return iter(())

    def __len__(self) -> int:
        """As `__iter__`."""
        return 0

    def __bool__(self) -> bool:
        """It was given, although its value is not known."""
        return True

    def __repr__(self) -> str:
        """As it reads in a message."""
        return "not known at plan time"

    def __eq__(self, other: object) -> bool:
        """Equal to itself alone, where a Mapping would equal any empty one."""
        return self is other

    def __hash__(self) -> int:
        """By identity."""
        return id(self)


UNKNOWN: Final = Unknown()

_UNKNOWN_MARKS: Final = frozenset(
    value for name, value in vars(proxy).items() if name.startswith("UNKNOWN_") and isinstance(value, str)
)


def plain(value: Any) -> Any:
    """A value freed from the SDK's wrappers, which raise on what is not known and end the whole rule unheard."""
    if isinstance(value, str):
        return UNKNOWN if value in _UNKNOWN_MARKS else value
    if isinstance(value, Unknown):
        return value
    if isinstance(value, Mapping):
        target = value if isinstance(value, dict) else value["__target"]
        return {key: plain(item) for key, item in target.items()}
    if isinstance(value, Sequence):
        wrapped: Any = value
        return [plain(item) for item in (value if isinstance(value, list) else wrapped["__target"])]
    return value


def listed(props: Props, key: str) -> list[Any]:
    """The entries of a list; one that is not known as a whole counts as one entry that is not known."""
    value = props.get(key)
    if isinstance(value, Unknown):
        return [value]
    return value if isinstance(value, list) else []


def pairs(props: Props, key: str) -> dict[str, Any]:
    """A list of `{label, value}`, as the Docker provider has labels, as a mapping."""
    return {entry["label"]: entry.get("value") for entry in listed(props, key) if isinstance(entry.get("label"), str)}


def whole(value: Any) -> int | None:
    """A number, which travels as a float, as an integer."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return int(value)
    return None


def show(value: Any) -> str:
    """A harmless value as it reads in a message."""
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return ", ".join(show(item) for item in value) or "empty"
    return str(value) if isinstance(value, str) else repr(value)


def finding(name: str, what: str, fix: str) -> str:
    """The message of a violation: where, what, and the fix."""
    return f"{name}: {what}. Fix: {fix}."


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A resource as a stack rule sees it."""

    type: str
    name: str
    urn: str
    props: Props
    uses: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Property -> URNs of the resources that its value comes from."""


StackRule = Callable[[Sequence[Resource]], Iterator[tuple[str, str]]]
"""Yields the URN of the resource at fault, or an empty one, and the message."""

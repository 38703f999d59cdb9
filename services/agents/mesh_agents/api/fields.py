"""Tables of what becomes of a request's fields: passed on, answered here, or refused by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mesh_agents.errors import ApiError


class Fate(StrEnum):
    """What becomes of a field."""

    PASSED = "passed"
    """Whoever serves the request gets it; the model proxy leaves out what a model's provider does not know."""
    ANSWERED = "answered"
    """Honoured here, or asking for what is so anyway."""
    REFUSED = "refused"


@dataclass(frozen=True)
class Field:
    """A field's fate; `why` is for readers, and what a caller is told where it is refused."""

    fate: Fate
    why: str = ""
    harmless: Callable[[Any], bool] = lambda value: value is None
    """Of a refused one: the values that ask for nothing special."""


def answered(why: str) -> Field:
    """A field that needs nobody else."""
    return Field(Fate.ANSWERED, why)


def refused(why: str, harmless: Callable[[Any], bool] = lambda value: value is None) -> Field:
    """A field that has no place here, but for values that are `harmless`."""
    return Field(Fate.REFUSED, why, harmless)


def refuse_fields(fields: Mapping[str, Field], given: Mapping[str, Any]) -> None:
    """Refuse the first of the `given` fields that has no place here.

    Raises:
        ApiError: 400, names the field and says what to do instead.

    """
    for name, value in given.items():
        field = fields.get(name)
        if field and field.fate is Fate.REFUSED and not field.harmless(value):
            raise unsupported(name, field.why)


def unsupported(name: str, why: str) -> ApiError:
    """400 for a field that has no place here."""
    return ApiError(400, why, code="unsupported_parameter", param=name)

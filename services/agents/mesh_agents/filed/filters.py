"""Filters of a search by the attributes of files, in OpenAI's form."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, Field

MAX_DEPTH: Final = 5
_Value = str | bool | float


class Comparison(BaseModel):
    """An attribute beside a value, or a list of them."""

    type: Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"]
    key: Annotated[str, Field(max_length=64)]
    value: _Value | Annotated[list[_Value], Field(max_length=1000)]


class Compound(BaseModel):
    """Several filters, of which all or any must fit."""

    type: Literal["and", "or"]
    filters: Annotated[list["Comparison | Compound"], Field(min_length=1, max_length=50)]


Filter = Comparison | Compound

_ORDERS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "gt": lambda mine, given: mine > given,
    "gte": lambda mine, given: mine >= given,
    "lt": lambda mine, given: mine < given,
    "lte": lambda mine, given: mine <= given,
}


def fits(attributes: Mapping[str, Any], wanted: Filter) -> bool:
    """Whether a file's attributes fit. One that is missing, or of another kind, fits only `ne` and `nin`."""
    if isinstance(wanted, Compound):
        join = all if wanted.type == "and" else any
        return join(fits(attributes, one) for one in wanted.filters)
    mine, given = attributes.get(wanted.key), wanted.value
    if wanted.type in ("in", "nin"):
        listed = given if isinstance(given, list) else [given]
        return any(_same(mine, one) for one in listed) == (wanted.type == "in")
    if wanted.type in ("eq", "ne"):
        return _same(mine, given) == (wanted.type == "eq")
    kinds = [
        float if isinstance(one, int | float) and not isinstance(one, bool) else type(one) for one in (mine, given)
    ]
    return kinds[0] is kinds[1] and kinds[0] in (float, str) and _ORDERS[wanted.type](mine, given)


def _same(mine: Any, given: Any) -> bool:
    """Equal, where `True` is not 1."""
    return isinstance(mine, bool) == isinstance(given, bool) and bool(mine == given)

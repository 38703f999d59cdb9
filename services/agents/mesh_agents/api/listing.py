"""What OpenAI's lists have in common."""

from datetime import datetime
from typing import Annotated, Final, Literal

from fastapi import Depends, Query
from pydantic import AfterValidator, Field

from mesh_agents.errors import ApiError
from mesh_agents.filed.rows import Page
from mesh_agents.storable import is_storable

MAX_METADATA: Final = 16


def _storable(text: str) -> str:
    if not is_storable(text):
        raise ValueError("it holds a NUL, or half of a surrogate pair")
    return text


Name = Annotated[str, Field(min_length=1, max_length=512), AfterValidator(_storable)]
Key = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_storable)]
Value = Annotated[str, Field(max_length=512), AfterValidator(_storable)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Metadata = Annotated[dict[Key, Value], Field(max_length=MAX_METADATA)]
Attributes = Annotated[dict[Key, bool | Number | Value], Field(max_length=MAX_METADATA)]
_Cursor = Annotated[str | None, Query(max_length=100)]


async def _page(
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    order: Literal["asc", "desc"] = "desc",
    after: _Cursor = None,
    before: _Cursor = None,
) -> Page:
    return Page(limit, order, after, before)


PageDep = Annotated[Page, Depends(_page)]


def seconds(at: datetime) -> int:
    """As OpenAI tells a time."""
    return int(at.timestamp())


def absent(what: str, name: str) -> ApiError:
    """404: no such thing, or it is another tenant's."""
    shown = name[:100]
    return ApiError(404, f"there is no {what} {shown!r}", code="not_found", param=f"{what.replace(' ', '_')}_id")

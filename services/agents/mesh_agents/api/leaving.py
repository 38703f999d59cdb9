"""Work ends with the caller who wanted it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from starlette.types import Receive

from mesh_agents.errors import ApiError

HUNG_UP: Final = 499
"""No caller sees it; metrics and log do."""


class LeftError(ApiError):
    """The caller hung up."""

    def __init__(self) -> None:
        super().__init__(HUNG_UP, "the caller hung up", code="caller_left")


@asynccontextmanager
async def while_there(receive: Receive) -> AsyncIterator[None]:
    """Stop what is done within when the caller hangs up. The request's body must have been read.

    Raises:
        LeftError: it did.

    """
    working = asyncio.current_task()
    left = False

    async def watch() -> None:
        nonlocal left
        while (await receive())["type"] != "http.disconnect":
            pass
        left = True
        if working:
            working.cancel()

    watching = asyncio.create_task(watch())
    try:
        yield
    except asyncio.CancelledError:
        if not left or (working and working.uncancel()):
            raise
        raise LeftError from None
    finally:
        watching.cancel()

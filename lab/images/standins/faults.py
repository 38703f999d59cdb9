"""Faults that a test switches on in a stand-in of a model's API: by a header for one request, by a file for all.

`slow[:SECONDS]` waits before the answer, `429`, `500`, `503` and any other status refuse, `cut[:EVENTS]` ends the
connection in the middle of a stream, `hang` never answers. The file holds the same words; removed, all is well again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from lab.images.standins.common import CutError, Refused, Request, status_text

HEADER: Final = "x-lab-fault"
FILE: Final = Path(os.environ.get("STAND_IN_FAULT_FILE", "/tmp/fault"))  # noqa: S108 - the container's own tmpfs
HANG_SECONDS: Final = 3600


def fault(request: Request) -> tuple[str, float]:
    """(kind, number) of the fault that this request meets; kind is empty where it meets none."""
    said = request.header(HEADER)
    if not said and FILE.exists():
        said = FILE.read_text().strip()
    kind, _, number = said.partition(":")
    return kind, float(number or 0)


def meet(request: Request, error: Any = None) -> None:
    """Wait or refuse, as the fault has it."""
    kind, number = fault(request)
    if kind == "slow":
        time.sleep(number or 5)
    elif kind == "hang":
        time.sleep(HANG_SECONDS)
    elif kind.isdigit():
        status = int(kind)
        body = error(status) if error else {"error": {"message": status_text(status), "code": status}}
        raise Refused(status, status_text(status), body, {"retry-after": "1"} if status == 429 else None)


def cut(request: Request, blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The stream, or the beginning of it."""
    kind, number = fault(request)
    for sent, block in enumerate(blocks):
        if kind == "cut" and sent >= (number or 2):
            raise CutError
        yield block

"""Asks at a steady rate, each time on a new connection, and writes down how each request went.

python -m lab.bench.reader HOST:PORT HOST-HEADER METHOD PATH RATE SECONDS
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from engine.root import CHECKOUT

PATIENCE: Final = 20.0
"""Seconds after which a reader gives up."""


@dataclass(frozen=True)
class Asked:
    """One request."""

    at: float
    """When it was sent, seconds of the epoch."""
    ended: float
    status: int
    """0: none came."""

    @property
    def answered(self) -> bool:
        """By an app, not by a proxy for want of one."""
        return 0 < self.status < 500


async def _ask(address: tuple[str, int], head: bytes, found: list[Asked]) -> None:
    at, status = time.time(), 0
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection(*address)
            writer.write(head)
            first = await reader.readline()
            await reader.read()
            writer.close()
            status = int(first.split()[1]) if first else 0
    except (OSError, TimeoutError):
        pass
    found.append(Asked(at, time.time(), status))


async def _run(address: str, host: str, method: str, path: str, rate: float, seconds: float) -> list[Asked]:
    name, _, port = address.partition(":")
    head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode()
    found: list[Asked] = []
    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number in range(int(rate * seconds)):
            await asyncio.sleep(began + number / rate - time.monotonic())
            group.create_task(_ask((name, int(port)), head, found))
    return sorted(found, key=lambda asked: asked.at)


class Reader:
    """A process that asks, somewhere."""

    def __init__(
        self, prefix: Sequence[str], to: str, host: str, method: str, path: str, rate: float, seconds: float
    ) -> None:
        """Begin."""
        words = [sys.executable, "-m", "lab.bench.reader", to, host, method, path, str(rate), str(seconds)]
        self._process = subprocess.Popen([*prefix, *words], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True)

    def result(self) -> list[Asked]:
        """All that it asked, in that order, once it is done."""
        output, _ = self._process.communicate()
        return [Asked(*row) for row in json.loads(output)]


def main() -> None:
    """Ask."""
    address, host, method, path, rate, seconds = sys.argv[1:]
    found = asyncio.run(_run(address, host, method, path, float(rate), float(seconds)))
    print(json.dumps([[asked.at, asked.ended, asked.status] for asked in found]))


if __name__ == "__main__":
    main()

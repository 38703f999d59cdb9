"""A limit of runs at one time, with a queue of limited length and time."""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus

from interpreter.api.errors import ApiError
from interpreter.api.metrics import ServiceMetrics


class Gate:
    """Lets runs in, first come first served."""

    def __init__(self, metrics: ServiceMetrics, *, runs: int, queue: int, seconds: float) -> None:
        self._metrics = metrics
        self._slots = asyncio.Semaphore(runs)
        self._queue = queue
        self._seconds = seconds
        self._waiting = 0

    async def enter(self) -> None:
        """Wait for a slot and take it; ApiError 429 where that takes too long."""
        if self._slots.locked() and self._waiting >= self._queue:
            raise self._busy("queue_full", "Too many runs are waiting; try again later.")
        started = time.monotonic()
        self._waiting += 1
        self._metrics.waiting.set(self._waiting)
        try:
            async with asyncio.timeout(self._seconds):
                await self._slots.acquire()
        except TimeoutError as error:
            raise self._busy("queue_timeout", "No run ended in time; try again later.") from error
        finally:
            self._waiting -= 1
            self._metrics.waiting.set(self._waiting)
        self._metrics.queue_seconds.observe(time.monotonic() - started)
        self._metrics.running.inc()

    def leave(self) -> None:
        """Give the slot to the next."""
        self._metrics.running.dec()
        self._slots.release()

    def _busy(self, code: str, message: str) -> ApiError:
        self._metrics.refused.labels(code).inc()
        return ApiError(HTTPStatus.TOO_MANY_REQUESTS, code, message, retry_after=5)

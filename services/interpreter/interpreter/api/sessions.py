"""Open sessions: boxes that outlive a run."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from interpreter.api.errors import ApiError
from interpreter.api.metrics import ServiceMetrics
from interpreter.boxes import Box, Zygote
from interpreter.limits import MAX_SESSION_SECONDS, Limits

_LOOK_SECONDS: Final = 0.5


@dataclass
class Session:
    """A box with a time to live."""

    id: str
    box: Box
    ttl_seconds: int
    idle_since: float = field(default_factory=time.time)
    opened: float = field(default_factory=time.time)
    busy: bool = False

    @property
    def expires_at(self) -> float:
        """When it ends if nothing runs in it until then."""
        return min(self.idle_since + self.ttl_seconds, self.opened + MAX_SESSION_SECONDS)


class Sessions:
    """All of them."""

    def __init__(self, zygote: Zygote, metrics: ServiceMetrics, limits: Limits, most: int) -> None:
        self._zygote = zygote
        self._metrics = metrics
        self._limits = limits
        self._most = most
        self._open: dict[str, Session] = {}
        # Counted until the box is gone: what it holds is held till then.
        self._held = 0

    async def open(self, ttl_seconds: int) -> Session:
        """A new session; ApiError 429 where there are enough."""
        if self._held >= self._most:
            self._metrics.refused.labels("sessions_full").inc()
            message = f"All {self._most} sessions are in use; close one or try again later."
            raise ApiError(HTTPStatus.TOO_MANY_REQUESTS, "sessions_full", message, retry_after=30)
        self._held += 1
        try:
            box = await self._zygote.open(self._limits)
        except BaseException:
            self._held -= 1
            raise
        session = Session(secrets.token_hex(16), box, ttl_seconds)
        self._open[session.id] = session
        self._metrics.sessions.set(len(self._open))
        return session

    def find(self, name: str) -> Session:
        """An open session; ApiError 404."""
        session = self._open.get(name)
        if session is None or session.box.closed.is_set():
            raise ApiError(HTTPStatus.NOT_FOUND, "session_not_found", "There is no such session, or it has ended.")
        return session

    async def close(self, session: Session) -> None:
        """End it and what runs in it."""
        if self._open.pop(session.id, None) is not None:
            self._metrics.sessions.set(len(self._open))
            try:
                await session.box.close()
            finally:
                self._held -= 1

    async def expire(self) -> None:
        """Close what has been idle too long, or has ended by itself; runs for ever."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            now = time.time()
            over = [
                session
                for session in self._open.values()
                if session.box.closed.is_set() or (session.expires_at <= now and not session.busy)
            ]
            await asyncio.gather(*map(self.close, over), return_exceptions=True)

    async def close_all(self) -> None:
        """For the server's end."""
        await asyncio.gather(*map(self.close, list(self._open.values())), return_exceptions=True)

"""Runs what a request asks for: in a box of its own, or in a session's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from http import HTTPStatus
from typing import Any

from interpreter import frames
from interpreter.api.errors import ApiError
from interpreter.api.gate import Gate
from interpreter.api.metrics import ServiceMetrics
from interpreter.api.models import ExecuteRequest, ExecuteResponse
from interpreter.api.sessions import Sessions
from interpreter.boxes import Box, BoxGoneError, Zygote
from interpreter.limits import Limits


class Runner:
    """Brings requests and boxes together."""

    def __init__(self, zygote: Zygote, sessions: Sessions, gate: Gate, metrics: ServiceMetrics, limits: Limits) -> None:
        self._zygote = zygote
        self._sessions = sessions
        self._gate = gate
        self._metrics = metrics
        self._limits = limits
        self._closing: set[asyncio.Task[None]] = set()

    async def execute(self, request: ExecuteRequest) -> ExecuteResponse:
        """One run. Cancelled, it leaves nothing behind."""
        if request.session_id is not None:
            return await self._in_session(request, request.session_id)
        await self._gate.enter()
        try:
            box = await self._zygote.open(self._limits)
        except BaseException:
            self._gate.leave()
            raise
        try:
            reply = await box.execute(request.to_warden(final=True))
        except BoxGoneError:
            reply = _gone()
        finally:
            # Nobody has to wait for that; also where the caller has gone away.
            self._in_background(self._dispose(box))
        return self._answer(request, reply)

    async def _dispose(self, box: Box) -> None:
        """The slot is free again when the box is gone, not before."""
        try:
            await box.close()
        finally:
            self._gate.leave()

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Wait for what goes on in the background."""
        await asyncio.gather(*self._closing, return_exceptions=True)

    async def _in_session(self, request: ExecuteRequest, name: str) -> ExecuteResponse:
        session = self._sessions.find(name)
        if session.busy:
            raise ApiError(HTTPStatus.CONFLICT, "session_busy", "The session is running something else.")
        session.busy = True
        ended = False
        try:
            await self._gate.enter()
            ended = True  # unless it answers
            try:
                reply = await session.box.execute(request.to_warden(final=False))
            except BoxGoneError:
                reply = _gone()
            finally:
                self._gate.leave()
            ended = bool(reply["ended"])
        finally:
            session.busy = False
            session.idle_since = time.time()
            if ended:
                self._in_background(self._sessions.close(session))
        return self._answer(request, reply)

    def _answer(self, request: ExecuteRequest, reply: frames.Message) -> ExecuteResponse:
        if "refused" in reply:
            raise ApiError(HTTPStatus.CONFLICT, "file_conflict", f"A file cannot be written: {reply['refused']}")
        ended = reply.pop("ended")
        session = request.session_id
        answer = ExecuteResponse.model_validate(
            {**reply, "session_id": session, "session_ended": bool(session and ended)}
        )
        self._metrics.runs.labels(request.language, answer.status).inc()
        self._metrics.run_seconds.labels(request.language).observe(answer.seconds)
        return answer


def _gone() -> dict[str, Any]:
    """The answer in place of one that never came."""
    nothing = {"text": "", "truncated": False}
    return {
        "status": "crashed",
        "stdout": nothing,
        "stderr": nothing,
        "result": None,
        "error": None,
        "exit_code": None,
        "files": [],
        "plots": [],
        "skipped": [],
        "seconds": 0.0,
        "peak_memory_bytes": 0,
        "ended": True,
    }

"""One run in a box: start it, take its output, end it by its limits."""

from __future__ import annotations

import os
import selectors
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from interpreter import frames
from interpreter.sandbox import processes
from interpreter.sandbox.pipes import Capture, Feed
from interpreter.sandbox.usage import Watch

_LOOK_EVERY: Final = 0.05
"""Seconds between measurements. In that time two processors can fill some 200 MB: room for it is in the plan."""
_DRAIN: Final = 1024 * 1024


class GoneError(Exception):
    """The server has closed the box's channel."""


@dataclass
class Streams:
    """A process and the pipes to it."""

    pid: int
    stdout: Capture
    stderr: Capture
    feed: Feed | None = None
    results: int | None = None
    """Where the answer comes from; without it, the exit code is the answer."""
    decoder: frames.Decoder = field(default_factory=lambda: frames.Decoder(2 * 1024 * 1024))


@dataclass
class Ending:
    """How a run ended."""

    status: str
    answer: frames.Message | None = None
    exit_code: int | None = None
    """The process's own, where it has ended."""


class Run:
    """Waits for the end of a run, whatever brings it about."""

    def __init__(self, streams: Streams, watch: Watch, *, channel: int, wakeup: int, output_stop: int) -> None:
        self._streams = streams
        self._watch = watch
        self._output_stop = output_stop
        self._ending: Ending | None = None
        self._wakeup = wakeup
        self._selector = selectors.DefaultSelector()
        self._on(channel, selectors.EVENT_READ, self._gone)
        self._on(wakeup, selectors.EVENT_READ, self._woken)
        for capture in (streams.stdout, streams.stderr):
            self._on(capture.fd, selectors.EVENT_READ, self._pumping(capture))
        if streams.feed is not None:
            self._on(streams.feed.fd, selectors.EVENT_WRITE, self._pumping(streams.feed))
        if streams.results is not None:
            self._on(streams.results, selectors.EVENT_READ, self._result)

    def _on(self, fd: int, event: int, action: Callable[[], None]) -> None:
        self._selector.register(fd, event, action)

    def wait(self, seconds: float) -> Ending:
        """Run until it ends or has to."""
        now = time.monotonic()
        deadline = now + seconds
        next_look = now + _LOOK_EVERY
        with self._selector:
            while self._ending is None:
                for key, _ in self._selector.select(max(0.0, min(deadline, next_look) - time.monotonic())):
                    key.data()
                if time.monotonic() >= next_look:
                    self._look()
                    next_look = time.monotonic() + _LOOK_EVERY
                if time.monotonic() >= deadline:
                    self._end(Ending("timeout"))
        for capture in (self._streams.stdout, self._streams.stderr):
            capture.drain(_DRAIN)
        return self._ending

    def _look(self) -> None:
        breach = self._watch.breach()
        if breach is not None:
            self._end(Ending(breach))

    def _end(self, ending: Ending) -> None:
        """The first reason stands."""
        self._ending = self._ending or ending

    def _gone(self) -> None:
        raise GoneError

    def _pumping(self, pipe: Capture | Feed) -> Callable[[], None]:
        def pump() -> None:
            if not pipe.pump():
                self._selector.unregister(pipe.fd)
            if isinstance(pipe, Capture) and pipe.total > self._output_stop:
                self._end(Ending("output_limit"))

        return pump

    def _woken(self) -> None:
        """A child has ended: the run's own, or an orphan that came to us."""
        os.read(self._wakeup, 4096)
        code = processes.reap().get(self._streams.pid)
        if code is None:
            return
        self._result()  # it may have answered and then ended
        self._end(Ending("exited", exit_code=code))

    def _result(self) -> None:
        results = self._streams.results
        if results is None:
            return
        try:
            while self._ending is None:
                piece = os.read(results, 65536)
                if not piece:
                    self._selector.unregister(results)
                    self._streams.results = None
                    return
                if (answer := self._streams.decoder.feed(piece)) is not None:
                    self._end(Ending("answered", answer))
        except BlockingIOError:
            return
        except frames.BadFrameError:
            self._end(Ending("crashed"))

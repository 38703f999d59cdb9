"""The container's main loop."""

import signal
import time
from typing import Final

from prometheus_client import CollectorRegistry

from backup.context import Context
from backup.errors import BusyError
from backup.metrics import StateCollector
from backup.run import back_up
from backup.schedule import due
from backup.web import serve

TICK_SECONDS: Final = 20.0
STUCK_SECONDS: Final = 180.0


class Scheduler:
    """Starts runs when they are due, until it is told to stop."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._up_since = time.time()
        self._beat = time.monotonic()
        self._busy = False

    def alive(self) -> bool:
        """Whether the loop turns; during a run it waits for programs that have limits of their own."""
        return self._busy or time.monotonic() - self._beat < STUCK_SECONDS

    def serve(self) -> None:
        """Run until SIGTERM or SIGINT, which also end a run under way in order."""
        context = self._context
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: context.stop.set())
        registry = CollectorRegistry()
        registry.register(StateCollector(context.settings, context.store, self._up_since, time.time))
        server = serve(context.settings.port, registry, self.alive)
        context.log.info("started", node=context.settings.node, repository=context.settings.repository)
        try:
            while not context.stop.is_set():
                self._turn()
        finally:
            server.shutdown()
            server.server_close()
            context.log.info("stopped")

    def _turn(self) -> None:
        """Wait for the next run or for a while: the clock may be set, and a command may do the run meanwhile."""
        self._beat = time.monotonic()
        when, only_failed = due(self._context.settings, self._context.store.load(), time.time(), self._up_since)
        if (wait := when - time.time()) > 0:
            self._context.stop.wait(min(wait, TICK_SECONDS))
            return
        self._busy = True
        try:
            back_up(self._context, only_failed=only_failed)
        except BusyError:
            self._context.stop.wait(TICK_SECONDS)
        finally:
            self._busy = False

"""Child programs: bounded in time and output, and never left behind."""

import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self, cast

from backup.errors import CommandError

CHUNK: Final = 1 << 20
TAIL_LINES: Final = 4
LINE_LENGTH: Final = 400
ERASE_LINE: Final = "\x1b[2K"
NOISE: Final = ("Is there a repository at", "s3:", "signal interrupt received")
"""Lines of restic that would push the cause out of the few that are kept."""
GRACE_SECONDS: Final = 20
"""How long an interrupted program may take to put its house in order; restic removes its lock."""


class Child:
    """A running program, to be used in `with`: leaving it by an exception interrupts the program and waits for it.

    It gets its own session, so that a terminal's Ctrl-C reaches this program alone, which then ends its children in
    order. SIGINT and not SIGTERM: older versions of restic clean up on that one only.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        stop: threading.Event,
        limit: float,
        feed: bool = False,
    ) -> None:
        self.program = Path(argv[0]).name
        self._argv = argv
        self._env = env
        self._stop = stop
        self._limit = limit
        self._feed = feed
        self._ended = threading.Event()
        self._why: str | None = None
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)

    def __enter__(self) -> Self:
        try:
            self._process = subprocess.Popen(
                self._argv,
                env=dict(self._env),
                stdin=subprocess.PIPE if self._feed else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise CommandError(self.program, 127, f"cannot be started: {error.strerror}", ()) from None
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._watch, self._listen)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._interrupt()
        try:
            self._reap()
        except CommandError:
            # The exception under way says more, except when it is this program's end that caused it.
            if kind is None or isinstance(error, (BrokenPipeError, EOFError)):
                raise

    @property
    def input(self) -> IO[bytes]:
        """What the program reads."""
        return cast("IO[bytes]", self._process.stdin)

    @property
    def output(self) -> IO[bytes]:
        """What the program prints."""
        return cast("IO[bytes]", self._process.stdout)

    def chunks(self) -> Iterator[bytes]:
        """The output as it comes; the end of it comes only if the program ended well."""
        while chunk := self.output.read(CHUNK):
            yield chunk
        self._reap()

    def _reap(self) -> None:
        if self._ended.is_set():
            return
        if self._process.stdin is not None and not self._process.stdin.closed:
            # When it stopped reading early, its exit status tells why.
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        with self.output as rest:
            while rest.read(CHUNK):
                pass
        code = self._process.wait()
        self._ended.set()
        for thread in self._threads:
            thread.join()
        if code != 0:
            raise CommandError(self.program, code, self._why, tuple(self._tail))

    def _watch(self) -> None:
        deadline = time.monotonic() + self._limit
        while not self._ended.wait(0.2):
            if self._stop.is_set():
                self._why = "interrupted"
            elif time.monotonic() > deadline:
                self._why = f"stopped after its limit of {self._limit:g} s"
            else:
                continue
            self._interrupt()
            return

    def _interrupt(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()

    def _listen(self) -> None:
        with cast("IO[bytes]", self._process.stderr) as stream:
            while line := stream.readline(LINE_LENGTH):
                text = line.decode(errors="replace").removeprefix(ERASE_LINE).strip()
                if text and not text.startswith(NOISE):
                    self._tail.append(text)

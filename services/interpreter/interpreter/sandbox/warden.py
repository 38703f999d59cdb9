"""Serves one box: takes requests from the server, has them run, answers."""

# `os` and not `pathlib`: it has the calls by descriptor, and this is done many times a second.
# The modes let users pass who have no name.
# ruff: noqa: PTH101, PTH102, PTH120, S103

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from typing import Final

from interpreter import frames
from interpreter.sandbox import answer, folder, identity, launch, output, processes
from interpreter.sandbox.pipes import Capture, Feed
from interpreter.sandbox.python_run import REQUESTS, RESULTS, Session
from interpreter.sandbox.run import Ending, GoneError, Run, Streams
from interpreter.sandbox.usage import Watch

_IDLE_LOOK_SECONDS: Final = 0.5
_PAUSE_SECONDS: Final = 2.0
_END_SECONDS: Final = 5.0
_ENDED: Final = frozenset({"answered", "exited"})
"""Endings that nobody had to force."""


class Warden:
    """One box's loop."""

    def __init__(self, place: launch.Place, channel: int) -> None:
        self._place = place
        self._channel = channel
        self._python: Streams | None = None
        self._watch = Watch(place.who.user, place.top, place.limits)
        self._wakeup, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        os.set_blocking(writing, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def serve(self) -> None:
        """Until the server closes, or the box is over."""
        with contextlib.suppress(GoneError):
            while self._wait() and (request := frames.read_blocking(self._channel)) is not None:
                reply = self._execute(request)
                frames.write_blocking(self._channel, reply)
                if reply.get("ended"):
                    return

    def _wait(self) -> bool:
        """Watch over what a session left running until the next request; False once the session is over."""
        while True:
            ready, _, _ = select.select([self._channel, self._wakeup], [], [], _IDLE_LOOK_SECONDS)
            if self._channel in ready:
                return True
            if self._wakeup in ready:
                os.read(self._wakeup, 4096)
                ended = processes.reap()
                if self._python is not None and self._python.pid in ended:
                    return False
            if self._watch.breach() or not processes.are_paused(self._place.who.user):
                return False  # a timer that sends SIGCONT ends the pause, so its code ran on its own time

    def _execute(self, request: frames.Message) -> frames.Message:
        try:
            for file in request["files"]:
                folder.put(self._place.work, file["name"], base64.b64decode(file["content"]))
            before = output.marks(self._place.work, self._place.limits)
            self._watch.peak_memory = 0
            started = time.monotonic()
            streams = self._start(request)
            processes.go_on()
        except folder.FolderError as error:
            return {"refused": str(error), "ended": request["final"]}
        ending = Run(
            streams,
            self._watch,
            channel=self._channel,
            wakeup=self._wakeup,
            output_stop=self._place.limits.output_stop_bytes,
        ).wait(request["timeout"])
        seconds = time.monotonic() - started
        return self._reply(request, streams, ending, before, seconds)

    def _reply(
        self, request: frames.Message, streams: Streams, ending: Ending, before: output.Marks, seconds: float
    ) -> frames.Message:
        over = (
            request["final"] or ending.status not in _ENDED or (ending.status == "exited" and self._is_python(streams))
        )
        # A last look: what was over the limit for less than a moment's time is still there.
        if ending.status in _ENDED and (breach := self._watch.breach()):
            ending, over = Ending(breach), True
        # What a session left running neither works nor grows until the next run, whose time it is then.
        if over or not processes.pause_all(self._place.who.user, _PAUSE_SECONDS):
            over = True
            processes.end_all(self._place.who.user, _END_SECONDS)
        files, skipped = output.collect(self._place.work, before, self._place.limits)
        reply = answer.describe(ending, request["language"], self._place.limits)
        reply |= {
            "stdout": streams.stdout.take(),
            "stderr": streams.stderr.take(),
            "files": files,
            "skipped": skipped,
            "plots": output.plots(self._place.plots, self._place.limits),
            "seconds": round(seconds, 4),
            "peak_memory_bytes": self._watch.peak_memory,
            "ended": over,
        }
        if not self._is_python(streams):
            os.close(streams.stdout.fd)
            os.close(streams.stderr.fd)
        return reply

    def _is_python(self, streams: Streams) -> bool:
        return streams is self._python

    def _start(self, request: frames.Message) -> Streams:
        if request["language"] == "bash":
            return self._start_bash(request)
        if self._python is None:
            self._python = self._start_python()
        assert self._python.feed is not None  # noqa: S101 - Python has one always
        content = frames.encode({"code": request["code"], "stdin": request["stdin"]})
        self._python.feed = Feed(self._python.feed.fd, content)
        return self._python

    def _start_python(self) -> Streams:
        requests_read, requests_write = os.pipe()
        results_read, results_write = os.pipe()

        def body() -> None:
            Session(self._place).serve()

        nothing = os.open(os.devnull, os.O_RDONLY)
        streams = self._launch(nothing, {REQUESTS: requests_read, RESULTS: results_write}, body)
        os.set_blocking(results_read, False)
        streams.results = results_read
        streams.feed = Feed(requests_write, b"")
        return streams

    def _start_bash(self, request: frames.Message) -> Streams:
        # A file, since what stands on the command line everybody can read in /proc.
        folder.put(self._place.temporary, "script.sh", request["code"].encode())
        folder.put(self._place.temporary, "stdin", request["stdin"].encode())
        script, stdin = f"{self._place.temporary}/script.sh", f"{self._place.temporary}/stdin"

        def body() -> None:
            os.execv("/bin/bash", ["bash", "--noprofile", "--norc", script])  # noqa: S606 - no shell around it

        return self._launch(os.open(stdin, os.O_RDONLY | os.O_NOFOLLOW), {}, body)

    def _launch(self, stdin: int, extra: dict[int, int], body: Callable[[], None]) -> Streams:
        out_read, out_write = os.pipe()
        err_read, err_write = os.pipe()
        pid = launch.start(self._place, {0: stdin, 1: out_write, 2: err_write, **extra}, body)
        for fd in (stdin, out_write, err_write, *extra.values()):
            os.close(fd)
        keep = self._place.limits.output_bytes
        return Streams(pid, Capture(out_read, keep), Capture(err_read, keep))


def main(place: launch.Place, channel: int) -> None:
    """In a child of the zygote that is root still: make the folder, become the warden, serve."""
    parent = os.path.dirname(place.top)
    # The user may write into the box's root only while this process makes the folder there, so that it has no other
    # place to leave anything.
    os.mkdir(parent, 0o700)
    os.chmod(parent, 0o733)
    os.seteuid(place.who.user)
    os.umask(0o077)
    os.mkdir(place.top, 0o700)
    os.seteuid(0)
    os.chmod(parent, 0o711)
    identity.become_warden(place.who)
    identity.adopt_orphans()
    folder.make(place.top)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    try:
        Warden(place, channel).serve()
    except BrokenPipeError:
        pass  # the server is gone; the zygote cleans up
    except Exception as error:
        sys.stderr.write(
            json.dumps({"level": "error", "message": "warden failed", "error": type(error).__name__}) + "\n"
        )
        raise

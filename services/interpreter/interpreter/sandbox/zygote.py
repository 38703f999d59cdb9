"""Opens and closes boxes: the one process that may change users, and does nothing else.

It has a socket to the server, which sends a name, limits and the box's channel, and is told when the box is closed:
no process of its user left, its folder gone.
"""

# `os` and not `pathlib`: it has the calls by descriptor, and this is done many times a second.
# ruff: noqa: PTH106, PTH120

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from interpreter.limits import Limits
from interpreter.sandbox import folder, identity, processes, warden
from interpreter.sandbox.launch import Place
from interpreter.sandbox.preload import preload

_MESSAGE: Final = 8192
_SWEEP_SECONDS: Final = 20.0
_FAILED: Final = 70


@dataclass
class _Box:
    name: str
    place: Place
    pid: int
    """The warden's, then the sweeper's."""
    sweeping: bool = False


class Zygote:
    """The loop."""

    def __init__(self, control: socket.socket, server: int, scratch: str) -> None:
        self._control = control
        self._server = server
        self._server_code: int | None = None
        self._scratch = scratch
        self._count = 0
        self._boxes: dict[str, _Box] = {}
        self._wakeup, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        # The container's init, root without the capability KILL, can signal this process but not the server.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._tell({"stop": True}))

    def serve(self) -> int:
        """Until the server goes away; then close what is open. The server's exit code."""
        self._tell({"ready": True})
        while True:
            control = self._control.fileno()
            ready, _, _ = select.select([control, self._wakeup], [], [])
            if self._wakeup in ready:
                self._children()
            if control in ready and not self._request():
                break
        for box in list(self._boxes.values()):
            self._end_warden(box)
        while self._boxes or self._server_code is None:
            select.select([self._wakeup], [], [], 1.0)
            self._children()
        return self._server_code

    def _tell(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):
            self._control.send(json.dumps(message).encode())

    def _request(self) -> bool:
        data, descriptors, _, _ = socket.recv_fds(self._control, _MESSAGE, 1)
        if not data:
            return False
        request = json.loads(data)
        if "open" in request:
            self._open(request["open"], Limits.from_json(request["limits"]), descriptors[0])
        elif (box := self._boxes.get(request["close"])) is not None:
            self._end_warden(box)
        return True

    def _open(self, name: str, limits: Limits, channel: int) -> None:
        who = identity.Identity.number(self._count)
        self._count += 1
        # The uid in the name, since nobody else will ever have it.
        place = Place(who, f"{self._scratch}/{who.user}/box", limits)
        pid = self._fork(lambda: warden.main(place, channel), keep=channel)
        os.close(channel)
        self._boxes[name] = _Box(name, place, pid)

    def _fork(self, body: Callable[[], None], keep: int | None = None) -> int:
        pid = os.fork()
        if pid:
            return pid
        code = _FAILED
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            control = self._control.detach()
            for fd in (control, self._wakeup):
                if fd != keep:
                    os.close(fd)
            body()
            code = 0
        except BaseException as error:  # noqa: BLE001 - nothing may return into the zygote's loop
            sys.stderr.write(json.dumps({"level": "error", "message": "child failed", "error": repr(error)}) + "\n")
        finally:
            os._exit(code)

    def _end_warden(self, box: _Box) -> None:
        """Root without the capability KILL may not signal another user's process; that user may."""
        if not box.sweeping:
            os.waitpid(self._fork(lambda: _kill_warden(box)), 0)

    def _children(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wakeup, 4096)
        ended = processes.reap()
        self._server_code = ended.get(self._server, self._server_code)
        for box in list(self._boxes.values()):
            if box.pid not in ended:
                continue
            if not box.sweeping:
                box.sweeping = True
                box.pid = self._fork(lambda box=box: _sweep(box))  # type: ignore[misc]
            else:
                self._closed(box, clean=ended[box.pid] == 0)

    def _closed(self, box: _Box, *, clean: bool) -> None:
        del self._boxes[box.name]
        if clean:
            # The folder is the user's, but its parent is ours.
            with contextlib.suppress(FileNotFoundError):
                os.rmdir(box.place.top)
                os.rmdir(os.path.dirname(box.place.top))
        self._tell({"closed": box.name, "clean": clean})


def _kill_warden(box: _Box) -> None:
    who = box.place.who
    os.setgroups([])
    os.setresgid(who.user, who.user, who.user)
    os.setresuid(who.warden, who.warden, who.warden)
    with contextlib.suppress(ProcessLookupError):
        os.kill(box.pid, signal.SIGKILL)


def _sweep(box: _Box) -> None:
    """Whatever the warden did or did not: no process and no file stays."""
    identity.become_warden(box.place.who)
    if not processes.end_all(box.place.who.user, _SWEEP_SECONDS):
        raise TimeoutError("processes of a box do not end")
    with contextlib.suppress(FileNotFoundError):
        folder.empty(box.place.top)


def main(control: socket.socket, server: int, scratch: str) -> int:
    """Be the zygote of the server with that pid, until it ends; its exit code."""
    identity.adopt_orphans()
    zygote = Zygote(control, server, scratch)
    os.environ.update(
        MPLBACKEND="agg",
        MPLCONFIGDIR=f"{scratch}/matplotlib",
        # More threads would count against a run's processes, and a fork would lose them.
        OMP_NUM_THREADS="1",
        OPENBLAS_NUM_THREADS="1",
    )
    preload()
    return zygote.serve()

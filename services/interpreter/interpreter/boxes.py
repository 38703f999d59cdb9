"""The server's side of boxes: opens them through the zygote and talks to their wardens."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import uuid
from collections.abc import Callable
from typing import Final

from interpreter import frames
from interpreter.limits import Limits

_GRACE_SECONDS: Final = 15.0
"""What a warden may take beyond a run's time; then it is ended itself."""
_CLOSE_SECONDS: Final = 30.0


class BoxGoneError(Exception):
    """The box ended before it answered."""


class Box:
    """One box; made by `Zygote.open`."""

    def __init__(self, name: str, close: Callable[[], None]) -> None:
        self.name = name
        self.closed = asyncio.Event()
        """Set once no process and no file of it is left."""
        self._ask_to_close = close
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def connect(self, channel: socket.socket) -> None:
        """Take the channel over."""
        self._reader, self._writer = await asyncio.open_connection(sock=channel)

    async def execute(self, request: frames.Message) -> frames.Message:
        """One run. Cancelled, or without an answer in time, the box is of no more use: close it."""
        if self._reader is None or self._writer is None:
            raise BoxGoneError
        try:
            async with asyncio.timeout(request["timeout"] + _GRACE_SECONDS):
                self._writer.write(frames.encode(request))
                await self._writer.drain()
                return await frames.read(self._reader)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, frames.BadFrameError) as error:
            raise BoxGoneError from error

    async def close(self) -> None:
        """End all that runs in it and wait until it is gone."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        with contextlib.suppress(TimeoutError, BoxGoneError):
            self._ask_to_close()
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self.closed.wait()


class Zygote:
    """The server's end of the zygote's socket."""

    def __init__(self, control: socket.socket, *, unclean: Callable[[], None], stop: Callable[[], None]) -> None:
        control.setblocking(False)
        self.ready = False
        self.lost = asyncio.Event()
        self._control = control
        self._unclean = unclean
        self._stop = stop
        self._boxes: dict[str, Box] = {}
        asyncio.get_running_loop().add_reader(control, self._receive)

    def _receive(self) -> None:
        try:
            data = self._control.recv(8192)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        message = json.loads(data)
        if message.get("ready"):
            self.ready = True
        elif message.get("stop"):
            self._stop()
        elif (box := self._boxes.pop(message["closed"], None)) is not None:
            box.closed.set()
            if not message["clean"]:
                self._unclean()

    async def open(self, limits: Limits) -> Box:
        """A new box."""
        ours, theirs = socket.socketpair()
        name = uuid.uuid4().hex
        box = Box(name, lambda: self._send({"close": name}))
        self._boxes[name] = box
        with theirs:
            self._send({"open": name, "limits": limits.to_json()}, theirs)
        ours.setblocking(False)
        await box.connect(ours)
        return box

    def _send(self, message: frames.Message, *passed: socket.socket) -> None:
        if self.lost.is_set():
            raise BoxGoneError
        try:
            socket.send_fds(self._control, [json.dumps(message).encode()], [one.fileno() for one in passed])
        except OSError as error:
            raise BoxGoneError from error

    def close(self) -> None:
        """Let it go; it ends by itself."""
        if not self.lost.is_set():
            asyncio.get_running_loop().remove_reader(self._control)
            self._control.close()
            self.ready = False
            self.lost.set()
            for box in self._boxes.values():
                box.closed.set()

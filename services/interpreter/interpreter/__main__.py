"""Starts the server, which gives root up, and becomes the zygote, which keeps it."""

from __future__ import annotations

import errno
import os
import socket
import sys
from typing import Final

from interpreter.sandbox import zygote
from interpreter.settings import Settings, SettingsError, load

_FOR_OTHERS_TO_PASS: Final = 0o711
_WRONG_SETTINGS: Final = 2


def _prepare(settings: Settings) -> None:
    """Leave no folder where two boxes could meet."""
    if os.geteuid() != 0:
        raise SettingsError("start it as root with the capabilities SETUID and SETGID: each run gets a user of its own")
    for folder in settings.closed:
        try:
            folder.chmod(_FOR_OTHERS_TO_PASS)
        except OSError as error:
            # What is not there or cannot be written needs no closing.
            if error.errno not in (errno.ENOENT, errno.EROFS):
                raise
    settings.scratch.mkdir(mode=_FOR_OTHERS_TO_PASS, exist_ok=True)
    settings.scratch.chmod(_FOR_OTHERS_TO_PASS)


def _start_server() -> tuple[socket.socket, int]:
    """Our end of the socket to it, and its pid. A program of its own: its key is never in this one's memory."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        theirs.set_inheritable(True)
        command = [sys.executable, "-m", "interpreter.server", str(theirs.fileno())]
        return ours, os.posix_spawn(command[0], command, os.environ)


def main() -> int:
    """Serve until told to stop; the exit code."""
    os.umask(0o022)
    try:
        settings = load()
        _prepare(settings)
    except (SettingsError, OSError) as error:
        sys.stderr.write(f"cannot start: {error}\n")
        return _WRONG_SETTINGS
    control, server = _start_server()
    return zygote.main(control, server, str(settings.scratch))


if __name__ == "__main__":
    sys.exit(main())

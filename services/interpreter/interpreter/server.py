"""The server's process: reads the key, gives root up and serves."""

from __future__ import annotations

import socket
import sys
from typing import Final

import uvicorn

from interpreter import logs
from interpreter.api.app import build
from interpreter.sandbox import identity
from interpreter.settings import SettingsError, load, read_key

_FAILED: Final = 1
_WRONG_SETTINGS: Final = 2


class _Stop:
    """Ends the server, and remembers whether that was wanted."""

    def __init__(self) -> None:
        self.server: uvicorn.Server | None = None
        self.failed = False

    def __call__(self, *, failed: bool) -> None:
        if self.server is not None and not self.server.should_exit:
            self.failed = failed
            self.server.should_exit = True


def main() -> int:
    """Serve on the zygote's socket, whose descriptor is the argument; the exit code."""
    control = socket.socket(fileno=int(sys.argv[1]))
    control.set_inheritable(False)
    try:
        settings = load()
        key = read_key(settings.key_file)
    except SettingsError as error:
        sys.stderr.write(f"cannot start: {error}\n")
        return _WRONG_SETTINGS
    identity.become_plain(settings.uid, settings.gid)
    identity.hide_memory()
    logs.configure()
    stop = _Stop()
    config = uvicorn.Config(
        build(settings, key, control, stop),
        host=settings.host,
        port=settings.port,
        http="h11",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=5,
        # Envoy keeps connections to us open; the one that closes first must be Envoy.
        timeout_keep_alive=120,
    )
    stop.server = uvicorn.Server(config)
    stop.server.run()
    return _FAILED if stop.failed else 0


if __name__ == "__main__":
    sys.exit(main())

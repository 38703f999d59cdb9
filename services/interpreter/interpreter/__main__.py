"""Starts the zygote, reads the key, gives root up and serves."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import uvicorn

from interpreter import logs
from interpreter.api.app import build
from interpreter.sandbox import identity
from interpreter.settings import Settings, SettingsError, load, read_key

_FOR_OTHERS_TO_PASS = 0o711


def _prepare(settings: Settings) -> None:
    """Leave no folder where two boxes could meet."""
    for folder in settings.closed:
        if folder.exists():
            folder.chmod(_FOR_OTHERS_TO_PASS)
    settings.scratch.mkdir(mode=_FOR_OTHERS_TO_PASS, exist_ok=True)
    settings.scratch.chmod(_FOR_OTHERS_TO_PASS)


def _start_zygote(settings: Settings) -> socket.socket:
    """Our end of its socket. It is a program of its own, started before the key is read: it never has it in memory."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        command = [sys.executable, "-m", "interpreter.sandbox.zygote", str(theirs.fileno()), str(settings.scratch)]
        environment = {
            "LANG": "C.UTF-8",
            "MPLBACKEND": "agg",
            "MPLCONFIGDIR": str(settings.scratch / "matplotlib"),
            "OMP_NUM_THREADS": "1",
            # More threads would count against a run's processes, and a fork would lose them.
            "OPENBLAS_NUM_THREADS": "1",
            "PATH": os.environ.get("PATH", os.defpath),
            "PYTHONPATH": str(Path(__file__).resolve().parent.parent),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        subprocess.Popen(command, env=environment, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
    return ours


def main() -> int:
    """Serve until told to stop; the exit code."""
    os.umask(0o022)
    try:
        settings = load()
        if os.geteuid() != 0:
            raise SettingsError("start it as root with the capabilities SETUID and SETGID: each run gets its own user")
        _prepare(settings)
        control = _start_zygote(settings)
        key = read_key(settings.key_file)
    except (SettingsError, OSError) as error:
        print(f"cannot start: {error}", file=sys.stderr)  # noqa: T201 - before there is a log
        return 2
    identity.become_plain(settings.uid, settings.gid)
    identity.hide_memory()
    logs.configure()

    failed = False

    def stop() -> None:
        nonlocal failed
        failed = not server.should_exit
        server.should_exit = True

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
    server = uvicorn.Server(config)
    server.run()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

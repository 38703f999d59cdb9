"""AWS' interfaces on this machine: one server with S3, IAM and KMS, for as long as the lab is up."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from engine.root import CHECKOUT
from lab import processes
from lab.machine import LabError
from lab.places import RUN

_PID = RUN / "clouds.pid"
_ADDRESS = RUN / "clouds.address"


def start_clouds(folder: Path) -> str:
    """Start the server where it does not run; where it is found."""
    if not processes.alive(_PID):
        _ADDRESS.unlink(missing_ok=True)
        log = folder / "clouds.log"
        processes.start([sys.executable, "-m", "lab.clouds", "--address-file", str(_ADDRESS)], _PID, log, cwd=CHECKOUT)
        if not processes.wait_until(_ADDRESS.exists, 60):
            raise LabError(f"the AWS stand-in did not start; its log is {log}")
    return _ADDRESS.read_text()


def stop_clouds() -> None:
    """Stop it; what it held is gone."""
    processes.stop(_PID, seconds=5)


def main() -> None:
    """Serve until a signal ends it."""
    from moto.server import ThreadedMotoServer

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address-file", type=Path, required=True)
    file: Path = parser.parse_args().address_file
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    unfinished = file.with_suffix(".part")
    unfinished.write_text(f"http://{host}:{port}")
    unfinished.rename(file)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    server.stop()


if __name__ == "__main__":
    main()

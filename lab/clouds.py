"""The servers of the world outside, for as long as the lab is up: S3, AWS' other interfaces, models, mail, webhook.

All run in the namespace of `lab.world`; what they hold begins empty with the first of them and goes with the last.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import socket
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from engine.root import CHECKOUT
from lab import processes, s3_server, world
from lab.images.authority import authority
from lab.machine import LabError, in_namespace, succeeds
from lab.places import RUN

RUNNING: Final = RUN / "clouds"
_FOLDER: Final = RUNNING / "folder"
_SECONDS: Final = 90
_RECORDS: Final = ("mail.jsonl", "webhook.jsonl", "strays.jsonl")


def start_clouds(folder: Path) -> dict[str, str]:
    """Start the servers that do not run; where the providers find AWS, and with which credentials."""
    if not succeeds(*in_namespace(world.NAMESPACE, "true")):
        raise LabError("the lab has no world outside yet; world.make_world makes it")
    if not any(processes.alive(pid) for pid in RUNNING.glob("*.pid")):
        _forget(folder)
    RUNNING.mkdir(parents=True, exist_ok=True)
    _FOLDER.write_text(str(folder))
    signer = authority(folder)
    starts: dict[str, tuple[Callable[[], None], Callable[[], bool]]] = {
        "s3": (lambda: s3_server.start_s3(folder, RUNNING), lambda: s3_server.answers(signer.certificate)),
        "aws": (lambda: _start(folder, "aws", "lab.clouds"), lambda: _listens(world.AWS, 80)),
        "apis": (
            lambda: _start(folder, "apis", "lab.images.outside", "--folder", str(folder), "--address", world.APIS),
            lambda: _listens(world.APIS, 443),
        ),
        "sinks": (
            lambda: _start(folder, "sinks", "lab.sinks", "--folder", str(folder)),
            lambda: _listens(world.SINKS, 443),
        ),
    }
    with ThreadPoolExecutor(len(starts)) as threads:
        list(threads.map(lambda start: start[0](), starts.values()))
        answers = list(threads.map(lambda start: processes.wait_until(start[1], _SECONDS), starts.values()))
    for name, answered in zip(starts, answers, strict=True):
        if not answered:
            raise LabError(f"{name} of the world outside did not start; its log is {folder / f'{name}.log'}")
    access, secret = s3_server.identities(folder)
    return {
        "real": s3_server.URL,
        "stand_in": world.AWS_URL,
        "ca": str(signer.certificate),
        "access_key": access,
        "secret_key": secret,
    }


def stop_clouds() -> None:
    """Stop them; what they held is gone, certificates and logs stay."""
    s3_server.stop_s3(RUNNING)
    for pid in RUNNING.glob("*.pid"):
        processes.stop(pid, seconds=5)
    # What a killed command started and did not write down.
    processes.kill(processes.mentioning(RUNNING))
    if _FOLDER.exists():
        _forget(Path(_FOLDER.read_text()))
    shutil.rmtree(RUNNING, ignore_errors=True)


def _start(folder: Path, name: str, module: str, *arguments: str) -> None:
    """A module in the world. Its own arguments name nothing below RUN, by which `processes` knows what is the lab's."""
    command = (sys.executable, "-X", f"lab={RUNNING}", "-m", module, *arguments)
    processes.start(in_namespace(world.NAMESPACE, *command), RUNNING / f"{name}.pid", folder / f"{name}.log", CHECKOUT)


def _listens(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=5).close()
    except OSError:
        return False
    return True


def _forget(folder: Path) -> None:
    """Objects that nobody has the keys for any more, and what was said in an earlier life."""
    shutil.rmtree(s3_server.data_folder(folder), ignore_errors=True)
    for name in _RECORDS:
        (folder / "outside" / name).unlink(missing_ok=True)


def main() -> None:
    """Serve AWS' interfaces as moto has them, until a signal ends it."""
    from moto.server import ThreadedMotoServer

    argparse.ArgumentParser(description=__doc__).parse_args()
    server = ThreadedMotoServer(ip_address=world.AWS, port=80, verbose=False)
    server.start()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    server.stop()


if __name__ == "__main__":
    main()

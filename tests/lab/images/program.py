"""An image of the lab without Docker: its layers in a folder, and its program there as the service's user."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lab.images.archive import File
from lab.images.authority import authority
from lab.images.catalog import catalog
from lab.images.compose import _files
from lab.images.layers import make_layer
from lab.images.recipes import RECIPES
from tests.lab.conftest import FOLDER
from tests.lab.images.conftest import Client

START_SECONDS = 900
_SCRIPT = """\
user=$1 tmpfs=$2; shift 2
for name in proc sys dev; do mkdir -p "$0/$name"; done
if [ "$tmpfs" ]; then
    for name in $tmpfs; do mkdir -p "$0/$name"; done
    mount --bind "$0" "$0"
    mount -o remount,bind,ro "$0"
    for name in $tmpfs; do mount -t tmpfs -o mode=1777 tmpfs "$0/$name"; done
fi
for name in proc sys dev; do mount --rbind /$name "$0/$name"; done
exec chroot --userspec="$user" "$0" "$@"
"""


def free_port() -> int:
    """A port on loopback that nobody has."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextlib.contextmanager
def running(
    key: str,
    root: Path,
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    user: str,
    port: int,
    probe: str,
    tmpfs: Sequence[str] = (),
) -> Iterator[Client]:
    """The real program of an image, once its probe says 200; the folder is gone afterwards.

    With `tmpfs` it can write there alone, as in its container.
    """
    entry = catalog(real=frozenset({key}))[key]
    root.chmod(0o755)
    cache = FOLDER / "layers"

    def debian() -> Path:
        return make_layer(RECIPES["debian"], cache, print, lambda: Path()).archive

    for name in entry.layers:
        archive = make_layer(RECIPES[name], cache, print, debian).archive
        subprocess.run(["tar", "-xf", str(archive), "-C", str(root)], check=True)
    for path, file in _files(entry, authority(FOLDER)).items():
        lay(root / path.lstrip("/"), file)
    log = root / "log"
    with log.open("wb") as said:
        process = subprocess.Popen(
            [
                *("unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-euc", _SCRIPT, str(root)),
                *(user, " ".join(tmpfs), *command),
            ],
            env={"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", **entry.env, **environment},
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
    client = Client(port)
    try:
        began = time.monotonic()
        while not answers(client, probe):
            assert process.poll() is None, what_it_said(log)
            assert time.monotonic() < began + START_SECONDS, what_it_said(log)
            time.sleep(0.5)
        print(f"{key} answers after {time.monotonic() - began:.0f} s", file=sys.stderr)
        yield client
    finally:
        # All of the group: the first process of the namespace takes the others along. The signal that `unshare` asks
        # for at its own end is forgotten when the user changes.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        subprocess.run(["rm", "-rf", "--one-file-system", str(root)], check=False)


def what_it_said(log: Path) -> str:
    """The errors, of which the first is the cause, and the end."""
    text = log.read_text(errors="replace")
    return "\n".join([*(line for line in text.splitlines() if "rror: " in line), text[-2000:]])


def lay(path: Path, file: File) -> None:
    """One file of an image's own."""
    if file.folder:
        path.mkdir(parents=True, exist_ok=True)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        if file.link:
            path.symlink_to(file.link)
            return
        path.write_bytes(file.content)
    path.chmod(file.mode)
    os.chown(path, *file.owner)


def answers(client: Client, probe: str) -> bool:
    """Whether the program answers."""
    try:
        return client.ask("GET", probe)[0] == 200
    except OSError:
        return False

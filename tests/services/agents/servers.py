"""Real Redis and Postgres, private to a test session, on loopback, and what a deployment sets beside addresses."""

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

PASSWORDS = {"redis": "secret-of-redis-password", "postgres": "secret-of-postgres-password"}
PRICES = json.dumps(
    {
        "vllm_local": [0, 0],
        "claude_small": [1, 5],
        "claude_sonnet": [3, 15],
        "claude_opus": [5, 25],
        "openrouter_mixtral": [2, 6],
    }
)
"""As the program renders them."""
ABILITIES = json.dumps(
    {
        "vllm_local": ["tools"],
        "claude_small": ["tools", "vision"],
        "claude_sonnet": ["tools", "vision"],
        "claude_opus": ["tools", "vision"],
        "openrouter_mixtral": ["tools"],
    }
)
"""What the models can do besides text."""


def free_port() -> int:
    """A free port below those of outgoing connections, so that nothing takes it while its server is down."""
    while True:
        port = random.randint(20_000, 32_000)  # noqa: S311 - no secret
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def wait_until(true: Callable[[], bool], seconds: float = 90, what: str = "it") -> None:
    """Poll until `true()`.

    Raises:
        TimeoutError: it did not become true in time.
    """
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not happen in {seconds} s")
        time.sleep(0.05)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Redis:
    """A Redis server with the platform's user `agents` and its rights."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        acl = folder / "users.acl"
        acl.write_text(
            "user default off resetpass sanitize-payload ~* &* +@all\n"
            f"user agents on >{PASSWORDS['redis']} sanitize-payload resetchannels"
            " ~agents:* ~autoclaim:agents:* &agents:* +@all -@admin -@dangerous +info\n"
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            f"redis-server --port {self.port} --bind 127.0.0.1 --dir {self._folder} --appendonly yes"
            f" --aclfile {self._folder}/users.acl".split(" "),
            stdout=subprocess.DEVNULL,
        )
        wait_until(lambda: _listens(self.port), what="Redis' start")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None


class Postgres:
    """A Postgres cluster with the role and database `agents`."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._data = folder / "data"
        self._log = folder / "log"
        self._bin = _postgres_bin()
        # Postgres refuses to run as root; its Debian package brings the user `postgres`.
        self._as = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
        if self._as:
            shutil.chown(folder, "postgres", "postgres")
        subprocess.run(
            [*self._as, str(self._bin / "initdb"), "-D", str(self._data), "-U", "postgres", "-A", "trust", "-N"],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd="/",
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *self._as,
                    *f"{self._bin}/postgres -D {self._data} -p {self.port} -c listen_addresses=127.0.0.1".split(),
                    *["-c", "unix_socket_directories=", "-c", "fsync=off"],
                ],
                stdout=subprocess.DEVNULL,
                stderr=log,
                cwd="/",
            )
        try:
            wait_until(self._ready, what="Postgres' start")
        except TimeoutError as error:
            raise RuntimeError(self._log.read_text()[-3000:]) from error

    def _ready(self) -> bool:
        """Whether it takes connections: it listens before it does."""
        asked = subprocess.run(
            [str(self._bin / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)], check=False
        )
        return asked.returncode == 0

    def create(self) -> None:
        for statement in (
            f"CREATE ROLE agents LOGIN PASSWORD '{PASSWORDS['postgres']}'",
            "CREATE DATABASE agents OWNER agents",
        ):
            self.psql(statement, "postgres", "postgres")

    def psql(self, statement: str, user: str = "agents", database: str = "agents") -> str:
        """The rows of a statement, as psql writes them unaligned."""
        done = subprocess.run(
            [
                *f"{self._bin}/psql -h 127.0.0.1 -p {self.port} -U {user} -d {database} -v ON_ERROR_STOP=1".split(),
                "-qAtc",
                statement,
            ],
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)  # fast shutdown
            self._process.wait(20)
            self._process = None


def _postgres_bin() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    path = shutil.which("initdb")
    assert path is not None, "install the packages postgresql and redis-server"
    return Path(path).parent


@contextlib.contextmanager
def running(server: Redis | Postgres) -> Iterator[None]:
    """The server, stopped at the end."""
    server.start()
    try:
        yield
    finally:
        server.stop()

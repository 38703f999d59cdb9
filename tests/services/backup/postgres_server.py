"""A private Postgres on loopback with the roles that the node's Postgres has."""

import secrets
import shutil
import subprocess
from pathlib import Path
from typing import Self

from loopback import free_ports, wait_until

_USER = "postgres"


def programs() -> Path | None:
    """The folder of the newest Postgres programs; Debian keeps the servers' outside PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]))
    return found[-1].parent if found else None


class PostgresServer:
    """A server with passwords on TCP, a superuser on its socket, and a role `backup` that may only read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        bin_ = programs()
        assert bin_ is not None
        self._bin = bin_
        self.password = secrets.token_hex(16)
        self.owner_password = secrets.token_hex(16)
        self._port = free_ports(1)[0]
        self.address = f"127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self._folder.chmod(0o711)
        data = self._folder / "data"
        for folder in (data, self._folder / "socket"):
            folder.mkdir(mode=0o700)
            shutil.chown(folder, _USER, _USER)
        self._run(self._bin / "initdb", "--pgdata", data, "--auth=peer", "--encoding=UTF8", "--no-sync", "--locale=C")
        hba = "local all postgres peer\nhost all all 127.0.0.1/32 scram-sha-256\n"
        (data / "pg_hba.conf").write_text(hba)
        self._log = (self._folder / "log").open("wb")
        self._process = subprocess.Popen(
            [
                self._bin / "postgres", "-D", data, "-p", str(self._port), "-k", self._folder / "socket",
                "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "shared_buffers=16MB",
                "-c", "max_connections=20", "-c", "password_encryption=scram-sha-256",
            ],
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, user=_USER, cwd="/",
        )  # fmt: skip
        try:
            wait_until(self._ready, 30, "Postgres")
            self.sql("postgres", f"CREATE ROLE backup LOGIN PASSWORD '{self.password}'")
            self.sql("postgres", "GRANT pg_read_all_data TO backup")
            self.sql("postgres", f"CREATE ROLE owner LOGIN PASSWORD '{self.owner_password}'")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def create(self, database: str) -> None:
        """A database of the role `owner`, empty; one of that name goes."""
        self.sql("postgres", f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')
        self.sql("postgres", f'CREATE DATABASE "{database}" OWNER owner')

    def drop(self, database: str) -> None:
        """Remove a database."""
        self.sql("postgres", f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')

    def sql(self, database: str, statement: str) -> str:
        """What a statement of the superuser returns."""
        return self._run(
            self._bin / "psql", "--no-psqlrc", "--quiet", "-v", "ON_ERROR_STOP=1", "-h", self._folder / "socket",
            "-p", str(self._port), "-d", f"dbname='{database}'", "-Atc", statement,
        )  # fmt: skip

    def _ready(self) -> bool:
        if self._process.poll() is not None:
            raise AssertionError((self._folder / "log").read_text()[-2000:])
        probe = [str(self._bin / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self._port)]
        return subprocess.run(probe, check=False).returncode == 0

    def _run(self, *command: str | Path) -> str:
        done = subprocess.run(command, user=_USER, cwd="/", capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

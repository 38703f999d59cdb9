"""Postgres: one dump for each database, through the sidecar's name."""

import json
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from backup.errors import BackupError
from backup.process import Child
from backup.settings import Settings

ROLE: Final = "backup"
PASSWORD: Final = "postgres-password"
QUERY_SECONDS: Final = 60

_DATABASES: Final = (
    "SELECT coalesce(json_agg(datname ORDER BY datname), '[]') FROM pg_database "
    "WHERE datallowconn AND NOT datistemplate AND datname <> 'postgres'"
)
_RELATIONS: Final = (
    "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'"
)


class Postgres:
    """The server as one role sees it."""

    def __init__(self, settings: Settings, stop: threading.Event, *, role: str, password: str) -> None:
        self._settings = settings
        self._stop = stop
        self._role = role
        self._password = password

    def databases(self) -> tuple[str, ...]:
        """Every database but the server's own: asked for, so that a new one is not forgotten."""
        return tuple(json.loads(self._query("postgres", _DATABASES)))

    def empty(self, database: str) -> bool:
        """Whether a database holds nothing that a restore could meet."""
        return int(self._query(database, _RELATIONS)) == 0

    def dump(self, database: str) -> Iterator[bytes]:
        """The database's dump; it ends only if `pg_dump` ended well.

        Not compressed here: restic compresses, and finds what is unchanged since the last dump only in plain data.
        """
        command = ["pg_dump", "--format=custom", "--compress=0", "--no-password", "--lock-wait-timeout=120s"]
        with (
            self._environment(database) as env,
            Child(command, env=env, stop=self._stop, limit=self._settings.part_seconds) as child,
        ):
            yield from child.chunks()

    def restore(self, database: str, dump: Iterable[bytes], *, clean: bool) -> None:
        """Restore a dump, all of it or nothing. With `clean` what it holds replaces what is there."""
        command = ["pg_restore", "--single-transaction", "--exit-on-error", "--no-owner", "--no-password"]
        command += [*(("--clean", "--if-exists") if clean else ()), f"--dbname={_as_conninfo(database)}"]
        with (
            self._environment(database) as env,
            Child(command, env=env, stop=self._stop, limit=self._settings.part_seconds, feed=True) as child,
        ):
            for chunk in dump:
                child.input.write(chunk)

    def _query(self, database: str, statement: str) -> str:
        command = ["psql", "--no-psqlrc", "--no-password", "--tuples-only", "--no-align", f"--command={statement}"]
        with (
            self._environment(database) as env,
            Child(command, env=env, stop=self._stop, limit=QUERY_SECONDS) as child,
        ):
            return child.output.read().decode().strip()

    @contextmanager
    def _environment(self, database: str) -> Iterator[Mapping[str, str]]:
        """The connection by environment, since arguments are public; the password in a file in memory."""
        host, _, port = self._settings.postgres.partition(":")
        with TemporaryDirectory(dir=self._settings.scratch) as folder:
            file = Path(folder) / "pgpass"
            file.touch(mode=0o600)
            file.write_text(":".join(("*", "*", "*", self._role, _escaped(self._password))) + "\n", encoding="utf-8")
            yield {
                "PATH": os.environ.get("PATH", os.defpath),
                "HOME": folder,
                "PGPASSFILE": str(file),
                "PGHOST": host,
                "PGPORT": port or "5432",
                "PGUSER": self._role,
                "PGDATABASE": database,
                "PGCONNECT_TIMEOUT": "15",
                # The sidecars speak mTLS between them.
                "PGSSLMODE": "disable",
                "PGAPPNAME": "backup",
            }


def check_dump(settings: Settings, stop: threading.Event, dump: Iterable[bytes]) -> None:
    """Read a dump to its end as a restore would, without a server."""
    command = ["pg_restore", "--file=/dev/null"]
    env = {"PATH": os.environ.get("PATH", os.defpath)}
    with Child(command, env=env, stop=stop, limit=settings.part_seconds, feed=True) as child:
        for chunk in dump:
            child.input.write(chunk)


def backup_role(settings: Settings, stop: threading.Event) -> Postgres:
    """The server as the role for backups sees it, which reads everything and changes nothing."""
    return Postgres(settings, stop, role=ROLE, password=settings.secret(PASSWORD))


def _escaped(text: str) -> str:
    if "\n" in text:
        raise BackupError("the password holds an end of line, which a password file cannot hold")
    return text.replace("\\", "\\\\").replace(":", "\\:")


def _as_conninfo(database: str) -> str:
    """A name as `--dbname` takes it, which reads names with `=` or `://` as more than names."""
    quoted = database.replace("\\", "\\\\").replace("'", "\\'")
    return f"dbname='{quoted}'"

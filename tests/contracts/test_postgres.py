"""The real Postgres, started by the rendered script: roles are made true at each start, and each has its own access.

The image's entrypoint is stood in for by a script that starts the server on a socket and a loopback port of the test's
own. Where the test does not run as root, the superuser is let in without `peer`, which needs a user of that name.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

import pytest

from render.postgres import DATABASES, PG_HBA, ROLES, START, postgres_roles
from tests.contracts.conftest import Tool, as_unprivileged, free_port, servers_folder, serving, unprivileged, write

pytestmark = pytest.mark.contract
FIRST = {role: f"{role}First1" for role in ROLES}
SECOND = {role: f"{role}Second2" for role in ROLES}
ROLES_SECONDS = 60
LAST_STATEMENT = "SELECT pg_has_role('backup', 'pg_read_all_data', 'member')"


@dataclass(frozen=True)
class Cluster:
    """A data folder with its configuration beside it."""

    folder: Path
    port: int
    bin: Path

    @contextmanager
    def running(self, passwords: dict[str, str]) -> Iterator["Cluster"]:
        """Started by the script with these passwords, from the time the last of its roles has its own."""
        write(self.folder / "config" / "roles.sql", postgres_roles(passwords))
        env = {"PGPORT": str(self.port), "PATH": f"{self.folder}/programs:{self.bin}:{os.environ['PATH']}"}
        with serving(["bash", str(self.folder / "config" / "start.sh")], self.port, self.folder / "log", env):
            end = monotonic() + ROLES_SECONDS
            while self.ask("n8n", "n8n", LAST_STATEMENT, passwords["n8n"]) != "t":
                assert monotonic() < end, self.log()
                sleep(0.1)
            yield self

    def ask(self, role: str, database: str, sql: str, password: str) -> str:
        """The answer over TCP, or the server's refusal."""
        return self._psql(f"host=127.0.0.1 dbname={database} user={role}", sql, {"PGPASSWORD": password})

    def superuser(self, sql: str, database: str = "postgres") -> str:
        """The answer on the socket, which is in the container of the server alone."""
        return self._psql(f"host={self.folder}/socket dbname={database} user=postgres", sql, {})

    def _psql(self, connection: str, sql: str, env: dict[str, str]) -> str:
        done = subprocess.run(
            [str(self.bin / "psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", sql, f"{connection} port={self.port}"],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            timeout=20,
            env={**os.environ, "PGCONNECT_TIMEOUT": "5", **env},
            **as_unprivileged(),
        )
        return str(done.stdout + done.stderr).strip()

    def log(self) -> str:
        return (self.folder / "log").read_text()


@pytest.fixture(scope="module")
def made(tool: Tool) -> Iterator[Cluster]:
    """A new data folder, and the rendered files with the test's own places in them."""
    programs = Path(tool("postgres")).resolve().parent
    with servers_folder() as folder:
        subprocess.run(
            [str(programs / "initdb"), "-D", f"{folder}/data", "-U", "postgres", "--no-sync", "--auth=reject"],
            check=True,
            capture_output=True,
            cwd="/",
            **as_unprivileged(),
        )
        peer = unprivileged() == "postgres"
        write(folder / "config" / "pg_hba.conf", PG_HBA if peer else PG_HBA.replace(" peer", " trust"))
        start = START
        for there, here in (
            ("/var/run/postgresql", f"{folder}/socket"),
            ("/config/", f"{folder}/config/"),
            ("listen_addresses='*'", "listen_addresses=127.0.0.1"),
        ):
            assert there in start
            start = start.replace(there, here)
        write(folder / "config" / "start.sh", start)
        write(folder / "socket" / ".keep", "")
        entrypoint = f'#!/bin/sh\nexec "$@" -D {folder}/data -c unix_socket_directories={folder}/socket -c fsync=off\n'
        write(folder / "programs" / "docker-entrypoint.sh", entrypoint).chmod(0o700)
        yield Cluster(folder, free_port(), programs)


@pytest.fixture(scope="module")
def cluster(made: Cluster) -> Iterator[Cluster]:
    """Started a second time on the same data, with passwords of a later epoch."""
    with made.running(FIRST) as first:
        for database in DATABASES:
            said = first.ask(database, database, "CREATE TABLE kept AS SELECT 1 AS a", FIRST[database])
            assert said == "", said
    with made.running(SECOND) as second:
        yield second


@pytest.mark.parametrize("database", DATABASES)
def test_each_client_owns_its_database_and_finds_its_data_again(cluster: Cluster, database: str) -> None:
    assert cluster.ask(database, database, "SELECT a FROM kept", SECOND[database]) == "1"
    assert cluster.ask(database, database, "CREATE TABLE t (a int); DROP TABLE t", SECOND[database]) == ""
    assert cluster.ask(database, database, "CREATE SCHEMA s; DROP SCHEMA s", SECOND[database]) == ""


@pytest.mark.parametrize("role", [role for role in ROLES if role != "admin"])
def test_a_new_epoch_s_password_takes_the_place_of_the_old_one(cluster: Cluster, role: str) -> None:
    database = role if role in DATABASES else "postgres"
    assert cluster.ask(role, database, "SELECT 1", SECOND[role]) == "1"
    assert "password authentication failed" in cluster.ask(role, database, "SELECT 1", FIRST[role])


def test_a_third_run_of_the_roles_changes_nothing(cluster: Cluster) -> None:
    query = "SELECT rolname, rolsuper, rolcreatedb, rolcreaterole, rolcanlogin FROM pg_roles ORDER BY 1"
    rights = "SELECT datname, datdba::regrole, datacl FROM pg_database ORDER BY 1"
    before = cluster.superuser(query), cluster.superuser(rights)
    sql = (cluster.folder / "config" / "roles.sql").read_text()
    done = subprocess.run(
        [str(cluster.bin / "psql"), "-Xq", "-v", "ON_ERROR_STOP=1", "-h", f"{cluster.folder}/socket", "-U", "postgres"],
        input=sql,
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={**os.environ, "PGPORT": str(cluster.port)},
        **as_unprivileged(),
    )
    assert done.returncode == 0, done.stderr
    assert (cluster.superuser(query), cluster.superuser(rights)) == before


@pytest.mark.parametrize("database", DATABASES)
@pytest.mark.parametrize("other", DATABASES)
def test_no_client_reaches_the_database_of_another(cluster: Cluster, database: str, other: str) -> None:
    if other != database:
        assert "rejects connection" in cluster.ask(database, other, "SELECT 1", SECOND[database])


def test_clients_are_no_administrators(cluster: Cluster) -> None:
    for role in ("exporter", "backup", *DATABASES):
        database = role if role in DATABASES else "postgres"
        for sql in ("CREATE ROLE more", "CREATE DATABASE more", "COPY (SELECT 1) TO PROGRAM 'true'"):
            said = cluster.ask(role, database, sql, SECOND[role])
            assert "permission denied" in said or "must be superuser" in said, (role, sql, said)


def test_the_exporter_sees_statistics_and_no_data(cluster: Cluster) -> None:
    assert int(cluster.ask("exporter", "postgres", "SELECT count(*) FROM pg_stat_activity", SECOND["exporter"])) > 0
    assert int(cluster.ask("exporter", "postgres", "SELECT count(*) FROM pg_ls_waldir()", SECOND["exporter"])) > 0
    assert "rejects connection" in cluster.ask("exporter", "agents", "SELECT 1", SECOND["exporter"])
    assert "permission denied" in cluster.ask(
        "exporter", "postgres", "SELECT rolpassword FROM pg_authid", SECOND["exporter"]
    )


@pytest.mark.parametrize("database", DATABASES)
def test_backups_read_everything_and_write_nothing(cluster: Cluster, database: str) -> None:
    assert cluster.ask("backup", database, "SELECT a FROM kept", SECOND["backup"]) == "1"
    assert "permission denied" in cluster.ask("backup", database, "DELETE FROM kept", SECOND["backup"])
    dump = subprocess.run(
        [str(cluster.bin / "pg_dump"), "-h", "127.0.0.1", "-p", str(cluster.port), "-U", "backup", database],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PGPASSWORD": SECOND["backup"]},
    )
    assert dump.returncode == 0, dump.stderr
    assert "COPY public.kept" in dump.stdout


def test_the_superuser_comes_in_by_the_socket_alone(cluster: Cluster) -> None:
    assert cluster.superuser("SELECT 1") == "1"
    assert "rejects connection" in cluster.ask("postgres", "postgres", "SELECT 1", SECOND["admin"])


def test_no_password_is_in_the_log(cluster: Cluster) -> None:
    assert "connection authenticated" in cluster.log() or "connection authorized" in cluster.log()
    assert not [word for word in (*FIRST.values(), *SECOND.values()) if word in cluster.log()]


def test_passwords_are_kept_as_scram(cluster: Cluster) -> None:
    kinds = cluster.superuser("SELECT DISTINCT left(rolpassword, 13) FROM pg_authid WHERE rolpassword IS NOT NULL")
    assert kinds == "SCRAM-SHA-256"

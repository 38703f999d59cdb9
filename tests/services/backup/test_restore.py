"""Back up, lose it, restore it: the data is the same."""

import io
import json
import os
import secrets
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path

import pytest
from backup_program import ArgumentWatch, Program
from postgres_server import PostgresServer
from qdrant_stand_in import QdrantStandIn
from s3_server import S3Server

ROWS = "SELECT count(*), md5(string_agg(id || title || coalesce(body::text, ''), ',' ORDER BY id)) FROM notes"


def _describe(folder: Path) -> dict[str, tuple[int, int, int, bytes | str | None]]:
    """Every file of a folder: mode, owner, content."""
    found: dict[str, tuple[int, int, int, bytes | str | None]] = {}
    for path in sorted(folder.rglob("*")):
        stat = path.lstat()
        content = str(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        found[str(path.relative_to(folder))] = (stat.st_mode, stat.st_uid, stat.st_gid, content)
    return found


@pytest.fixture
def databases(postgres: PostgresServer, program: Program) -> list[str]:
    program.give("postgres-password", postgres.password)
    program.env["BACKUP_POSTGRES"] = postgres.address
    names = ["agents", "odd name=1"]
    for name in names:
        postgres.create(name)
        table = "CREATE TABLE notes (id int PRIMARY KEY, title text NOT NULL, body bytea)"
        postgres.sql(name, f"{table}; ALTER TABLE notes OWNER TO owner")
        rows = "SELECT i, 'töst ' || i, decode(repeat(md5(i::text), 20), 'hex') FROM generate_series(1, 5000) i"
        postgres.sql(name, f"INSERT INTO notes {rows}")
    return names


def test_files_come_back_as_they_were(program: Program, tmp_path: Path) -> None:
    volume = program.volume("n8n-data", {"empty": b"", "with [brackets]*.txt": b"x", "umläut/ß": b"y"})
    (volume / "link").symlink_to("config.json")
    (volume / "nested").chmod(0o2750)
    (volume / "config.json").chmod(0o640)
    if os.getuid() == 0:
        os.chown(volume / "config.json", 999, 998)
    before = _describe(volume)
    program.back_up()

    target = tmp_path / "restored"
    program.restore("files", "n8n-data", "--target", str(target))
    assert _describe(target) == before

    refused = program.run("restore", "files", "n8n-data", "--target", str(target))
    assert refused.returncode == 1
    assert b"is not empty; --force" in refused.stderr
    (target / "config.json").write_bytes(b"spoilt")
    program.restore("files", "n8n-data", "--target", str(target), "--force")
    assert _describe(target) == before

    printed = program.restore("files", "n8n-data", "--stdout")
    with tarfile.open(fileobj=io.BytesIO(printed)) as archive:
        assert {m.name for m in archive} == {".", *before}
        assert (archive.getmember("config.json").uid, archive.getmember("config.json").mode) == (
            before["config.json"][1],
            0o640,
        )


def test_a_database_of_a_running_service_comes_back_consistent(program: Program, tmp_path: Path) -> None:
    volume = program.volume("grafana-data", {"plugins/readme": b"z"})
    database = volume / "grafana.db"
    with closing(sqlite3.connect(database)) as live:
        live.execute("PRAGMA journal_mode=WAL")
        live.execute("CREATE TABLE dashboards (id INTEGER PRIMARY KEY, body TEXT)")
        live.executemany("INSERT INTO dashboards (body) VALUES (?)", [(secrets.token_hex(50),) for _ in range(500)])
        live.commit()
        if os.getuid() == 0:
            os.chown(database, 472, 472)
        rows = live.execute("SELECT * FROM dashboards").fetchall()
        assert (volume / "grafana.db-wal").stat().st_size > 0
        program.back_up()
    target = tmp_path / "restored"
    program.restore("files", "grafana-data", "--target", str(target))
    assert sorted(p.name for p in target.iterdir()) == ["grafana.db", "plugins"]
    assert (target / "grafana.db").stat().st_uid == database.stat().st_uid
    with closing(sqlite3.connect(target / "grafana.db")) as restored:
        assert restored.execute("SELECT * FROM dashboards").fetchall() == rows
        assert restored.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    # What nobody has open is copied too, without writing beside it.
    assert not (volume / "grafana.db-wal").exists()
    program.back_up()


def test_postgres_comes_back_as_it_was(program: Program, postgres: PostgresServer, databases: list[str]) -> None:
    before = {name: postgres.sql(name, ROWS) for name in databases}
    program.back_up()
    assert "files/postgres-data" not in program.snapshots()

    full = program.run("restore", "postgres", "agents", "--role", "owner", stdin=postgres.owner_password.encode())
    assert full.returncode == 1
    assert b"is not empty; --force" in full.stderr

    for name in databases:
        postgres.create(name)
        program.restore("postgres", name, "--role", "owner", stdin=postgres.owner_password.encode())
        assert postgres.sql(name, ROWS) == before[name]

    postgres.sql("agents", "DELETE FROM notes WHERE id < 100")
    program.restore("postgres", "agents", "--role", "owner", "--force", stdin=postgres.owner_password.encode())
    assert postgres.sql("agents", ROWS) == before["agents"]
    assert program.restore("postgres", "agents", "--stdout").startswith(b"PGDMP")
    assert program.run("verify").returncode == 0


def test_vectors_come_back_as_they_were(program: Program, qdrant: QdrantStandIn) -> None:
    program.give("qdrant-key", qdrant.key)
    program.env["BACKUP_QDRANT"] = qdrant.url
    qdrant.collections = {"documents": secrets.token_bytes(3_000_000), "odd, name": secrets.token_bytes(70_000)}
    before = dict(qdrant.collections)
    program.back_up()
    assert qdrant.snapshots == {}, "snapshots were left on the server"

    qdrant.collections.clear()
    for name in before:
        program.restore("qdrant", name)
    assert qdrant.collections == before
    refused = program.run("restore", "qdrant", "documents")
    assert refused.returncode == 1
    assert b"exists; --force" in refused.stderr
    program.restore("qdrant", "documents", "--into", "other")
    assert qdrant.collections["other"] == before["documents"]


def test_an_older_snapshot_can_be_chosen(program: Program) -> None:
    folders = (str(program.volumes / "n8n-data"), str(program.cache / "staging" / "n8n-data"))
    (program.cache / "staging" / "n8n-data").mkdir(parents=True)
    assert program.restic("init").returncode == 0
    # Two of one day would be thinned to one.
    marks = ("--time", "2026-01-05 02:30:00", "--host", "oracle1", "--tag", "part:files/n8n-data")
    assert program.restic("backup", *marks, *folders).returncode == 0
    program.volume("n8n-data", {"config.json": b"newer"})
    program.back_up()
    older, newer = json.loads(program.run("list", "--json").stdout)

    def config(snapshot: str) -> bytes:
        printed = program.restore("files", "n8n-data", "--stdout", "--snapshot", snapshot)
        with tarfile.open(fileobj=io.BytesIO(printed)) as archive:
            content = archive.extractfile("config.json")
            assert content is not None
            return content.read()

    assert config(older["id"]) == b'{"encrypted": true}'
    assert config(newer["id"]) == b"newer"
    unknown = program.run("restore", "files", "n8n-data", "--stdout", "--snapshot", "ffffffff")
    assert unknown.returncode == 1
    assert older["id"].encode() in unknown.stderr


def test_retention_works_in_a_locked_bucket(program: Program, s3: S3Server) -> None:
    program.back_up()
    program.volume("n8n-data", {"more.bin": secrets.token_bytes(200_000)})
    program.back_up()
    program.back_up()
    # Three runs of one day: the newest is kept, by newer versions the oldest of all too. The rest is hidden, not gone.
    left = program.snapshots()
    assert left in (["files/n8n-data"], ["files/n8n-data"] * 2)
    assert program.state()["parts"]["files/n8n-data"]["snapshots"] == len(left)
    versions, markers = s3.versions(program.bucket)
    assert versions > 0
    assert markers > 0
    assert program.restic("check", "--read-data").returncode == 0


def test_no_secret_in_arguments_or_logs(
    program: Program, postgres: PostgresServer, databases: list[str], qdrant: QdrantStandIn
) -> None:
    program.give("qdrant-key", qdrant.key)
    program.env["BACKUP_QDRANT"] = qdrant.url
    qdrant.collections["documents"] = secrets.token_bytes(500_000)
    password = postgres.owner_password.encode()
    with ArgumentWatch() as watch:
        runs = [
            program.run("now"),
            program.run("verify"),
            program.run("restore", "postgres", "agents", "--role", "owner", "--force", stdin=password),
            program.run("restore", "qdrant", "documents", "--force"),
        ]
    assert [run.returncode for run in runs] == [0, 0, 0, 0], [run.stderr for run in runs]
    seen = b"\n".join(watch.seen)
    for name in (b"restic\0backup", b"restic\0check", b"pg_dump\0", b"pg_restore\0"):
        assert name in seen, "the watch missed a program"
    hidden = [path.read_bytes().strip() for path in program.config.iterdir()]
    for value in (*hidden, password):
        assert value not in seen
        for run in runs:
            assert value not in run.stdout
            assert value not in run.stderr
        assert value not in (program.cache / "state.json").read_bytes()
    assert list(Path(program.env["BACKUP_SCRATCH_DIR"]).iterdir()) == []

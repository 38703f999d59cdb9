"""What goes wrong in a run: it shows, the rest goes on, and the next run is none the worse."""

import ctypes
import json
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from backup_program import Program, bytes_read, children
from loopback import free_ports, wait_until
from postgres_server import PostgresServer
from qdrant_stand_in import QdrantStandIn
from s3_server import S3Server

PR_SET_CHILD_SUBREAPER = 36


@pytest.fixture
def vectors(program: Program, qdrant: QdrantStandIn) -> QdrantStandIn:
    program.give("qdrant-key", qdrant.key)
    program.env["BACKUP_QDRANT"] = qdrant.url
    qdrant.collections = {name: secrets.token_bytes(400_000) for name in ("broken", "good")}
    return qdrant


@pytest.fixture
def reaper() -> Iterator[None]:
    """Take over the children of programs that were killed, as a container's init does: restic asks for its dead."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    yield
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def _error(done: "subprocess.CompletedProcess[bytes]") -> str:
    assert done.returncode == 1, done.stderr.decode()
    assert b"Traceback" not in done.stderr
    return done.stderr.decode()


def test_a_failing_part_stops_no_other(program: Program, postgres: PostgresServer, vectors: QdrantStandIn) -> None:
    program.give("postgres-password", "not the password")
    program.env["BACKUP_POSTGRES"] = postgres.address
    vectors.truncate.add("broken")
    said = _error(program.run("now"))
    assert "password authentication failed" in said
    assert program.snapshots() == ["files/n8n-data", "qdrant/good"], "half a stream must leave no snapshot"
    state = program.state()
    assert not state["ok"]
    assert [name for name, part in state["parts"].items() if part["error"]] == ["postgres", "qdrant/broken"]
    assert state["parts"]["qdrant/good"]["size"] == 400_000
    assert vectors.snapshots == {}

    # What failed is done again, and nothing else.
    vectors.truncate.clear()
    postgres.create("agents")
    program.give("postgres-password", postgres.password)
    program.back_up("--only-failed")
    assert sorted(set(program.snapshots())) == ["files/n8n-data", "postgres/agents", "qdrant/broken", "qdrant/good"]
    assert program.state()["parts"]["qdrant/good"]["attempt"] == state["parts"]["qdrant/good"]["attempt"]
    assert program.state()["ok"]
    postgres.drop("agents")


def test_a_download_that_differs_from_its_checksum_is_not_kept(program: Program, vectors: QdrantStandIn) -> None:
    vectors.corrupt.add("broken")
    assert "checksum differs" in _error(program.run("now"))
    assert program.snapshots() == ["files/n8n-data", "qdrant/good"]


def test_a_wrong_passphrase_makes_no_new_repository(program: Program, s3: S3Server) -> None:
    program.back_up()
    before = s3.versions(program.bucket)
    right = program.passphrase
    program.give("passphrase", "a wrong passphrase")
    said = _error(program.run("now"))
    assert "the passphrase does not open the repository" in said
    assert "wrong passphrase" not in said
    assert s3.versions(program.bucket) == before
    program.give("passphrase", right)
    program.back_up()


def test_a_store_that_is_away_is_told_within_its_limit(program: Program) -> None:
    port = free_ports(1)[0]
    started = time.monotonic()
    said = _error(program.run("now", BACKUP_HOST=f"127.0.0.1:{port}", BACKUP_PROBE_SECONDS="4"))
    assert time.monotonic() - started < 30
    assert "the store does not answer" in said
    program.back_up()


def test_a_repository_that_was_hidden_is_not_replaced(program: Program, s3: S3Server) -> None:
    program.back_up()
    s3.hide(program.bucket, "config")
    said = _error(program.run("now"))
    assert "No new one is made" in said
    assert s3.call("GET", f"/{program.bucket}/config")[0] == 404


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_that_is_broken_off_does_not_harm_the_next(
    program: Program, vectors: QdrantStandIn, reaper: None, how: signal.Signals
) -> None:
    vectors.collections = {"large": secrets.token_bytes(4_000_000)}
    vectors.pause = 0.2
    process = program.start("now")
    wait_until(vectors.downloading.is_set, 60, "the download")
    wait_until(lambda: any("restic" in Path(f"/proc/{c}/cmdline").read_text() for c in children(process.pid)), 10, "")
    busy = program.run("now")
    assert busy.returncode == 75, busy.stderr
    # Broken off in the middle: restic 0.14 cannot take back a lock that it has just made, and reads after that only.
    wait_until(lambda: any(bytes_read(child) > 1_000_000 for child in children(process.pid)), 30, "restic's reading")
    assert program.restic("list", "locks").stdout.strip() != ""
    started = children(process.pid)
    process.send_signal(how)
    if how is signal.SIGKILL:
        for child in started:  # with a container's first process, all of it ends
            os.kill(child, signal.SIGKILL)
    _, said = process.communicate(timeout=30)
    if how is signal.SIGKILL:
        for child in started:
            os.waitpid(child, 0)
    assert process.returncode != 0
    if how is signal.SIGTERM:
        assert children(process.pid) == []
        assert json.loads(said.splitlines()[-1])["event"] == "run ended"
        assert program.restic("list", "locks").stdout == "", "an orderly end leaves no lock"
        assert vectors.snapshots == {}
    else:
        assert len(vectors.snapshots) == 1
    vectors.pause = 0
    program.back_up()
    assert vectors.snapshots == {}, "what the broken run left on the server is removed by the next"
    assert program.snapshots()[-1] == "qdrant/large"
    vectors.collections.clear()
    program.restore("qdrant", "large")
    assert program.restic("check", "--read-data").returncode == 0


def test_a_volume_that_lost_its_files_is_an_error(program: Program) -> None:
    program.back_up()
    for path in sorted((program.volumes / "n8n-data").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    assert "is it mounted?" in _error(program.run("now"))


def test_a_part_that_is_too_slow_is_stopped(program: Program, vectors: QdrantStandIn) -> None:
    vectors.pause = 0.5
    vectors.collections = {"slow": secrets.token_bytes(4_000_000)}
    said = _error(program.run("now", BACKUP_PART_SECONDS="8"))
    assert "stopped after its limit of 8 s" in said
    assert "qdrant/slow" not in program.snapshots()


def test_what_is_no_more_does_not_alert_for_ever(program: Program, vectors: QdrantStandIn) -> None:
    program.back_up()
    del vectors.collections["broken"]
    program.back_up()
    assert "qdrant/broken" not in program.state()["parts"]
    assert "qdrant/broken" in program.snapshots(), "its snapshots stay as long as any other"


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("BACKUP_AT", "25:00", "BACKUP_AT is '25:00'"),
        ("BACKUP_CHECK", "someday", "BACKUP_CHECK is 'someday'; allowed are fri, mon"),
        ("BACKUP_BUCKET", "", "BACKUP_BUCKET is not set"),
        ("BACKUP_CHECK_SLICES", "0", "a whole number, 1 or more"),
        ("BACKUP_CONFIG_DIR", "/nowhere", "the secret 'access-key' cannot be read"),
    ],
)
def test_bad_settings_are_told(program: Program, key: str, value: str, said: str) -> None:
    program.env[key] = value
    assert said in _error(program.run("now"))

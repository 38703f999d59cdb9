"""A stand-in for the command `prisma`, whose schema engine no package registry serves: `prisma migrate deploy`.

It applies the migrations that LiteLLM ships, in their order, with `psql`, and notes them where Prisma does. LiteLLM
starts it in the folder that holds `migrations/`.
"""

import hashlib
import os
import subprocess
import sys
import urllib.parse
import uuid
from pathlib import Path

TABLE = """
CREATE TABLE IF NOT EXISTS _prisma_migrations (
    id varchar(36) PRIMARY KEY, checksum varchar(64) NOT NULL, finished_at timestamptz, migration_name varchar(255)
    NOT NULL, logs text, rolled_back_at timestamptz, started_at timestamptz NOT NULL DEFAULT now(),
    applied_steps_count integer NOT NULL DEFAULT 0
);
"""
NOTE = "INSERT INTO _prisma_migrations (id, checksum, finished_at, migration_name, applied_steps_count) VALUES"


def psql(sql: str, *arguments: str) -> str:
    """What the database answers; the place and the password are in the environment.

    Raises:
        SystemExit: it refused, in its own words.

    """
    url = urllib.parse.urlsplit(os.environ["DATABASE_URL"])
    place = {
        "PGHOST": url.hostname or "",
        "PGPORT": str(url.port or 5432),
        "PGUSER": urllib.parse.unquote(url.username or ""),
        "PGPASSWORD": urllib.parse.unquote(url.password or ""),
        "PGDATABASE": url.path.lstrip("/"),
        "PGOPTIONS": "-c client_min_messages=warning",
    }
    command = ["psql", "-v", "ON_ERROR_STOP=1", "-qAtX", *arguments]
    done = subprocess.run(command, input=sql, env={**os.environ, **place}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout


def deploy(folder: Path) -> None:
    """Apply what is missing, each migration and its note in one transaction where it allows one."""
    psql(TABLE)
    applied = set(psql("SELECT migration_name FROM _prisma_migrations").split())
    script = []
    for place in sorted(path for path in folder.iterdir() if (path / "migration.sql").exists()):
        if place.name in applied:
            continue
        sql = (place / "migration.sql").read_text(encoding="utf-8")
        digest = hashlib.sha256(sql.encode()).hexdigest()
        values = f"'{uuid.uuid4()}', '{digest}', now(), '{place.name}', 1"
        # An index that is built while others write cannot be built in a transaction.
        begin, end = ("", "") if "CONCURRENTLY" in sql else ("BEGIN;", "COMMIT;")
        script += [begin, sql, f";{NOTE} ({values});", end]
    psql("\n".join(script))
    print("No pending migrations to apply.")


def main() -> None:
    """`prisma --version` and `prisma migrate deploy`."""
    if sys.argv[1:] == ["migrate", "deploy"]:
        deploy(Path("migrations"))
    elif sys.argv[1:] == ["--version"]:
        print("prisma: a stand-in that applies migrations")
    else:
        raise SystemExit(f"prisma {' '.join(sys.argv[1:])}: not known to this stand-in")


if __name__ == "__main__":
    main()

"""A real Postgres with the proxy's database, and the programs of its client, which are stood in for.

Prisma's query engine and migrations are native programs that no package registry serves; `lab/images/query_engine.py`
says by what.
"""

import fcntl
import importlib.util
import os
import sys
from pathlib import Path

from lab.images.query_engine import content, install
from tests.services.agents.servers import Postgres

PASSWORD = "database-of-the-tests"


class Database(Postgres):
    """With the role `litellm` and as many databases as there are proxies."""

    def start(self) -> None:
        if self._process is not None:
            return
        super().start()
        if self.psql("SELECT count(*) FROM pg_roles WHERE rolname = 'litellm'", "postgres", "postgres") == "0":
            self.psql(f"CREATE ROLE litellm LOGIN PASSWORD '{PASSWORD}'", "postgres", "postgres")

    def made(self, name: str) -> str:
        """The URL of a new database."""
        self.psql(f"CREATE DATABASE {name} OWNER litellm", "postgres", "postgres")
        return f"postgresql://litellm:{PASSWORD}@127.0.0.1:{self.port}/{name}"

    def rows(self, statement: str, database: str) -> list[list[str]]:
        """The rows of a statement, as texts."""
        return [line.split("|") for line in self.psql(statement, "litellm", database).splitlines()]


def engine() -> Path:
    """The folder of the client's programs, beside the virtual environment, made once for each content."""
    packages = Path(_place("litellm")).parent
    folder = Path(sys.prefix) / "query-engine" / content()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = folder / "done"
        if not done.exists():
            install(folder, schema=packages / "litellm" / "proxy" / "schema.prisma", packages=packages)
            done.touch()
    return folder


def environment() -> dict[str, str]:
    """What LiteLLM needs to find them."""
    folder = engine()
    return {
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(folder / "client"),
        "PRISMA_QUERY_ENGINE_BINARY": str(folder / "query-engine"),
    }


def _place(package: str) -> str:
    found = importlib.util.find_spec(package)
    assert found is not None
    assert found.submodule_search_locations
    return found.submodule_search_locations[0]

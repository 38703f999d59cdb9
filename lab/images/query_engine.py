"""Where LiteLLM's database client gets its programs: the native ones are on no package registry.

The client is Prisma's for Python. Its query engine is stood in for by the same engine in WebAssembly, under Node, and
the command that applies migrations by `psql`; both lie in `standins/query_engine`.
"""

import hashlib
import os
import shutil
import sys
from pathlib import Path
from typing import Final

from lab.images.client import run

SOURCES: Final = Path(__file__).with_name("standins") / "query_engine"
FILES: Final = ("engine.mjs", "graphql.mjs", "package.json", "package-lock.json", "migrate.py")
ENGINE: Final = "query-engine"
"""The program's name in the folder; `prisma`, the other, lies in its `bin`."""
_UNUSED: Final = ("prisma", "@prisma/engines", "@prisma/fetch-engine")
"""What only the generator reads, 18 of 22 MiB."""


def content() -> str:
    """A hash of everything here that decides what comes out."""
    files = [*(SOURCES / name for name in FILES), Path(__file__)]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def install(folder: Path, *, schema: Path, packages: Path, at: str = "") -> None:
    """Make a folder with the engine (`query-engine`), the command (`bin/prisma`) and the client (`client/prisma`).

    `schema` is LiteLLM's; `packages` holds Prisma's client, still without a schema, for this Python. `at` is the
    folder's path when it runs, if it is another one then.

    Raises:
        LayerError: npm or the generator failed, with what it said.

    """
    folder = folder.resolve()
    at = at or str(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copy(SOURCES / name, folder / name)
    run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=folder)
    _program(folder / ENGINE, f'exec node {at}/engine.mjs "$@"')
    _generate(folder, schema, packages)
    _program(folder / "bin" / "prisma", f'exec python3 {at}/migrate.py "$@"')
    for name in _UNUSED:
        shutil.rmtree(folder / "node_modules" / name, ignore_errors=True)


def _program(path: Path, line: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)
    return path


def _generate(folder: Path, schema: Path, packages: Path) -> None:
    """Prisma's generator wants each of its programs to be there, and starts none but ours."""
    shutil.copytree(packages / "prisma", folder / "client" / "prisma", dirs_exist_ok=True)
    make = folder / "make"
    _program(make / "prisma-client-py", f"exec {sys.executable} -c 'from prisma.cli import main; main()'")
    absent = str(_program(make / "absent"))
    shutil.copy(schema, make / "schema.prisma")
    try:
        run(
            *("node", "node_modules/prisma/build/index.js", "generate", "--schema", str(make / "schema.prisma")),
            cwd=folder,
            env={
                "PATH": f"{make}:{os.environ['PATH']}",
                "PYTHONPATH": f"{folder / 'client'}:{packages}",
                "PRISMA_QUERY_ENGINE_BINARY": str(folder / ENGINE),
                "PRISMA_QUERY_ENGINE_LIBRARY": absent,
                "PRISMA_SCHEMA_ENGINE_BINARY": absent,
                "PRISMA_CLI_QUERY_ENGINE_TYPE": "binary",
                "CHECKPOINT_DISABLE": "1",
            },
        )
    finally:
        shutil.rmtree(make)

"""Finds the Pulumi engine: an official `pulumi` on PATH that is recent enough, else the pinned one, built.

`python -m engine.cli` prints its path; `python -m engine.cli actionlint` that of another tool of go.mod.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from engine.toolchain import ALL_TOOLS, PULUMI, BuildError, build, parse_version, pinned_version


def find_pulumi() -> Path:
    """The engine to use, built if there is none."""
    official = shutil.which("pulumi")
    if official and _version(official) >= parse_version(pinned_version(PULUMI)):
        return Path(official)
    return build(PULUMI)


def _version(pulumi: str) -> tuple[int, ...]:
    env = os.environ | {"PULUMI_SKIP_UPDATE_CHECK": "true"}
    try:
        result = subprocess.run([pulumi, "version"], capture_output=True, text=True, check=False, env=env)
    except OSError:
        return ()
    return parse_version(result.stdout)


def main() -> None:
    """Print the path of a tool, building it first where needed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tool", nargs="?", default=PULUMI.name, choices=sorted(ALL_TOOLS))
    tool = ALL_TOOLS[parser.parse_args().tool]
    try:
        print(find_pulumi() if tool is PULUMI else build(tool))
    except BuildError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()

"""Counts in the running lab what each kind of change would do; writes the table of docs/changes.md."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

from engine.page import write_section
from engine.root import CHECKOUT
from lab import nodes
from lab.changes.count import preview, table
from lab.changes.kinds import KINDS
from lab.machine import LabError, check_machine
from lab.session import open_session

PAGE: Final = CHECKOUT / "docs" / "changes.md"


def main() -> int:
    """Preview every kind of change and write the table."""
    parser = argparse.ArgumentParser(prog="python -m lab.changes", description=__doc__)
    parser.add_argument("--folder", type=Path, default=CHECKOUT / ".lab", help="the lab's folder")
    parser.add_argument("--dry-run", action="store_true", help="print the table without writing it")
    args = parser.parse_args()
    folder: Path = args.folder.resolve()
    if not nodes.running(folder):
        print("error: no lab is up\n  fix: make lab", file=sys.stderr)
        return 1
    try:
        check_machine()
        with nodes.locked():
            session = open_session(folder, lambda text: print(f"changes: {text}", flush=True))
            with session.stacks() as stacks:
                found = {}
                for kind in KINDS:
                    found[kind.name] = preview(stacks, kind)
                    print(f"changes: {kind.name}: {found[kind.name]}", flush=True)
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    lines = table(found)
    print("\n".join(lines))
    if not args.dry_run:
        write_section("make changes", lines, PAGE)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Measures the mesh of the lab that is up; writes its tables into docs/performance.md. See `make bench-mesh`."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from engine.page import write_section
from engine.root import CHECKOUT
from lab import nodes
from lab.bench import failover, latency, memory, renewal, rest, streams
from lab.bench.places import Lab
from lab.machine import LabError, check_machine
from lab.session import Session, open_session

_PARTS: Final = ("latency", "streams", "failover", "renewal", "memory", "start-up", "rest", "boot")


def main() -> int:
    """Measure the parts that are named."""
    parser = argparse.ArgumentParser(prog="python -m lab.bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(_PARTS)}; none: all")
    parser.add_argument("--folder", type=Path, default=CHECKOUT / ".lab", help="the lab's folder")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each comparison")
    parser.add_argument("--seconds", type=int, default=20, help="of one run at a steady rate")
    parser.add_argument("--minutes", type=float, default=10, help="of load by streams")
    parser.add_argument("--dry-run", action="store_true", help="print the tables without writing them")
    args = parser.parse_args()
    if unknown := set(args.parts) - set(_PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(_PARTS)}")
    if not nodes.running(args.folder):
        print("error: no lab is up to be measured\n  fix: make lab", file=sys.stderr)
        return 1
    try:
        check_machine()
        with nodes.locked():
            _run(args)
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _run(args: argparse.Namespace) -> None:
    session = open_session(args.folder, lambda text: print(f"bench: {text}", flush=True))
    for part in args.parts or _PARTS:
        lines = _measure(session, part, args)
        print("\n".join(lines), flush=True)
        if not args.dry_run:
            write_section(f"make bench-mesh: {part}", lines)


def _measure(session: Session, part: str, args: argparse.Namespace) -> list[str]:
    lab = Lab({node.name: node for node in session.nodes})

    def renewed() -> list[str]:
        with session.stacks() as stacks:
            return renewal.measure(lab, stacks)

    measures: dict[str, Callable[[], list[str]]] = {
        "latency": lambda: latency.measure(lab, args.rounds, args.seconds),
        "streams": lambda: streams.measure(lab, args.rounds, args.minutes),
        "failover": lambda: failover.measure(lab, args.rounds),
        "renewal": renewed,
        "memory": lambda: memory.measure(lab),
        "rest": lambda: rest.measure(lab, 3 * args.seconds),
        "boot": lambda: rest.boot(lab),
        "start-up": lambda: [memory.start_up(lab, args.rounds)],
    }
    made = f"{os.cpu_count()} cores that also ran both nodes and the load, {platform.system()} {platform.machine()}"
    return [*measures[part](), "", f"Made by `make bench-mesh` on {made}."]


if __name__ == "__main__":
    sys.exit(main())

"""The lab's commands: `python -m lab up`, `down`, `status`, `cut NODE`, `heal NODE` and those of single stacks."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from engine.root import CHECKOUT
from engine.toolchain import BuildError
from lab import clouds, link, nodes, status
from lab.machine import LabError
from lab.places import ADDRESSES
from lab.places import nodes as nodes_of
from lab.session import open_session, operate

FOLDER = CHECKOUT / ".lab"
"""Everything that the lab makes, by default."""


def say(text: str) -> None:
    """A line of progress, with the time since the start."""
    print(f"lab: {time.monotonic() - _STARTED:5.1f} s  {text}", file=sys.stderr, flush=True)


_STARTED = time.monotonic()


def run(folder: Path, operation: str, chosen: Sequence[str]) -> int:
    """One operation on stacks, in the order in which they need each other."""
    with nodes.locked():
        session = open_session(folder, say)
        with session.stacks() as stacks:
            outcomes = operate(
                stacks, operation, [n.name for n in session.nodes if n.name in (chosen or ADDRESSES)], say
            )
    if operation == "up":
        print(status.table(session.nodes))
    return 0 if all(outcome.passed for outcome in outcomes) else 1


def down(folder: Path, *, everything: bool) -> int:
    """Take the lab away."""
    with nodes.locked():
        # First what the engine knows: where that is gone, the next start clears the nodes, whatever happens here.
        shutil.rmtree(folder / "stacks", ignore_errors=True)
        clouds.stop_clouds()
        nodes.remove_nodes(folder, everything=everything)
        for path in (*folder.glob("devices-*.json"), folder / "tailnet.json"):
            path.unlink(missing_ok=True)
        if everything:
            shutil.rmtree(folder, ignore_errors=True)
    return 0


def main() -> int:
    """Run the command that the arguments name."""
    parser = argparse.ArgumentParser(prog="python -m lab", description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the lab keeps everything (default: .lab)")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("up", "preview", "refresh", "destroy"):
        command = commands.add_parser(name, help=f"pulumi {name} on the lab's stacks")
        command.add_argument("stacks", nargs="*", choices=[*ADDRESSES, []], help="default: all")
    for name in ("cut", "heal"):
        commands.add_parser(name, help="the node's tailnet link").add_argument("node", choices=list(ADDRESSES))
    commands.add_parser("status", help="every service: real or stand-in, healthy or not")
    commands.add_parser("down", help="remove it").add_argument("--everything", action="store_true", help="images too")
    args = parser.parse_args()
    folder: Path = args.folder.resolve()
    try:
        match args.command:
            case "down":
                return down(folder, everything=args.everything)
            case "status":
                print(status.table(nodes_of(folder)))
                return 0
            case "cut" | "heal":
                act = link.cut if args.command == "cut" else link.heal
                act(next(node for node in nodes_of(folder) if node.name == args.node))
                return 0
            case _:
                return run(folder, args.command, args.stacks)
    except (LabError, BuildError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())

"""The lab's commands: `python -m lab up`, `down`, `status`, `cut NODE`, `heal NODE` and those of single stacks."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from engine.cli import find_pulumi
from engine.outcome import Outcome
from engine.root import CHECKOUT
from engine.toolchain import BuildError
from lab import clouds, link, nodes, status
from lab.images.build import build_images, keys_of
from lab.machine import LabError
from lab.places import ADDRESSES, Node
from lab.places import nodes as nodes_of
from lab.providers import lab_providers
from lab.stacks import Stacks, lab_config

FOLDER = CHECKOUT / ".lab"
"""Everything that the lab makes, by default."""


def say(text: str) -> None:
    """A line of progress, with the time since the start."""
    print(f"lab: {time.monotonic() - _STARTED:5.1f} s  {text}", file=sys.stderr, flush=True)


_STARTED = time.monotonic()


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[tuple[tuple[Node, ...], Stacks]]:
    """The running lab with its images, clouds and providers; nodes and their stacks."""
    pulumi = find_pulumi()
    folder.mkdir(parents=True, exist_ok=True)
    say("nodes: namespaces, link, Docker daemons")
    found = nodes.start_nodes(folder)
    if not (folder / "stacks").exists() and any(nodes.has_containers(node) for node in found):
        say("clearing away what a killed lab left")
        nodes.remove_nodes(folder)
        found = nodes.start_nodes(folder)
    aws = clouds.start_clouds(folder)
    mapping = prepare_images(found, folder)
    with lab_providers(folder, mapping, aws) as ports:
        stacks = Stacks(CHECKOUT, folder / "stacks", pulumi, ports)
        for node in found:
            stacks.configure(node.name, lab_config(node))
        yield found, stacks


def prepare_images(found: Sequence[Node], folder: Path) -> dict[str, str]:
    """Bring each node the images of its role; what each reference of the program stands for."""
    mapping: dict[str, str] = {}
    with ThreadPoolExecutor(len(found)) as threads:
        made = threads.map(lambda n: build_images(n.host, folder, say, keys=keys_of(n.role)), found)
        for references in made:
            mapping |= references
    return mapping


def operate(folder: Path, operation: str, chosen: Sequence[str]) -> int:
    """One operation on stacks, in the order in which they need each other."""
    with nodes.locked(), opened(folder) as (found, stacks):
        order = [node.name for node in found if not chosen or node.name in chosen]
        if operation == "destroy":
            order.reverse()
        outcomes = []
        for name in order:
            outcomes.append(stacks.operate(operation, name, progress=lambda s, n: say(f"{operation} {s}: {n} done")))
            _report(operation, outcomes[-1])
            if outcomes[-1].errors and operation == "up":
                break
    if operation == "up":
        print(status.table(nodes_of(folder)))
    return 0 if all(outcome.passed for outcome in outcomes) else 1


def _report(operation: str, outcome: Outcome) -> None:
    counts = ", ".join(f"{count} {name}" for name, count in sorted(outcome.operations.items()))
    say(f"{operation} {outcome.stack}: {counts or 'nothing'} in {outcome.seconds:.0f} s")
    for error in outcome.errors:
        print(f"  error: {error}", file=sys.stderr)


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
                return operate(folder, args.command, args.stacks)
    except (LabError, BuildError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())

"""The lab's commands: `up`, `down`, `status`, `cut NODE`, `heal NODE`, `shell NODE` and those of single stacks."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from engine.root import CHECKOUT
from engine.toolchain import BuildError
from lab import docker_root, link, nodes, status
from lab.machine import LabError, in_namespace, succeeds
from lab.places import ADDRESSES, Node
from lab.places import nodes as nodes_of
from lab.session import clear_away, marked, open_session, operate

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
        with session.stacks() as stacks, marked(folder):
            outcomes = operate(
                stacks, operation, [n.name for n in session.nodes if n.name in (chosen or ADDRESSES)], say
            )
    if operation == "up":
        print(status.table(session.nodes))
    return 0 if all(outcome.passed for outcome in outcomes) else 1


def down(folder: Path, *, everything: bool) -> int:
    """Take the lab away."""
    with nodes.locked():
        nodes.refuse_other(folder)
        clear_away(folder, everything=everything)
    return 0


def shell(node: Node, words: Sequence[str]) -> None:
    """Become a shell, or a command, on a node: in its network, with its Docker."""
    own = docker_root.client(node.folder).parent
    path = f"{own}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    environment = {**os.environ, "DOCKER_HOST": node.host, "PATH": path}
    if not words:
        words = [os.environ.get("SHELL") or "/bin/sh"]
        print(f"lab: on {node.name}, {node.address}; `docker` is this node's, `exit` leaves it", file=sys.stderr)
        prompt = f"({node.name}) "
        # bash sets its prompt itself; what it does before the first one comes later.
        environment |= {"PS1": f"{prompt}$ ", "PROMPT_COMMAND": f'PS1="{prompt}$PS1"; unset PROMPT_COMMAND'}
    command = list(in_namespace(node.namespace, *words))
    os.execvpe(command[0], command, environment)  # noqa: S606 - a shell is what was asked for


def running_node(folder: Path, name: str) -> Node:
    """A node of the lab that is up."""
    node = next(node for node in nodes_of(folder) if node.name == name)
    if not succeeds(*in_namespace(node.namespace, "true")):
        raise LabError(f"the lab is not up: there is no {name}\n  fix: make lab")
    return node


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
    command = commands.add_parser("shell", help="a shell, or a command, in the node's network with its Docker")
    command.add_argument("node", choices=list(ADDRESSES))
    command.add_argument("words", nargs="*", metavar="COMMAND", help="after `--`; default: your shell")
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
                act(running_node(folder, args.node))
                return 0
            case "shell":
                shell(running_node(folder, args.node), args.words)
                return 0
            case _:
                return run(folder, args.command, args.stacks)
    except (LabError, BuildError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())

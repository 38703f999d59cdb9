"""`make bench`: how long a plan of each stack takes against a flat program with as many bare resources of each kind.

Both run on the same engine and plan providers, in turn, so that whatever else the machine does weighs on both.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.cli import find_pulumi
from engine.outcome import Outcome
from engine.page import write_section
from engine.planning import plan_providers, plan_stack
from engine.preview import STACKS
from engine.root import CHECKOUT, PREVIEW
from engine.toolchain import PULUMI, pinned_version
from engine.workspace import Workspace, prepare

_GOAL: Final = 1.3
_COMMAND: Final = "make bench"
_FLAT: Final = Path(__file__).with_name("flat")
_POLICIES: Final = CHECKOUT / "policies"


@dataclass(frozen=True)
class Result:
    """Medians of one comparison, in seconds."""

    stack: str
    resources: int
    policies: bool
    ours: float
    flat: float

    @property
    def ratio(self) -> float:
        """How many times as long as the flat program the stack takes."""
        return self.ours / self.flat


def main() -> int:
    """Measure, write the table into the docs, and fail when the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dry-run", action="store_true", help="print the table without writing it")
    args = parser.parse_args()
    with plan_providers() as ports:
        workspace = prepare(CHECKOUT, find_pulumi(), PREVIEW, ports)
        results = [_compare(workspace, stack, policies, args.rounds) for stack in STACKS for policies in (False, True)]
    lines = _table(results, args.rounds)
    print("\n".join(lines))
    if not args.dry_run:
        write_section(_COMMAND, lines)
    return 0 if all(result.ratio <= _GOAL for result in results) else 1


def _compare(workspace: Workspace, stack: str, policies: bool, rounds: int) -> Result:
    pack = _POLICIES if policies else None
    first = _checked(plan_stack(workspace, stack, policy_pack=pack))  # warms both sides' caches, and counts
    flat_env: Mapping[str, str] = {**workspace.env, "FLAT_RESOURCES": json.dumps(first.kinds)}
    flat_workspace = dataclasses.replace(workspace, env=flat_env)
    ours: list[float] = []
    flat: list[float] = []
    for _ in range(rounds):
        ours.append(_seconds(workspace, stack, pack, None))
        flat.append(_seconds(flat_workspace, stack, pack, _FLAT))
        print(f"{stack}: {ours[-1]:.2f} s, flat {flat[-1]:.2f} s", file=sys.stderr)
    return Result(stack, first.resources, policies, statistics.median(ours), statistics.median(flat))


def _seconds(workspace: Workspace, stack: str, pack: Path | None, program: Path | None) -> float:
    started = time.monotonic()
    _checked(plan_stack(workspace, stack, policy_pack=pack, program=program))
    return time.monotonic() - started


def _checked(outcome: Outcome) -> Outcome:
    if outcome.errors:
        sys.exit(f"error: {outcome.stack} does not plan: {outcome.errors[0]}")
    return outcome


def _table(results: Sequence[Result], rounds: int) -> list[str]:
    lines = [
        "| stack | resources | policy pack | plan, s | flat program, s | ratio |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {result.stack} | {result.resources} | {'yes' if result.policies else 'no'} "
        f"| {result.ours:.2f} | {result.flat:.2f} | {result.ratio:.2f} |"
        for result in results
    ]
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    lines += [
        "",
        f"Made by `{_COMMAND}`: medians of {rounds} alternating runs with Pulumi {pinned_version(PULUMI)} "
        f"on {machine}. The goal is a ratio of at most {_GOAL}.",
    ]
    return lines


if __name__ == "__main__":
    sys.exit(main())

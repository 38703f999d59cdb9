"""Runs one operation on one stack: the unchanged program, as an inline program of the Automation API.

A process of its own, because a program's modules and Pulumi's runtime keep global state. It writes one line of JSON
for progress every so often, and the outcome as the last one.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import pulumi.automation as auto

from engine.outcome import Outcome
from engine.plan import project_program
from lab.progress import Progress

_PROGRESS_SECONDS: Final = 5
_GAVE_UP: Final = "the program gave up"
_PARALLEL: Final = 32
"""Creations wait for health; the engine's own default, four for each core, would queue them."""


class _Workspace(auto.LocalWorkspace):
    """A workspace in which no stack is selected: every command names its own, and selecting takes half a second."""

    def select_stack(self, stack_name: str) -> None:
        """Nothing to do."""


def operate(
    operation: str,
    stack: str,
    program: Callable[[], None],
    work_dir: Path,
    say: Callable[[str], None],
    targets: Sequence[str] = (),
) -> Outcome:
    """Do one operation and gather what the engine says of it; what a person would read goes to the stack's log, too."""
    outcome = Outcome(stack)
    progress = Progress()
    ended = threading.Event()
    started = time.monotonic()

    def record(event: auto.EngineEvent) -> None:
        outcome.record(event)
        progress.record(event)

    def report() -> None:
        while not ended.wait(_PROGRESS_SECONDS):
            say(progress.text())

    handle = auto.Stack.select(stack, _Workspace(work_dir=str(work_dir), program=program))
    log = (work_dir / f"{stack}.log").open("a", encoding="utf-8")
    common: dict[str, Any] = {"on_event": record, "on_output": log.write, "color": "never"}
    common |= {"diff": True} if operation != "refresh" else {}  # which knows no such option
    common |= {"target": list(targets)} if targets else {}
    reporter = threading.Thread(target=report)
    reporter.start()
    try:
        match operation:
            case "preview":
                handle.preview(parallel=_PARALLEL, **common)
            case "up":
                # One that fails does not hold up the rest: as `pulumi up --continue-on-error` does.
                handle.up(parallel=_PARALLEL, continue_on_error=True, **common)
            case "refresh":
                # What a killed engine was about to make is forgotten, as the runbook of the interrupted engine says.
                handle.refresh(parallel=_PARALLEL, clear_pending_creates=True, **common)
            case _:
                handle.destroy(parallel=_PARALLEL, exclude_protected=True, continue_on_error=True, **common)
    except auto.CommandError as error:
        if outcome.passed:  # the engine failed without an event that says why
            outcome.errors.append(str(error).strip())
    finally:
        ended.set()
        reporter.join()
        log.close()
    outcome.errors = [error for error in outcome.errors if not _is_echo(error)] or outcome.errors
    outcome.seconds = time.monotonic() - started
    return outcome


def _is_echo(error: str) -> bool:
    """Whether an error only says that another one was there."""
    return error in (_GAVE_UP, "update failed") or "ResourceRegistrationFailed" in error


def main() -> None:
    """Operate on the stack that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--project", type=Path, required=True)
    parser.add_argument("--work-dir", type=Path, required=True)
    parser.add_argument("--target", action="append", default=[], help="as the engine's option of that name")
    parser.add_argument("operation", choices=("preview", "up", "refresh", "destroy"))
    parser.add_argument("stack")
    args = parser.parse_args()
    # The program's own prints must not mix with the lines of JSON.
    report, sys.stdout = sys.stdout, sys.stderr
    os.chdir(args.project)
    sys.path.insert(0, str(args.project))

    def write(**line: object) -> None:
        report.write(json.dumps(line) + "\n")
        report.flush()

    program = project_program(args.project)
    outcome = operate(
        args.operation, args.stack, program, args.work_dir, lambda text: write(progress=text), args.target
    )
    write(outcome=outcome.to_json())


if __name__ == "__main__":
    main()

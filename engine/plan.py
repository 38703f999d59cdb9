"""Plans one stack: the program runs here, as an inline program of the Automation API, against the real engine.

A process of its own (`python -m engine.plan`), because a program's modules and Pulumi's runtime keep global state. It
writes one line of JSON for progress every so often, and the outcome as the last one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import runpy
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pulumi
import pulumi.automation as auto
from pulumi.runtime.config import CONFIG

from engine.outcome import Facts, Outcome

_PROGRESS_SECONDS: Final = 0.25
_GAVE_UP: Final = "the program gave up"


class _Workspace(auto.LocalWorkspace):
    """A workspace in which no stack is selected: every command names its own, and selecting takes half a second."""

    def select_stack(self, stack_name: str) -> None:
        """Nothing to do."""


def plan(
    stack: str, program: Callable[[], None], work_dir: Path, policy_pack: Path | None, progress: Callable[[int], None]
) -> Outcome:
    """Preview a stack of the workspace that the environment describes, with its policy pack."""
    outcome = Outcome(stack)
    reported = started = time.monotonic()

    def record(event: auto.EngineEvent) -> None:
        nonlocal reported
        outcome.record(event)
        if (now := time.monotonic()) - reported > _PROGRESS_SECONDS:
            reported = now
            progress(outcome.resources)

    # The SDK sends several debug messages for each resource, waits for each to arrive, and nobody reads them here:
    # without them a plan of 300 resources is a second faster.
    pulumi.log.debug = _say_nothing
    workspace = _Workspace(work_dir=str(work_dir), program=lambda: _run_and_settle(program))
    packs = [str(policy_pack)] if policy_pack else []
    try:
        auto.Stack.select(stack, workspace).preview(
            policy_packs=packs, on_event=record, color="never", suppress_progress=True, suppress_outputs=True
        )
    except auto.CommandError as error:
        if outcome.passed:  # the engine failed without an event that says why
            outcome.errors.append(str(error).strip())
    # A program that logs its error and then exits has said it all.
    outcome.errors = [error for error in outcome.errors if error != _GAVE_UP] or outcome.errors
    outcome.seconds = time.monotonic() - started
    return outcome


async def _run_and_settle(program: Callable[[], None]) -> None:
    """Run the program, then let its tasks end.

    The SDK would wait for them too, but for one at a time with callbacks on all others, which takes a second for
    2,000 outputs. A failed task ends the wait at once: the SDK then reports it.
    """
    program()
    while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        if any(task.cancelled() or task.exception() for task in done):
            return


def _say_nothing(
    msg: str, resource: pulumi.Resource | None = None, stream_id: int | None = None, ephemeral: bool | None = None
) -> None:
    """Stands for `pulumi.log.debug`."""


def project_program(project: Path) -> Callable[[], None]:
    """The project's `__main__.py` as a function whose failures are one message where people can fix them."""

    def program() -> None:
        try:
            runpy.run_path(str(project / "__main__.py"), run_name="__main__")
        except pulumi.RunError:
            raise
        except SystemExit as stop:
            if stop.code:
                raise pulumi.RunError(stop.code if isinstance(stop.code, str) else _GAVE_UP) from stop
        except Exception as error:
            raise pulumi.RunError(_explain(error, project)) from error

    return program


def _followed_by(program: Callable[[], None], action: Callable[[], None]) -> Callable[[], None]:
    def both() -> None:
        program()
        action()

    return both


def _service_facts(stack: str) -> Facts:
    # Imported late: the project's own packages are there only once its folder is on the path.
    from engine.services import planned_facts

    return planned_facts(stack, CONFIG.get(), os.environ)


def _explain(error: Exception, project: Path) -> str:
    """A wrong setting is the user's to fix and says it all itself; anything else is a bug and shows where it was."""
    if any(cls.__name__ == "SettingsError" for cls in type(error).__mro__):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if _is_own(Path(frame.filename), project)]
    return "".join([*traceback.format_list(own), *traceback.format_exception_only(error)]).strip()


def _is_own(file: Path, project: Path) -> bool:
    """Whether a file is the project's own, neither a library's nor this one."""
    return file.is_relative_to(project) and ".venv" not in file.parts and file != Path(__file__)


def main() -> None:
    """Plan the stack that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--project", type=Path, required=True)
    parser.add_argument("--program", type=Path, help="folder whose __main__.py to run, if not the project's")
    parser.add_argument("--work-dir", type=Path, required=True)
    parser.add_argument("--policy-pack", type=Path)
    parser.add_argument("stack")
    args = parser.parse_args()
    # The program's own prints must not mix with the lines of JSON.
    report, sys.stdout = sys.stdout, sys.stderr
    os.chdir(args.project)
    sys.path.insert(0, str(args.project))

    def write(**line: object) -> None:
        report.write(json.dumps(line) + "\n")
        report.flush()

    facts: Facts = {}
    program = project_program(args.program or args.project)
    if args.program is None and (args.project / "topology").is_dir():
        program = _followed_by(program, lambda: facts.update(_service_facts(args.stack)))
    outcome = plan(args.stack, program, args.work_dir, args.policy_pack, lambda count: write(planned=count))
    outcome.services = facts
    write(outcome=outcome.to_json())


if __name__ == "__main__":
    main()

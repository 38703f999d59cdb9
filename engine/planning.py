"""Runs plans in processes of their own, beside the plan providers, and follows their progress."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from engine.outcome import Outcome
from engine.root import CHECKOUT
from engine.workspace import Workspace, WorkspaceError, prepare

Progress = Callable[[str, int], None]


@contextlib.contextmanager
def plan_providers() -> Iterator[Mapping[str, int]]:
    """The plan providers' ports by package, for as long as the context lasts."""
    process = subprocess.Popen(
        [sys.executable, "-m", "engine.providers"],
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        line = process.stdout.readline()
        if not line:
            raise WorkspaceError("the plan providers did not start; their error stands above")
        yield json.loads(line)
        process.stdin.close()


def plan_stack(
    workspace: Workspace,
    stack: str,
    *,
    policy_pack: Path | None = None,
    program: Path | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Plan one stack in a process of its own."""
    command = [sys.executable, "-m", "engine.plan", stack, f"--project={workspace.project}"]
    command += [f"--work-dir={workspace.work_dir}"]
    command += [f"--policy-pack={policy_pack}"] if policy_pack else []
    command += [f"--program={program}"] if program else []
    process = subprocess.Popen(
        command, cwd=CHECKOUT, env=workspace.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    outcome: Outcome | None = None
    with process:
        printed: list[str] = []
        drain = threading.Thread(target=printed.extend, args=(process.stderr,))
        drain.start()
        for line in process.stdout:
            message = json.loads(line)
            if "outcome" in message:
                outcome = Outcome.from_json(message["outcome"])
            elif progress:
                progress(stack, message["planned"])
        drain.join()
    if outcome is None:
        return Outcome(stack, errors=["".join(printed).strip() or "the planning process died"])
    return outcome


def plan_stacks(
    project: Path,
    stacks: Sequence[str],
    pulumi: Path,
    folder: Path,
    *,
    policy_pack: Path | None = None,
    progress: Progress | None = None,
) -> tuple[list[Outcome], tuple[str, ...]]:
    """Plan stacks side by side; the outcomes come in the order of `stacks`, then notices about the configuration."""
    with plan_providers() as ports, ThreadPoolExecutor(len(stacks)) as threads:
        workspace = prepare(project, pulumi, folder, ports)
        futures = [
            threads.submit(plan_stack, workspace, stack, policy_pack=policy_pack, progress=progress) for stack in stacks
        ]
        return [future.result() for future in futures], workspace.notices

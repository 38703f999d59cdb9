"""Previews each kind of change on both stacks and counts the operations by part."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import yaml

from engine.outcome import CONTAINER, Step
from lab.changes.kinds import EDIT_VARIABLE, Kind
from lab.machine import LabError
from lab.stacks import Stacks

PARTS: Final = ("app", "proxy", "gateway", "loader", "preflight", "network", "image", "certificate", "secret", "other")
_PROGRAM: Final = Path(__file__).with_name("program")
_SIGNED: Final = "tls:index/locallySignedCert:LocallySignedCert"
_KINDS: Final = {
    "docker:index/network:Network": "network",
    "docker:index/image:Image": "image",
    "docker:index/remoteImage:RemoteImage": "image",
}
_SHORT: Final = {"create": "new", "replace": "replaced", "update": "in place", "delete": "gone"}
Counts = Mapping[str, Mapping[str, int]]
"""Part -> operation -> count."""


def part_of(step: Step) -> str:
    """The part of the platform that a resource belongs to, in an operator's terms."""
    if step.kind == CONTAINER:
        ends = {"-loader": "loader", "-gateway-proxy-envoy": "gateway", "-envoy": "proxy", "-app": "app"}
        return next((part for end, part in ends.items() if step.name.endswith(end)), "preflight")
    if step.kind.startswith("tls:"):
        return "certificate"
    if step.kind.startswith("random:"):
        return "secret"
    return _KINDS.get(step.kind, "other")


def count(steps: Iterable[Step]) -> Counts:
    """Count operations by part; components, which are not real resources, are left out."""
    found: dict[str, dict[str, int]] = {}
    for step in steps:
        if not step.kind.startswith(("agentic-mesh:", "pulumi:")):
            of_part = found.setdefault(part_of(step), {})
            of_part[step.operation] = of_part.get(step.operation, 0) + 1
    return found


def preview(stacks: Stacks, kind: Kind) -> Mapping[str, Counts]:
    """What a change would do, by stack. Nothing is deployed; settings and state are restored afterwards."""
    names = sorted(path.stem.partition(".")[2] for path in stacks.work_dir.glob("Pulumi.*.yaml"))
    with contextlib.ExitStack() as undo:
        for name in names:
            undo.enter_context(_settings(stacks, name, kind.settings.get(name, {})))
            undo.enter_context(_due(stacks, name, kind.renewed.get(name, ())))
        changed = stacks
        if kind.edit:
            undo.enter_context(_environment(EDIT_VARIABLE, kind.edit))
            changed = replace(stacks, project=_PROGRAM)
        with ThreadPoolExecutor(len(names)) as threads:
            outcomes = list(threads.map(lambda name: changed.operate("preview", name), names))
    for outcome in outcomes:
        if not outcome.passed:
            raise LabError(f"{kind.name}: the preview of {outcome.stack} failed: {outcome.errors}")
    return {outcome.stack: count(outcome.changed) for outcome in outcomes}


@contextlib.contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]


@contextlib.contextmanager
def _settings(stacks: Stacks, stack: str, settings: Mapping[str, Any]) -> Iterator[None]:
    path = stacks.work_dir / f"Pulumi.{stack}.yaml"
    before = path.read_text()
    content = yaml.safe_load(before)
    content["config"] |= {f"agentic-mesh:{key}": value for key, value in settings.items()}
    if settings:
        path.write_text(yaml.safe_dump(content, sort_keys=False))
    try:
        yield
    finally:
        path.write_text(before)


@contextlib.contextmanager
def _due(stacks: Stacks, stack: str, services: Sequence[str]) -> Iterator[None]:
    """Let certificates expire tomorrow, in the state only."""
    if not services:
        yield
        return
    exported = stacks.command("stack", "export", "--stack", stack)
    state = json.loads(exported)
    tomorrow = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)).isoformat()
    for resource in state["deployment"]["resources"]:
        name = resource["urn"].rpartition("::")[2]
        wanted = "*" in services or any(name.startswith(f"{service}-") for service in services)
        if resource["type"] == _SIGNED and wanted and "identity" in name:
            resource["outputs"]["validityEndTime"] = tomorrow
    _import(stacks, stack, json.dumps(state))
    try:
        yield
    finally:
        _import(stacks, stack, exported)


def _import(stacks: Stacks, stack: str, state: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "state.json"
        file.write_text(state)
        stacks.command("stack", "import", "--stack", stack, "--file", str(file))


def table(found: Mapping[str, Mapping[str, Counts]]) -> list[str]:
    """Kind of change -> stack -> counts, as a Markdown table."""
    columns = [part for part in PARTS if any(part in counts for of in found.values() for counts in of.values())]
    lines = [f"| change | node | {' | '.join(columns)} |", "|---" * (len(columns) + 2) + "|"]
    for kind, by_stack in found.items():
        for stack, counts in sorted(by_stack.items(), reverse=True):
            cells = [_cell(counts.get(part, {})) for part in columns]
            lines.append(f"| {kind} | {stack} | {' | '.join(cells)} |")
    return lines


def _cell(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {_SHORT[operation]}" for operation, number in sorted(counts.items())) or "-"

"""The plan as people read it: every service, what would be created, what the policies say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from engine.outcome import Outcome, Violation
from engine.table import Colour, Paint, table
from topology.graph import GATEWAY

_EXAMPLES: Final = 3
_LEVELS: Final[Mapping[str, Colour]] = {
    "mandatory": Colour.RED,
    "advisory": Colour.YELLOW,
    "undecided": Colour.YELLOW,
}


@dataclass(frozen=True)
class ServiceRow:
    """One service on one node."""

    service: str
    node: str
    address: str
    gpu: str
    memory: str
    callers: Sequence[str]
    image: str
    pinned: str
    """`yes` or `no`, by digest, or `built`: from a folder of this project."""


def render(outcomes: Sequence[Outcome], rows: Sequence[ServiceRow], notices: Sequence[str], paint: Paint) -> str:
    """The whole report."""
    parts = [_services(rows, paint), _resources(outcomes, paint), _policies(outcomes, paint)]
    parts += [_problems(outcomes, paint), [f"note: {notice}" for notice in notices], [_verdict(outcomes, paint)]]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _services(rows: Sequence[ServiceRow], paint: Paint) -> list[str]:
    if not rows:
        return []
    header = ("SERVICE", "NODE", "ADDRESS", "GPU", "MEMORY", "CALLERS", "IMAGE", "PINNED")
    cells = [
        (row.service, row.node, row.address, row.gpu, row.memory, ", ".join(row.callers) or "-", row.image, row.pinned)
        for row in rows
    ]
    unpinned = sum(row.pinned == "no" for row in rows)
    note = f"{len(rows)} services; {unpinned or 'none'} without a digest"
    return [paint("Services", Colour.BOLD), *table(header, cells), note]


def _resources(outcomes: Sequence[Outcome], paint: Paint) -> list[str]:
    header = ("STACK", "TO CREATE", "CONTAINERS", "HOST'S MEMORY", "SECONDS")
    cells = [(o.stack, str(o.resources), str(len(o.containers)), _host_memory(o), f"{o.seconds:.1f}") for o in outcomes]
    return [paint("Resources", Colour.BOLD), *table(header, cells)]


def _host_memory(outcome: Outcome) -> str:
    return str(outcome.services.get(GATEWAY, {}).get("host_memory", "-"))


def _policies(outcomes: Sequence[Outcome], paint: Paint) -> list[str]:
    lines = [paint("Policies", Colour.BOLD)]
    cells = []
    for outcome in outcomes:
        levels = [_level(violation) for violation in outcome.violations]
        cells.append((outcome.stack, *(str(levels.count(level)) for level in _LEVELS)))
    lines += table(("STACK", "MANDATORY VIOLATIONS", "ADVICE", "UNDECIDED UNTIL DEPLOYED"), cells)
    for outcome in outcomes:
        lines += _violations(outcome, paint)
    return lines


def _violations(outcome: Outcome, paint: Paint) -> Iterator[str]:
    """Every mandatory violation, and a few examples of each advice."""

    def key(violation: Violation) -> tuple[int, str]:
        return (list(_LEVELS).index(_level(violation)), violation.policy)

    for (rank, policy), group in groupby(sorted(outcome.violations, key=key), key=key):
        found = list(group)
        level = list(_LEVELS)[rank]
        shown = found if level == "mandatory" else found[:_EXAMPLES]
        yield f"{outcome.stack}: {paint(level, _LEVELS[level])} {policy} ({len(found)})"
        for violation in shown:
            yield f"  {violation.resource}: " + violation.message.replace("\n", "\n    ")
        if len(found) > len(shown):
            yield f"  ... and {len(found) - len(shown)} more"


def _level(violation: Violation) -> str:
    if violation.undecided:
        return "undecided"
    return "mandatory" if violation.mandatory else "advisory"


def _problems(outcomes: Sequence[Outcome], paint: Paint) -> list[str]:
    lines = []
    for outcome in outcomes:
        lines += [f"{outcome.stack}: {paint('warning', Colour.YELLOW)}: {text}" for text in outcome.warnings]
    for outcome in outcomes:
        lines += [f"{outcome.stack}: {paint('error', Colour.RED)}: {text}" for text in outcome.errors]
    return lines


def _verdict(outcomes: Sequence[Outcome], paint: Paint) -> str:
    failed = [outcome.stack for outcome in outcomes if not outcome.passed]
    if failed:
        return paint(f"The plan of {' and '.join(failed)} failed; nothing was deployed.", Colour.RED)
    total = sum(outcome.resources for outcome in outcomes)
    stacks = " and ".join(outcome.stack for outcome in outcomes)
    return paint(f"Planned {stacks}: {total} resources; nothing was deployed.", Colour.GREEN)


def service_rows(outcomes: Sequence[Outcome]) -> list[ServiceRow]:
    """One row for each planned app container, with what its stack's topology says about the service."""
    rows = []
    for outcome in outcomes:
        for service, node, image in _apps(outcome):
            facts = outcome.services.get(service, {})
            callers = facts.get("callers")
            # A container runs an image by the id that pulling or building gives it, which a plan cannot know.
            reference = str(facts.get("image", image))
            rows.append(
                ServiceRow(
                    service=service,
                    node=node,
                    address=str(facts.get("address", "-")),
                    gpu=str(facts.get("gpu", "-")),
                    memory=str(facts.get("memory", "-")),
                    callers=callers if isinstance(callers, list) else [],
                    image=reference.partition("@")[0].removeprefix("docker.io/").removeprefix("library/"),
                    pinned=_pinned(reference),
                )
            )
    return rows


def _apps(outcome: Outcome) -> Iterator[tuple[str, str, str]]:
    found = {
        (c.labels["service"], c.labels.get("node", outcome.stack), c.image)
        for c in outcome.containers
        if c.labels.get("part") in ("app", "gateway") and "service" in c.labels
    }
    order = {name: index for index, name in enumerate(outcome.services)}
    yield from sorted(found, key=lambda app: (order.get(app[0], len(order)), app))


def _pinned(reference: str) -> str:
    if ":" not in reference:
        return "built"
    return "yes" if "@sha256:" in reference else "no"

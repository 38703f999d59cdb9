"""What a plan came to, gathered from the engine's events and handed from the planning process as JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from pulumi.automation import EngineEvent
from pulumi.automation.events import DiagnosticEvent, PolicyEvent, StepEventMetadata

CONTAINER = "docker:index/container:Container"
STACK = "pulumi:pulumi:Stack"
Facts = dict[str, dict[str, str | list[str]]]
"""What the topology says about each service, by name."""

LABEL_PREFIX = "agentic-mesh."
_CHANGES = ("create", "update", "replace", "delete")

_NOISE = (
    "using pulumi-analyzer-policy-python from",  # the script that `engine.workspace` wrote
    "preview failed",  # said after what failed
)


@dataclass(frozen=True)
class Container:
    """A planned container with the mesh's labels, without their prefix."""

    name: str
    image: str
    labels: Mapping[str, str]


@dataclass(frozen=True)
class Violation:
    """What one policy says about one resource, or about the stack."""

    policy: str
    mandatory: bool
    message: str
    resource: str

    @property
    def undecided(self) -> bool:
        """Whether the policy read a value that only a deploy knows, so that it runs then and not now."""
        return self.message.startswith("can't run policy")


@dataclass(frozen=True)
class Step:
    """One resource that an operation changes."""

    operation: str
    """`create`, `update`, `replace`, `delete`."""
    kind: str
    name: str


@dataclass
class Outcome:
    """A finished plan of one stack."""

    stack: str
    operations: dict[str, int] = field(default_factory=dict)
    kinds: dict[str, int] = field(default_factory=dict)
    """Planned resources by type token."""
    changed: list[Step] = field(default_factory=list)
    """Every resource that changes; a replacement is one step."""
    containers: list[Container] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    services: Facts = field(default_factory=dict)
    seconds: float = 0

    @property
    def passed(self) -> bool:
        """Whether the plan is complete and no mandatory policy objects."""
        return not self.errors and not any(violation.mandatory for violation in self.violations)

    @property
    def resources(self) -> int:
        """How many resources the plan would create."""
        return self.operations.get("create", 0)

    def record(self, event: EngineEvent) -> None:
        """Take in one event of the engine."""
        if event.resource_pre_event:
            self._record_step(event.resource_pre_event.metadata)
        elif event.policy_event:
            self._record_violation(event.policy_event)
        elif event.diagnostic_event:
            self._record_diagnostic(event.diagnostic_event)

    def _record_step(self, step: StepEventMetadata) -> None:
        if step.type == STACK:
            return
        self.operations[step.op.value] = self.operations.get(step.op.value, 0) + 1
        self.kinds[step.type] = self.kinds.get(step.type, 0) + 1
        if step.op.value in _CHANGES:
            self.changed.append(Step(step.op.value, step.type, resource_name(step.urn)))
        if step.type == CONTAINER and step.new:
            self.containers.append(_container(step.urn, step.new.inputs or {}))

    def _record_violation(self, event: PolicyEvent) -> None:
        # The engine puts the policy's description above what it found.
        _, _, found = event.message.strip().partition("\n")
        self.violations.append(
            Violation(
                policy=event.policy_name,
                mandatory=event.enforcement_level == "mandatory",
                message=found.strip() or event.message.strip(),
                resource=resource_name(event.resource_urn or self.stack),
            )
        )

    def _record_diagnostic(self, event: DiagnosticEvent) -> None:
        message = event.message.strip()
        if not message or message.startswith(_NOISE):
            return
        message = tidy(message)
        if event.urn and STACK not in event.urn:
            message = f"{resource_name(event.urn)}: {message}"
        if event.severity == "error" and message not in self.errors:
            self.errors.append(message)
        elif event.severity == "warning" and message not in self.warnings:
            self.warnings.append(message)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The counterpart of `to_json`."""
        lists = {
            "containers": [Container(**container) for container in values["containers"]],
            "changed": [Step(**step) for step in values["changed"]],
            "violations": [Violation(**violation) for violation in values["violations"]],
        }
        return cls(**{**values, **lists})


def tidy(message: str) -> str:
    """A diagnostic without what the engine repeats: that it is one, the resource again, and the refused value."""
    message = message.removeprefix("an unhandled error occurred: ")
    return re.sub(
        r"^\S+ resource '[^']*'(?:: property (\S+) value .*?)? has a problem:", r"\1:", message, flags=re.DOTALL
    )


def resource_name(urn: str) -> str:
    """The logical name, which a URN ends with."""
    return urn.split("::")[-1]


def _container(urn: str, inputs: Mapping[str, Any]) -> Container:
    labels = {
        item["label"].removeprefix(LABEL_PREFIX): item["value"]
        for item in inputs.get("labels", ())
        if isinstance(item, dict) and str(item.get("label", "")).startswith(LABEL_PREFIX)
    }
    return Container(name=resource_name(urn), image=str(inputs.get("image", "")), labels=labels)

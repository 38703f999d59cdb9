"""Turns rules, which are plain functions, into a policy of the SDK."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pulumi_policy import (
    EnforcementLevel,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)

from policies.values import Resource, ResourceRule, StackRule, plain

_PACKAGES: Final = ("aws:", "docker:", "random:", "tailscale:")
"""Begin the types that rules read."""


def resource_policy(
    name: str, description: str, rules: Iterable[ResourceRule], level: EnforcementLevel
) -> ResourceValidationPolicy:
    """A policy on each resource's inputs."""

    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        if not args.resource_type.startswith(_PACKAGES):
            return  # most resources are keys and certificates, which no rule reads
        props = {"name": args.name, **plain(args.props)}
        for rule in rules:
            for message in rule(args.resource_type, props):
                report(message, None)

    return ResourceValidationPolicy(name, description, validate, level)


def stack_policy(
    name: str, description: str, rules: Iterable[StackRule], level: EnforcementLevel
) -> StackValidationPolicy:
    """A policy on all resources of a stack together."""

    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        resources = [
            Resource(
                type=resource.resource_type,
                name=resource.name,
                urn=resource.urn,
                props=plain(resource.props),
                uses={
                    key: frozenset(used.urn for used in users) for key, users in resource.property_dependencies.items()
                },
            )
            for resource in args.resources
            if resource.resource_type.startswith(_PACKAGES)
        ]
        for rule in rules:
            for urn, message in rule(resources):
                report(message, urn or None)

    return StackValidationPolicy(name, description, validate, level)

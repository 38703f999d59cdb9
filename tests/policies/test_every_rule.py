"""What holds for each rule of the pack, whatever it demands."""

from typing import Any

import pytest
from pulumi_policy import EnforcementLevel

from policies.catalog import ON_RESOURCES, ON_STACKS, policies
from policies.values import UNKNOWN, ResourceRule, StackRule
from tests.policies.samples import COMPLIANT, changed
from tests.policies.stacks import bucket_stack, door, node_stack, pod, resource

_RESOURCE_RULES = [rule for policy in ON_RESOURCES for rule in policy.rules]
_STACK_RULES = [rule for policy in ON_STACKS for rule in policy.rules]


def everything_unknown(value: Any) -> list[Any]:
    """The value with each of its parts, one after the other and however deep, not known yet."""
    found: list[Any] = [UNKNOWN]
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        for unknown in everything_unknown(part):
            copy = value.copy()
            copy[key] = unknown
            found.append(copy)
    return found


@pytest.mark.parametrize("rule", _RESOURCE_RULES)
def test_compliant_resources_pass(rule: ResourceRule) -> None:
    assert [message for type_, props in COMPLIANT for message in rule(type_, props)] == []


@pytest.mark.parametrize("rule", _RESOURCE_RULES)
def test_other_types_are_left_alone(rule: ResourceRule) -> None:
    for _, props in COMPLIANT:
        assert list(rule("aws:iam/user:User", props)) == []
    assert list(rule("aws:iam/user:User", {})) == []


@pytest.mark.parametrize("rule", _RESOURCE_RULES)
def test_what_is_missing_crashes_no_rule(rule: ResourceRule) -> None:
    for type_, props in COMPLIANT:
        for missing in ({}, *(changed(props, **{key: None}) for key in props)):
            for message in rule(type_, missing):
                assert ". Fix: " in message


@pytest.mark.parametrize("rule", _RESOURCE_RULES)
def test_what_is_not_known_crashes_no_rule(rule: ResourceRule) -> None:
    for type_, props in COMPLIANT:
        for unknown in everything_unknown(props)[1:]:
            for message in rule(type_, unknown):
                assert ". Fix: " in message


@pytest.mark.parametrize("rule", _STACK_RULES)
def test_a_compliant_stack_passes(rule: StackRule) -> None:
    assert list(rule([])) == []
    assert list(rule(node_stack("oracle1"))) == []
    assert list(rule(node_stack("thanos"))) == []
    assert list(rule(bucket_stack())) == []


@pytest.mark.parametrize("rule", _STACK_RULES)
def test_other_types_of_a_stack_are_left_alone(rule: StackRule) -> None:
    others = [resource("aws:iam/user:User", found.props, found.name) for found in node_stack() + bucket_stack()]
    assert list(rule(others)) == []


@pytest.mark.parametrize("rule", _STACK_RULES)
def test_what_is_not_known_crashes_no_stack_rule(rule: StackRule) -> None:
    for stack in (bucket_stack(), [*door(), *pod("redis")]):
        for found in stack:
            for key in found.props:
                broken = resource(found.type, {**found.props, key: UNKNOWN}, found.name)
                for _, message in rule([broken if other is found else other for other in stack]):
                    assert ". Fix: " in message


def test_everything_is_mandatory_but_what_is_only_said() -> None:
    advisory = {policy.name for policy in policies() if policy.enforcement_level is not EnforcementLevel.MANDATORY}
    assert advisory == {"image-digests", "checked-at-deploy"}
    assert all(policy.enforcement_level is not None for policy in policies())


def test_names_are_unique() -> None:
    names = [policy.name for policy in policies()]
    assert len(names) == len(set(names))

"""The tailnet's policy: everyone named, nothing for all, and tests for both answers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from policies.values import Props, finding, show

ACL: Final = "tailscale:index/acl:Acl"

_FIX: Final = "name sources, destinations and ports, as the graph of topology/ has them"


def closed_acl(type_: str, props: Props) -> Iterator[str]:
    """No rule accepts from, to or on everything."""
    if type_ != ACL:
        return
    name = show(props.get("name"))
    policy, problem = _read(props)
    if problem:
        yield finding(name, problem, "render it as JSON from the topology, which is known at plan time")
        return
    if not policy.get("grants") and not policy.get("acls"):
        yield finding(name, "it has no grants", _FIX)
    for section, open_to in (("grants", _open_grant), ("acls", _open_rule), ("ssh", _open_ssh)):
        for index, rule in enumerate(_entries(policy, section)):
            for what in open_to(rule):
                yield finding(name, f"{section}[{index}] accepts {what}", _FIX)


def tested_acl(type_: str, props: Props) -> Iterator[str]:
    """The policy carries tests, which the coordination server runs before it takes a new policy."""
    if type_ != ACL:
        return
    policy, problem = _read(props)
    if problem:
        return  # the other rule has said so
    tests = _entries(policy, "tests")
    for answer in ("accept", "deny"):
        if not any(_texts(test, answer) for test in tests):
            yield finding(
                show(props.get("name")),
                f"it has no test of what it must {answer}",
                f"add tests with {answer} for each source, derived from the graph of topology/",
            )


def _read(props: Props) -> tuple[Mapping[str, Any], str]:
    text = props.get("acl")
    if not isinstance(text, str):
        return {}, f"its policy is {show(text)}, so that nobody can check it"
    try:
        policy = json.loads(text)
    except ValueError:
        return {}, "its policy is no JSON"
    return (policy, "") if isinstance(policy, dict) else ({}, "its policy is no JSON object")


def _entries(policy: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    value = policy.get(key)
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _texts(entry: Mapping[str, Any], key: str) -> list[str]:
    value = entry.get(key)
    return [str(item) for item in value] if isinstance(value, list) else []


def _open_grant(grant: Mapping[str, Any]) -> Iterator[str]:
    if "*" in _texts(grant, "src"):
        yield "any source"
    if "*" in _texts(grant, "dst"):
        yield "any destination"
    for ports in _texts(grant, "ip"):
        if ports.rpartition(":")[2] == "*":
            yield f"any port ({ports})"
    if not _texts(grant, "ip") and not grant.get("app"):
        yield "unnamed ports"


def _open_rule(rule: Mapping[str, Any]) -> Iterator[str]:
    if "*" in _texts(rule, "src"):
        yield "any source"
    for target in _texts(rule, "dst"):
        host, _, ports = target.rpartition(":")
        if (host or ports) == "*":
            yield "any destination"
        if ports == "*":
            yield f"any port of {host or ports}"


def _open_ssh(rule: Mapping[str, Any]) -> Iterator[str]:
    for key, what in (("src", "any source"), ("dst", "any destination"), ("users", "any user")):
        if "*" in _texts(rule, key):
            yield what

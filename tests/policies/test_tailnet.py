"""The tailnet's policy, as text."""

import json
from typing import Any

import pytest

from policies import tailnet
from policies.tailnet import ACL
from policies.values import UNKNOWN
from render.tailnet import acl_policy_text
from tests.policies.samples import GRAPH, acl

GRANT = {"src": ["tag:a"], "dst": ["tag:b"], "ip": ["tcp:8000"]}
RULE = {"action": "accept", "src": ["tag:a"], "dst": ["tag:b:8000"]}
SSH = {"action": "accept", "src": ["tag:a"], "dst": ["tag:b"], "users": ["deploy"]}


@pytest.mark.parametrize(
    ("section", "entry", "what"),
    [
        ("grants", {**GRANT, "src": ["*"]}, "any source"),
        ("grants", {**GRANT, "dst": ["*"]}, "any destination"),
        ("grants", {**GRANT, "ip": ["*"]}, "any port"),
        ("grants", {**GRANT, "ip": ["tcp:*"]}, "any port"),
        ("grants", {**GRANT, "ip": []}, "unnamed ports"),
        ("acls", {**RULE, "src": ["*"]}, "any source"),
        ("acls", {**RULE, "dst": ["*:443"]}, "any destination"),
        ("acls", {**RULE, "dst": ["tag:b:*"]}, "any port of tag:b"),
        ("ssh", {**SSH, "src": ["*"]}, "any source"),
        ("ssh", {**SSH, "dst": ["*"]}, "any destination"),
        ("ssh", {**SSH, "users": ["*"]}, "any user"),
    ],
)
def test_a_wildcard(section: str, entry: dict[str, Any], what: str) -> None:
    messages = list(tailnet.closed_acl(ACL, acl(**{section: [entry]})))
    assert len(messages) == 1
    assert f"{section}[0] accepts {what}" in messages[0]


def test_the_default_of_a_new_tailnet() -> None:
    policy = json.dumps({"acls": [{"action": "accept", "src": ["*"], "dst": ["*:*"]}]})
    assert len(list(tailnet.closed_acl(ACL, {"acl": policy}))) == 3
    assert len(list(tailnet.tested_acl(ACL, {"acl": policy}))) == 2


def test_acls_are_as_good_as_grants() -> None:
    assert list(tailnet.closed_acl(ACL, acl(grants=None, acls=[RULE]))) == []
    assert "no grants" in next(tailnet.closed_acl(ACL, acl(grants=None)))


@pytest.mark.parametrize(
    ("tests", "lacking"),
    [
        (None, 2),
        ([{"src": "tag:a", "accept": ["tag:b:8000"]}], 1),
        ([{"src": "tag:a", "deny": ["tag:b:22"], "accept": []}], 1),
    ],
)
def test_both_answers_are_tested(tests: Any, lacking: int) -> None:
    assert len(list(tailnet.tested_acl(ACL, acl(tests=tests)))) == lacking


@pytest.mark.parametrize("text", [None, UNKNOWN, "{", "[]", 7])
def test_a_policy_that_nobody_can_read(text: Any) -> None:
    assert len(list(tailnet.closed_acl(ACL, {"acl": text}))) == 1


def test_the_program_s_own_policy_passes() -> None:
    props = {"acl": acl_policy_text(GRAPH, ["autogroup:admin"])}
    assert [*tailnet.closed_acl(ACL, props), *tailnet.tested_acl(ACL, props)] == []

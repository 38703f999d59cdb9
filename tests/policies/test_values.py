"""Values as the SDK wraps them."""

import pytest
from pulumi_policy.proxy import UNKNOWN_BOOLEAN_VALUE, UNKNOWN_STRING_VALUE, UnknownValueError, unknown_checking_proxy

from policies.values import UNKNOWN, listed, pairs, plain, show, whole

WRAPPED = unknown_checking_proxy(
    {
        "known": [{"a": 1.0}, "b"],
        "unknown": UNKNOWN_STRING_VALUE,
        "deep": {"list": ["known", UNKNOWN_BOOLEAN_VALUE]},
    }
)


def test_the_sdk_would_end_a_rule_at_what_is_not_known() -> None:
    with pytest.raises(UnknownValueError):
        WRAPPED["unknown"]


def test_plain_values_mark_it_instead() -> None:
    assert plain(WRAPPED) == {
        "known": [{"a": 1.0}, "b"],
        "unknown": UNKNOWN,
        "deep": {"list": ["known", UNKNOWN]},
    }


def test_what_is_not_known_equals_nothing() -> None:
    assert UNKNOWN not in (None, False, True, "", {}, [])
    assert UNKNOWN["part"]["of it"] is UNKNOWN
    assert show(UNKNOWN) == "not known at plan time"
    assert whole(UNKNOWN) is None


def test_a_list_that_is_not_known_has_one_entry_that_is_not_known() -> None:
    assert listed({"ports": UNKNOWN}, "ports") == [UNKNOWN]
    assert listed({}, "ports") == []
    assert pairs({"labels": UNKNOWN}, "labels") == {}
    assert pairs({"labels": [{"label": "a", "value": UNKNOWN}]}, "labels") == {"a": UNKNOWN}

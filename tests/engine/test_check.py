from collections.abc import Mapping
from typing import Any

import pytest

from engine.check import check_properties
from engine.schema import resource_schema
from engine.wire import OPAQUE, UNKNOWN

GOOD: dict[str, Any] = {
    "image": "busybox:1",
    "readOnly": True,
    "command": ["true"],
    "healthcheck": {"tests": ["CMD", "true"]},
    "ports": [{"internal": 80, "ip": "100.64.1.1"}],
    "logOpts": {"max-size": "10m"},
    "deviceRequests": [{"driver": "nvidia", "capabilities": ["gpu"]}],
}


def failures(token: str, values: Mapping[str, Any]) -> dict[str, str]:
    return {f.property: f.reason for f in check_properties(resource_schema(token).inputs, values)}


def container(**values: Any) -> dict[str, str]:
    return failures("docker:index/container:Container", GOOD | values)


def test_what_the_sdk_knows_passes() -> None:
    assert container() == {}


def test_values_that_are_not_known_yet_pass() -> None:
    assert container(image=UNKNOWN, ports=UNKNOWN, healthcheck=UNKNOWN, command=[UNKNOWN], user=OPAQUE) == {}


@pytest.mark.parametrize(
    ("values", "where", "reason"),
    [
        ({"pidsLimit": 100}, "pidsLimit", "unknown property"),
        ({"networkAdvanced": []}, "networkAdvanced", "did you mean networksAdvanced?"),
        ({"healthcheck": {"test": ["CMD"]}}, "healthcheck.test", "did you mean tests?"),
        ({"ports": [{"internal": 80, "bind": "::"}]}, "ports[0].bind", "unknown property"),
        ({"ports": [{"ip": "::"}]}, "ports[0].internal", "missing required property"),
        ({"dns": "127.0.0.1"}, "dns", "expected a list"),
        ({"labels": {"a": "b"}}, "labels", "expected a list"),
        ({"image": ["busybox"]}, "image", "expected one value, got a list"),
        ({"user": {"uid": 1}}, "user", "expected str, got an object"),
    ],
)
def test_what_it_does_not_know_is_named(values: dict[str, Any], where: str, reason: str) -> None:
    found = container(**values)
    assert reason in found[where]


def test_a_missing_required_property_is_named() -> None:
    assert failures("docker:index/container:Container", {}) == {"image": "missing required property"}


def test_deep_objects_of_other_packages_are_checked() -> None:
    values = {"bucket": "b", "rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithmus": "aws:kms"}}]}
    token = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
    found = failures(token, values)
    assert "rules[0].applyServerSideEncryptionByDefault.sseAlgorithmus" in found


def test_a_document_may_be_text_or_an_object() -> None:
    assert failures("aws:iam/policy:Policy", {"policy": "{}"}) == {}

"""Backup buckets and what protects them."""

from typing import Any

import pytest

from policies import buckets
from policies.buckets import ENCRYPTION, KEY, LIFECYCLE, LOCK, POLICY, PRIVATE, VERSIONING
from policies.values import UNKNOWN
from tests.policies.samples import bucket_policy
from tests.policies.stacks import bucket_stack, resource

_BUCKET = "aws:s3/bucket:Bucket"


def problems(type_: str, props: dict[str, Any]) -> list[str]:
    """What is wrong with the bucket once its resource of that type is another."""
    stack = [resource(type_, props, bucket="bucket") if part.type == type_ else part for part in bucket_stack()]
    return [message for _, message in buckets.protected_buckets(stack)]


def encryption(**default: Any) -> dict[str, Any]:
    return {"rules": [{"applyServerSideEncryptionByDefault": default}]}


@pytest.mark.parametrize("type_", [VERSIONING, ENCRYPTION, PRIVATE, POLICY, LOCK, LIFECYCLE])
def test_each_protection_is_needed(type_: str) -> None:
    stack = [part for part in bucket_stack() if part.type != type_]
    found = list(buckets.protected_buckets(stack))
    assert [urn for urn, _ in found] == ["urn:bucket"]
    assert type_.rpartition(":")[2] in found[0][1]


@pytest.mark.parametrize(
    ("type_", "props"),
    [
        (VERSIONING, {"versioningConfiguration": {"status": "Suspended"}}),
        (VERSIONING, {"versioningConfiguration": UNKNOWN}),
        (ENCRYPTION, encryption(sseAlgorithm="AES256")),
        (ENCRYPTION, encryption(sseAlgorithm="aws:kms")),
        (ENCRYPTION, encryption(sseAlgorithm="aws:kms", kmsMasterKeyId="alias/aws/s3")),
        (ENCRYPTION, {"rules": []}),
        (PRIVATE, {"blockPublicAcls": True, "blockPublicPolicy": True, "ignorePublicAcls": True}),
        (PRIVATE, {}),
        (LOCK, {}),
        (LOCK, {"rule": {"defaultRetention": {"mode": "GOVERNANCE"}}}),
        (LIFECYCLE, {"rules": [{"status": "Disabled", "noncurrentVersionExpiration": {"noncurrentDays": 1.0}}]}),
        (LIFECYCLE, {"rules": [{"status": "Enabled"}]}),
    ],
)
def test_half_a_protection_is_none(type_: str, props: dict[str, Any]) -> None:
    assert len(problems(type_, props)) == 1


def test_a_key_that_is_made_in_the_same_deploy_is_ours() -> None:
    assert problems(ENCRYPTION, encryption(sseAlgorithm="aws:kms", kmsMasterKeyId=UNKNOWN)) == []


def test_the_protection_of_another_bucket_does_not_count() -> None:
    stack = [resource(r.type, r.props, bucket="other") if r.type == LOCK else r for r in bucket_stack()]
    assert len(list(buckets.protected_buckets(stack))) == 1


def test_a_protection_may_name_the_bucket() -> None:
    stack = [resource(r.type, {**r.props, "bucket": "backup"}) if r.type == LOCK else r for r in bucket_stack()]
    assert list(buckets.protected_buckets(stack)) == []


@pytest.mark.parametrize("value", [None, False, UNKNOWN])
def test_a_bucket_is_made_with_its_lock(value: Any) -> None:
    stack = [
        resource(_BUCKET, {"objectLockEnabled": value}, "bucket") if r.type == _BUCKET else r for r in bucket_stack()
    ]
    assert len(list(buckets.protected_buckets(stack))) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"Effect": "Allow"},
        {"Principal": {"AWS": "arn:aws:iam::1:root"}},
        {"Action": "s3:GetObject"},
        {"Resource": "arn:aws:s3:::backup"},
        {"Condition": {"Bool": {"aws:SecureTransport": "true"}}},
        {"Condition": {"Bool": {"aws:SecureTransport": "false"}, "IpAddress": {"aws:SourceIp": "192.0.2.1"}}},
        {"Condition": None},
    ],
)
def test_a_policy_that_lets_plain_http_through(changes: dict[str, Any]) -> None:
    assert len(list(buckets.tls_only(POLICY, bucket_policy(**changes)))) == 1


@pytest.mark.parametrize("text", [None, "{", "[]"])
def test_a_policy_that_nobody_can_read(text: Any) -> None:
    assert len(list(buckets.tls_only(POLICY, {"policy": text}))) == 1


def test_a_policy_that_is_not_known_yet_is_said_and_checked_by_the_deploy() -> None:
    props = {"policy": UNKNOWN}
    assert list(buckets.tls_only(POLICY, props)) == []
    assert len(list(buckets.checked_at_deploy(POLICY, props))) == 1


@pytest.mark.parametrize(("props", "passes"), [({"enableKeyRotation": False}, False), ({}, False)])
def test_keys_rotate(props: dict[str, Any], passes: bool) -> None:
    assert (list(buckets.rotated_keys(KEY, props)) == []) is passes

"""Backup buckets: versioned, encrypted with a key of ours, private, TLS only, and hard to erase."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from policies.values import Props, Resource, Unknown, finding, listed, show, whole

BUCKETS: Final = ("aws:s3/bucket:Bucket", "aws:s3/bucketV2:BucketV2")
KEY: Final = "aws:kms/key:Key"
POLICY: Final = "aws:s3/bucketPolicy:BucketPolicy"
VERSIONING: Final = "aws:s3/bucketVersioning:BucketVersioning"
ENCRYPTION: Final = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
PRIVATE: Final = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
LOCK: Final = "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration"
LIFECYCLE: Final = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"

_BLOCKS: Final = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")


def rotated_keys(type_: str, props: Props) -> Iterator[str]:
    """Keys that AWS renews each year."""
    if type_ == KEY and props.get("enableKeyRotation") is not True:
        yield finding(
            show(props.get("name")),
            f"enable_key_rotation is {show(props.get('enableKeyRotation'))}",
            "set enable_key_rotation=True",
        )


def tls_only(type_: str, props: Props) -> Iterator[str]:
    """The bucket's policy denies plain HTTP. Not known before the bucket is made; then the deploy is stopped here."""
    if type_ != POLICY or isinstance(props.get("policy"), Unknown):
        return
    if not any(_denies_plain_http(statement) for statement in _statements(props.get("policy"))):
        yield finding(
            show(props.get("name")),
            "it lets plain HTTP through",
            'deny "s3:*" to "*" on the bucket and its objects where aws:SecureTransport is "false"',
        )


def checked_at_deploy(type_: str, props: Props) -> Iterator[str]:
    """Says what a plan could not check, since silence would read as a pass."""
    if type_ == POLICY and isinstance(props.get("policy"), Unknown):
        yield finding(
            show(props.get("name")),
            "its text is known once bucket and key exist; the deploy checks it then, before it makes the policy",
            "nothing to do; to have it in the plan, write it with names instead of outputs",
        )


def protected_buckets(resources: Sequence[Resource]) -> Iterator[tuple[str, str]]:
    """Each bucket has all of its protections in the same stack."""
    for bucket in resources:
        if bucket.type not in BUCKETS:
            continue
        if bucket.props.get("objectLockEnabled") is not True:
            yield bucket.urn, finding(bucket.name, "it is made without object lock", "set object_lock_enabled=True")
        for type_, (what, fix, holds) in _PROTECTIONS.items():
            parts = [part for part in resources if part.type == type_ and _belongs(part, bucket)]
            if not any(holds(part) for part in parts):
                class_name = type_.rpartition(":")[2]
                yield bucket.urn, finding(bucket.name, what, f"give it an aws.s3.{class_name} {fix}")


def _belongs(part: Resource, bucket: Resource) -> bool:
    """A bucket's id is not known before it is made, but where it comes from is."""
    named = part.props.get("bucket")
    known = {value for key in ("bucket", "id") if isinstance(value := bucket.props.get(key), str)}
    return (isinstance(named, str) and named in known) or bucket.urn in part.uses.get("bucket", frozenset())


def _versioned(part: Resource) -> bool:
    return bool((part.props.get("versioningConfiguration") or {}).get("status") == "Enabled")


def _encrypted(part: Resource) -> bool:
    defaults = [rule.get("applyServerSideEncryptionByDefault") or {} for rule in listed(part.props, "rules")]
    return bool(defaults) and all(
        default.get("sseAlgorithm") in ("aws:kms", "aws:kms:dsse") and _is_own_key(default.get("kmsMasterKeyId"))
        for default in defaults
    )


def _is_own_key(key: Any) -> bool:
    """A key that is made in this deploy is not known yet, and thereby ours."""
    return isinstance(key, Unknown) or (isinstance(key, str) and bool(key) and "alias/aws/" not in key)


def _private(part: Resource) -> bool:
    return all(part.props.get(block) is True for block in _BLOCKS)


def _locked(part: Resource) -> bool:
    retention = (part.props.get("rule") or {}).get("defaultRetention") or {}
    period = (whole(retention.get("days")) or 0) + (whole(retention.get("years")) or 0)
    return retention.get("mode") in ("GOVERNANCE", "COMPLIANCE") and period > 0


def _expires(part: Resource) -> bool:
    return any(
        rule.get("status") == "Enabled" and rule.get("noncurrentVersionExpiration")
        for rule in listed(part.props, "rules")
    )


def _exists(_: Resource) -> bool:
    return True  # its text is the business of `tls_only`


_Protection = tuple[str, str, Callable[[Resource], bool]]
_PROTECTIONS: Final[Mapping[str, _Protection]] = {
    VERSIONING: ("it keeps no old versions", 'with status="Enabled"', _versioned),
    ENCRYPTION: ("it is not encrypted with a key of ours", "with aws:kms and a kms_master_key_id", _encrypted),
    PRIVATE: ("it could be made public", f"with {', '.join(_BLOCKS)} all true", _private),
    POLICY: ("plain HTTP reaches it", "that denies what comes without TLS", _exists),
    LOCK: ("its objects can be erased", "with a default retention", _locked),
    LIFECYCLE: ("it grows without end", "that expires noncurrent versions", _expires),
}


def _statements(text: Any) -> list[Mapping[str, Any]]:
    try:
        policy = json.loads(text) if isinstance(text, str) else {}
    except ValueError:
        return []
    statements = policy.get("Statement") if isinstance(policy, dict) else None
    entries = statements if isinstance(statements, list) else [statements]
    return [entry for entry in entries if isinstance(entry, dict)]


def _denies_plain_http(statement: Mapping[str, Any]) -> bool:
    condition = statement.get("Condition")
    return (
        statement.get("Effect") == "Deny"
        and statement.get("Principal") in ("*", {"AWS": "*"})
        and not {"s3:*", "*"}.isdisjoint(_texts(statement.get("Action")))
        and any(resource.endswith("*") for resource in _texts(statement.get("Resource")))
        and isinstance(condition, dict)
        # A further condition would narrow the denial.
        and set(condition) == {"Bool"}
        and set(condition["Bool"]) == {"aws:SecureTransport"}
        and str(condition["Bool"]["aws:SecureTransport"]).lower() == "false"
    )


def _texts(value: Any) -> list[str]:
    """IAM takes one text or a list of them."""
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]

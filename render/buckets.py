"""The policy documents around a backup bucket, as plain objects.

Two documents divide the work: the bucket's own policy denies what nobody may do, whoever asks, and the policy of the
node's user allows what restic needs and nothing else.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

Policy = Mapping[str, Any]

_VERSION: Final = "2012-10-17"
_CIPHER: Final = "s3:x-amz-server-side-encryption"
_KEY: Final = f"{_CIPHER}-aws-kms-key-id"
_CUSTOMER_KEY: Final = f"{_CIPHER}-customer-algorithm"


def bucket_policy(bucket_arn: str, key_arn: str) -> Policy:
    """What is denied to everyone: plain HTTP, old TLS, and uploads past the bucket's own key.

    restic names no encryption, which leaves it to the bucket's default. In IAM a negated condition also holds when
    the header is absent, so each such denial asks first whether the header is there.
    """
    objects = f"{bucket_arn}/*"
    everything = [bucket_arn, objects]
    return _document(
        _deny("DenyPlainHttp", "s3:*", everything, {"Bool": {"aws:SecureTransport": "false"}}),
        _deny("DenyOldTls", "s3:*", everything, {"NumericLessThan": {"s3:TlsVersion": "1.2"}}),
        _deny(
            "DenyOtherEncryption",
            "s3:PutObject",
            objects,
            {"Null": {_CIPHER: "false"}, "StringNotEquals": {_CIPHER: "aws:kms"}},
        ),
        _deny(
            "DenyOtherKey",
            "s3:PutObject",
            objects,
            {"Null": {_KEY: "false"}, "StringNotEquals": {_KEY: key_arn}},
        ),
        # A key that only the uploader holds is how backups are taken hostage.
        _deny("DenyUploadersKey", "s3:PutObject", objects, {"Null": {_CUSTOMER_KEY: "false"}}),
    )


def user_policy(bucket_arn: str, key_arn: str, region: str) -> Policy:
    """What the node's user may do: use restic on its bucket, and the key through S3 alone.

    It may delete, since restic removes its lock files and prunes, but not delete a version: on a versioned bucket a
    plain delete only hides the object. Neither may it shorten a retention, nor touch any setting of the bucket.
    """
    return _document(
        _allow(
            "ListOwnBucket",
            ["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"],
            bucket_arn,
        ),
        _allow(
            "UseOwnObjects",
            [
                "s3:AbortMultipartUpload",
                "s3:DeleteObject",
                "s3:GetObject",
                "s3:ListMultipartUploadParts",
                "s3:PutObject",
            ],
            f"{bucket_arn}/*",
        ),
        {
            # Decrypt also for writing: S3 needs it to put the parts of a large upload together.
            **_allow("UseOwnKeyThroughS3", ["kms:Decrypt", "kms:GenerateDataKey"], key_arn),
            "Condition": {"StringEquals": {"kms:ViaService": f"s3.{region}.amazonaws.com"}},
        },
    )


def policy_text(policy: Policy) -> str:
    """A policy document as AWS takes it, the same text for the same document."""
    return json.dumps(policy, separators=(",", ":"))


def _document(*statements: Mapping[str, Any]) -> Policy:
    return {"Version": _VERSION, "Statement": list(statements)}


def _deny(
    sid: str, action: str, resource: str | list[str], condition: Mapping[str, Mapping[str, str]]
) -> Mapping[str, Any]:
    return {
        "Sid": sid,
        "Effect": "Deny",
        "Principal": "*",
        "Action": action,
        "Resource": resource,
        "Condition": condition,
    }


def _allow(sid: str, actions: list[str], resource: str) -> Mapping[str, Any]:
    return {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resource}

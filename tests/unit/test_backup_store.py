"""The backup store: hard to erase, reached by one credential only, kept on destroy."""

import json
from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest

from components.platform.backup_store import BackupStore, BackupStoreArgs
from render.buckets import bucket_policy, policy_text, user_policy
from settings import BackupStore as StoreSettings
from tests.unit.mocks import Mocks, everything, secrecy

BUCKET_ARN = "arn:aws:s3:::agentic-mesh-backup-thanos"
KEY_ARN = "arn:aws:kms:eu-central-1:1:key/k"
DATA = (
    "aws:kms/key:Key",
    "aws:s3/bucket:Bucket",
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
    "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration",
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
    "aws:s3/bucketPolicy:BucketPolicy",
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    "aws:s3/bucketVersioning:BucketVersioning",
)
CREDENTIAL = (
    "aws:iam/accessKey:AccessKey",
    "aws:iam/user:User",
    "aws:iam/userPolicy:UserPolicy",
)


def store(epoch: int = 1, **settings: Any) -> BackupStore:
    args = BackupStoreArgs(node="thanos", store=StoreSettings(**settings), epoch=epoch)
    provider = aws.Provider("aws", region="eu-central-1")
    return BackupStore("backup", args, pulumi.ResourceOptions(provider=provider))


def outputs(made: BackupStore) -> pulumi.Output[list[str]]:
    """All that consumers can read."""
    return pulumi.Output.all(made.bucket, made.host, made.region, made.access_key_id, made.secret_access_key)


@pulumi.runtime.test
def test_exactly_these_resources_are_made(mocks: Mocks) -> pulumi.Output[None]:
    def check(_: object) -> None:
        made = [r.typ for r in mocks.registered if r.typ.startswith("aws:")]
        assert sorted(made) == sorted((*DATA, *CREDENTIAL))
        for resource in mocks.registered:
            if resource.typ.startswith("aws:"):
                assert resource.provider.endswith("::aws-id")
                assert resource.parent.endswith("agentic-mesh:backup:BackupStore::backup")
                assert resource.name.startswith("backup-")
        assert mocks.calls == []

    return everything(store()).apply(check)


@pulumi.runtime.test
def test_the_key_rotates_and_leaves_rights_to_iam(mocks: Mocks) -> pulumi.Output[None]:
    def check(_: object) -> None:
        key = mocks.one("aws:kms/key:Key").inputs
        assert key["enableKeyRotation"] is True
        assert key["deletionWindowInDays"] == 30
        assert "policy" not in key

    return everything(store()).apply(check)


@pulumi.runtime.test
def test_the_bucket_is_versioned_encrypted_private_and_locked(
    mocks: Mocks,
) -> pulumi.Output[None]:
    def check(_: object) -> None:
        bucket = mocks.one(DATA[1]).inputs
        assert bucket["bucket"] == "agentic-mesh-backup-thanos"
        assert bucket["objectLockEnabled"] is True
        assert bucket["forceDestroy"] is False
        for typ in DATA[2:]:
            assert mocks.one(typ).inputs["bucket"] == "backup-bucket-id"
        lock = mocks.one(DATA[3]).inputs["rule"]["defaultRetention"]
        assert lock == {"mode": "GOVERNANCE", "days": 35}
        assert mocks.one(DATA[4]).inputs["rule"] == {"objectOwnership": "BucketOwnerEnforced"}
        block = mocks.one(DATA[6]).inputs
        assert {key for key, value in block.items() if value is True} == {
            "blockPublicAcls",
            "blockPublicPolicy",
            "ignorePublicAcls",
            "restrictPublicBuckets",
        }
        (rule,) = mocks.one(DATA[7]).inputs["rules"]
        assert rule == {
            "applyServerSideEncryptionByDefault": {
                "sseAlgorithm": "aws:kms",
                "kmsMasterKeyId": "arn:aws:mock:::backup-key",
            },
            "bucketKeyEnabled": True,
            "blockedEncryptionTypes": ["SSE-C"],
        }
        assert mocks.one(DATA[8]).inputs["versioningConfiguration"] == {"status": "Enabled"}

    return everything(store()).apply(check)


@pulumi.runtime.test
def test_deleted_data_outlives_the_retention(mocks: Mocks) -> pulumi.Output[None]:
    def check(_: object) -> None:
        (rule,) = mocks.one(DATA[2]).inputs["rules"]
        assert rule["status"] == "Enabled"
        assert rule["filter"] == {"prefix": ""}
        assert rule["noncurrentVersionExpiration"] == {"noncurrentDays": 97}
        assert rule["abortIncompleteMultipartUpload"] == {"daysAfterInitiation": 2}
        # Current versions never expire: what is a backup and what is not is restic's to say.
        assert rule["expiration"] == {"expiredObjectDeleteMarker": True}
        assert mocks.one(DATA[3]).inputs["rule"]["defaultRetention"]["days"] == 90

    return everything(store(retention_days=90)).apply(check)


@pulumi.runtime.test
def test_order_of_what_s3_does_not_take_at_once(mocks: Mocks) -> pulumi.Output[None]:
    def check(_: object) -> None:
        def after(typ: str, other: str) -> bool:
            return any(urn.endswith(f"::{other}") for urn in mocks.one(typ).depends_on)

        assert after(DATA[2], "backup-versioning")
        assert after(DATA[3], "backup-versioning")
        assert after(DATA[5], "backup-private")
        assert after(CREDENTIAL[0], "backup-rights")

    return everything(store()).apply(check)


@pulumi.runtime.test
def test_destroy_keeps_the_data_and_drops_the_credential(mocks: Mocks) -> pulumi.Output[None]:
    def check(_: object) -> None:
        for typ in DATA:
            assert mocks.one(typ).retain_on_delete, typ
            assert mocks.one(typ).protect, typ
        for typ in CREDENTIAL:
            assert not mocks.one(typ).retain_on_delete, typ
            assert not mocks.one(typ).protect, typ

    return everything(store()).apply(check)


@pulumi.runtime.test
def test_documents_name_the_buckets_own_arns(mocks: Mocks) -> pulumi.Output[None]:
    def check(_: object) -> None:
        arns = ("arn:aws:mock:::backup-bucket", "arn:aws:mock:::backup-key")
        on_bucket = json.loads(mocks.one(DATA[5]).inputs["policy"])
        assert on_bucket == bucket_policy(*arns)
        on_user = mocks.one(CREDENTIAL[2]).inputs
        assert on_user["user"] == "backup-user"
        assert json.loads(on_user["policy"]) == user_policy(*arns, "eu-central-1")

    return everything(store()).apply(check)


@pulumi.runtime.test
def test_consumers_get_what_they_need_and_the_secret_stays_one(
    mocks: Mocks,
) -> pulumi.Output[None]:
    made = store(region="eu-west-1")

    def check(values: list[object]) -> None:
        assert values[0] == [True]
        assert values[1] == [
            "agentic-mesh-backup-thanos",
            "agentic-mesh-backup-thanos.s3.dualstack.eu-west-1.amazonaws.com",
            "eu-west-1",
            "backup-access-1-id",
            "backup-access-1.secret",
        ]
        for resource in mocks.registered:
            assert "backup-access-1.secret" not in json.dumps(resource.inputs)

    return pulumi.Output.all(secrecy(made.secret_access_key), outputs(made), everything(made)).apply(check)


@pulumi.runtime.test
def test_a_new_epoch_is_a_new_access_key_for_the_same_user(mocks: Mocks) -> pulumi.Output[None]:
    def check(_: object) -> None:
        access = mocks.one(CREDENTIAL[0])
        assert access.name == "backup-access-7"
        assert access.inputs == {"user": "backup-user"}
        assert mocks.one(CREDENTIAL[1]).name == "backup-user"

    return everything(store(epoch=7)).apply(check)


@pulumi.runtime.test
def test_any_other_store_needs_nothing_of_aws(mocks: Mocks) -> pulumi.Output[None]:
    args = BackupStoreArgs(
        node="thanos",
        store=StoreSettings(provider="s3", endpoint="s3.example.com", region="home"),
        epoch=1,
        access_key="AK",
        secret_key="SK",
    )
    made = BackupStore("backup", args)

    def check(values: list[list[object]]) -> None:
        secret, found, _ = values
        assert secret == [True, True]
        assert found == ["agentic-mesh-backup-thanos", "s3.example.com", "home", "AK", "SK"]
        assert [r.typ for r in mocks.registered] == ["agentic-mesh:backup:BackupStore"]

    return pulumi.Output.all(
        secrecy(made.access_key_id, made.secret_access_key), outputs(made), everything(made)
    ).apply(check)


@pytest.mark.parametrize(
    ("provider", "access", "secret"),
    [("s3", None, None), ("s3", "AK", None), ("s3", None, "SK"), ("aws", "AK", "SK")],
)
def test_provider_and_credential_must_go_together(
    mocks: Mocks, provider: str, access: str | None, secret: str | None
) -> None:
    settings = StoreSettings(provider=provider, endpoint="s3.example.com")
    args = BackupStoreArgs(node="thanos", store=settings, epoch=1, access_key=access, secret_key=secret)
    with pytest.raises(ValueError, match=f"provider {provider}"):
        BackupStore("backup", args)
    assert mocks.registered == []


def denied(action: str, **context: str) -> bool:
    """Whether the bucket's policy denies a request whose headers and connection `context` describes."""
    keys = {
        "tls": "s3:TlsVersion",
        "secure": "aws:SecureTransport",
        "cipher": "s3:x-amz-server-side-encryption",
        "key": "s3:x-amz-server-side-encryption-aws-kms-key-id",
        "customer": "s3:x-amz-server-side-encryption-customer-algorithm",
    }
    request = {"aws:SecureTransport": "true", "s3:TlsVersion": "1.3"}
    request |= {keys[name]: value for name, value in context.items()}
    return any(
        statement["Action"] in ("s3:*", action)
        and all(_holds(op, want, request) for op, want in statement["Condition"].items())
        for statement in bucket_policy(BUCKET_ARN, KEY_ARN)["Statement"]
    )


def _holds(operator: str, wanted: Mapping[str, str], request: Mapping[str, str]) -> bool:
    ((key, value),) = wanted.items()
    got = request.get(key)
    match operator:
        case "Null":
            return (got is None) == (value == "true")
        case "Bool":
            return got == value
        case "StringNotEquals":
            return got != value  # holds for an absent key, as in IAM
        case "NumericLessThan":
            return got is not None and float(got) < float(value)
    raise AssertionError(operator)


def test_the_bucket_denies_plain_http_and_foreign_encryption_only() -> None:
    assert not denied("s3:PutObject")
    assert not denied("s3:PutObject", cipher="aws:kms")
    assert not denied("s3:PutObject", cipher="aws:kms", key=KEY_ARN)
    assert not denied("s3:GetObject")
    assert not denied("s3:DeleteObject", tls="1.2")
    assert denied("s3:GetObject", secure="false")
    assert denied("s3:PutObject", secure="false")
    assert denied("s3:GetObject", tls="1.1")
    assert denied("s3:PutObject", cipher="AES256")
    assert denied("s3:PutObject", cipher="aws:kms", key="arn:aws:kms:eu-central-1:2:key/other")
    assert denied("s3:PutObject", customer="AES256")


def test_the_bucket_policy_covers_bucket_and_objects_for_everyone() -> None:
    statements = bucket_policy(BUCKET_ARN, KEY_ARN)["Statement"]
    assert all(s["Effect"] == "Deny" and s["Principal"] == "*" for s in statements)
    assert statements[0]["Resource"] == [BUCKET_ARN, f"{BUCKET_ARN}/*"]


def test_the_user_reaches_its_own_bucket_and_key_only() -> None:
    statements = user_policy(BUCKET_ARN, KEY_ARN, "eu-central-1")["Statement"]
    assert [s["Resource"] for s in statements] == [BUCKET_ARN, f"{BUCKET_ARN}/*", KEY_ARN]
    actions = {action for s in statements for action in s["Action"]}
    assert actions == {
        "s3:GetBucketLocation",
        "s3:ListBucket",
        "s3:ListBucketMultipartUploads",
        "s3:AbortMultipartUpload",
        "s3:DeleteObject",
        "s3:GetObject",
        "s3:ListMultipartUploadParts",
        "s3:PutObject",
        "kms:Decrypt",
        "kms:GenerateDataKey",
    }
    assert not any("*" in action for action in actions)
    assert statements[2]["Condition"] == {"StringEquals": {"kms:ViaService": "s3.eu-central-1.amazonaws.com"}}


def test_documents_fit_aws_limits() -> None:
    assert len(policy_text(user_policy(BUCKET_ARN, KEY_ARN, "eu-central-1"))) < 2048
    assert len(policy_text(bucket_policy(BUCKET_ARN, KEY_ARN))) < 20480

"""Buckets and their settings through AWS' own API, spoken to the lab's servers, and the table of the aws package."""

# ruff: noqa: ARG002 - the signatures are those of `Resource`

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Final

from lab.aws_client import api_of, call, seen, tags_of
from lab.aws_identity import AccessKey, Key, User, UserPolicy
from lab.provider import LabProvider, Resource, Values


def _upper(value: Any) -> Any:
    """Our names in AWS' spelling: `noncurrentDays` is `NoncurrentDays`."""
    if isinstance(value, dict):
        return {_SPELT.get(key, key[:1].upper() + key[1:]): _upper(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_upper(item) for item in value]
    return int(value) if isinstance(value, float) and value == int(value) else value


_SPELT: Final = {
    "id": "ID",
    "sseAlgorithm": "SSEAlgorithm",
    "kmsMasterKeyId": "KMSMasterKeyID",
}


class Bucket(Resource):
    """`aws.s3.Bucket`."""

    in_place: ClassVar[frozenset[str]] = frozenset({"forceDestroy", "tags"})
    named: ClassVar[str] = "bucket"

    def create(self, config: Values, inputs: Values) -> tuple[str, Values]:
        """Make it; object lock can be turned on at birth alone."""
        api, name = api_of(config, "s3"), inputs["bucket"]
        lock = bool(inputs.get("objectLockEnabled"))
        call(api.create_bucket, Bucket=name, ObjectLockEnabledForBucket=lock, **_place(config))
        self._tag(api, name, inputs)
        return name, {"arn": f"arn:aws:s3:::{name}", "region": config.get("region") or "us-east-1"}

    def _tag(self, api: Any, name: str, inputs: Values) -> None:
        call(api.put_bucket_tagging, Bucket=name, Tagging={"TagSet": tags_of(inputs, "Key", "Value")})

    def read(self, config: Values, identifier: str, inputs: Values, outputs: Values) -> tuple[Values, Values] | None:
        """There or gone; its settings are resources of their own."""
        if seen(api_of(config, "s3").head_bucket, Bucket=identifier) is None:
            return None
        return inputs | {"bucket": identifier}, outputs | {"arn": f"arn:aws:s3:::{identifier}"}

    def update(self, config: Values, identifier: str, olds: Values, news: Values) -> Values:
        """Its tags."""
        self._tag(api_of(config, "s3"), identifier, news)
        return {}

    def delete(self, config: Values, identifier: str, inputs: Values, outputs: Values) -> None:
        """Refused while there is something in it."""
        seen(api_of(config, "s3").delete_bucket, Bucket=identifier)


class BucketSetting(Resource):
    """One setting of a bucket: a put call, a get call and, mostly, a delete call."""

    def __init__(self, name: str, argument: str, body: Callable[[Values], Any], *, deleted: str = "") -> None:
        self._name, self._argument, self._body, self._deleted = name, argument, body, deleted or name

    in_place: ClassVar[frozenset[str]] = frozenset(
        [
            "versioningConfiguration",
            "rules",
            "rule",
            "policy",
            "blockPublicAcls",
            "blockPublicPolicy",
            "ignorePublicAcls",
            "restrictPublicBuckets",
        ]
    )

    def create(self, config: Values, inputs: Values) -> tuple[str, Values]:
        """Put it."""
        put = getattr(self._api(config), f"put_{self._name}")
        call(put, Bucket=inputs["bucket"], **{self._argument: self._body(inputs)})
        return inputs["bucket"], {}

    def read(self, config: Values, identifier: str, inputs: Values, outputs: Values) -> tuple[Values, Values] | None:
        """Gone where the setting, or the bucket, is gone."""
        found = seen(getattr(self._api(config), f"get_{self._name}"), Bucket=identifier)
        return None if found is None else (inputs, outputs)

    def update(self, config: Values, identifier: str, olds: Values, news: Values) -> Values:
        """Put it anew."""
        return self.create(config, news)[1]

    def delete(self, config: Values, identifier: str, inputs: Values, outputs: Values) -> None:
        """Take it away, where AWS has a call for that."""
        remove = getattr(self._api(config), f"delete_{self._deleted}", None)
        if remove is not None:
            seen(remove, Bucket=identifier)

    def _api(self, config: Values) -> Any:
        return api_of(config, "s3", self._name)


class PublicAccessBlock(BucketSetting):
    """`aws.s3.BucketPublicAccessBlock`, which only the stand-in knows; a bucket of that name has to be there for it."""

    def create(self, config: Values, inputs: Values) -> tuple[str, Values]:
        """Put it."""
        api, name = self._api(config), inputs["bucket"]
        if seen(api.head_bucket, Bucket=name) is None:
            call(api.create_bucket, Bucket=name, **_place(config))
        return super().create(config, inputs)


def _place(config: Values) -> Values:
    """Where a bucket is made; the first region's name is not said."""
    region = config.get("region") or "us-east-1"
    return {"CreateBucketConfiguration": {"LocationConstraint": region}} if region != "us-east-1" else {}


def provider(environment: Values) -> LabProvider:
    """The package."""
    block = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    s3: dict[str, Resource] = {
        "Bucket": Bucket(),
        "BucketVersioning": BucketSetting(
            "bucket_versioning", "VersioningConfiguration", lambda i: _upper(i["versioningConfiguration"])
        ),
        "BucketServerSideEncryptionConfiguration": BucketSetting(
            "bucket_encryption", "ServerSideEncryptionConfiguration", lambda i: {"Rules": _encryption(i["rules"])}
        ),
        "BucketPublicAccessBlock": PublicAccessBlock(
            "public_access_block",
            "PublicAccessBlockConfiguration",
            lambda i: _upper({k: i.get(k, False) for k in block}),
        ),
        "BucketOwnershipControls": BucketSetting(
            "bucket_ownership_controls", "OwnershipControls", lambda i: {"Rules": [_upper(i["rule"])]}
        ),
        "BucketPolicy": BucketSetting("bucket_policy", "Policy", lambda i: i["policy"]),
        "BucketObjectLockConfiguration": BucketSetting(
            "object_lock_configuration",
            "ObjectLockConfiguration",
            lambda i: {"ObjectLockEnabled": "Enabled", "Rule": _upper(i["rule"])},
        ),
        "BucketLifecycleConfiguration": BucketSetting(
            "bucket_lifecycle_configuration",
            "LifecycleConfiguration",
            lambda i: {"Rules": _upper(i["rules"])},
            deleted="bucket_lifecycle",
        ),
    }
    iam: dict[str, Resource] = {"User": User(), "UserPolicy": UserPolicy(), "AccessKey": AccessKey()}
    tables = (("s3", s3), ("iam", iam), ("kms", {"Key": Key()}))
    resources = {
        f"aws:{module}/{name[0].lower()}{name[1:]}:{name}": resource
        for module, table in tables
        for name, resource in table.items()
    }
    return LabProvider("aws", resources, environment)


def _encryption(rules: list[Values]) -> list[Values]:
    """boto3 does not know the blocked encryption types of the newest API yet; the stand-in has none of them."""
    return [_upper({k: v for k, v in rule.items() if k != "blockedEncryptionTypes"}) for rule in rules]

"""Buckets, keys and users through AWS' own API, spoken to the lab's server."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Final

import boto3
from botocore.exceptions import ClientError

from engine.check import Failure
from lab.provider import LabProvider, Resource, ResourceError, Values

_GONE: Final = re.compile("NoSuch|NotFound|404")


def _api(config: Values, service: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=config["aws"],
        region_name=config.get("region") or "us-east-1",
        aws_access_key_id="lab",
        aws_secret_access_key="lab",  # noqa: S106 - the stand-in asks for none
    )


def _call(function: Callable[..., Any], **arguments: Any) -> Any:
    """An API call whose refusal is the resource's error."""
    try:
        return function(**arguments)
    except ClientError as error:
        raise ResourceError(str(error)) from error


def _seen(function: Callable[..., Any], **arguments: Any) -> Any | None:
    """What an API call reads; None where there is nothing."""
    try:
        return function(**arguments)
    except ClientError as error:
        if _GONE.search(error.response["Error"]["Code"]):
            return None
        raise ResourceError(str(error)) from error


def _tags(inputs: Values, key: str, value: str) -> list[dict[str, str]]:
    return [{key: name, value: text} for name, text in (inputs.get("tags") or {}).items()]


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


class Key(Resource):
    """`aws.kms.Key`."""

    in_place: ClassVar[frozenset[str]] = frozenset({"description", "enableKeyRotation", "deletionWindowInDays", "tags"})

    def create(self, config: Values, inputs: Values) -> tuple[str, Values]:
        """Make it, and turn its rotation on."""
        api = _api(config, "kms")
        made = _call(
            api.create_key, Description=inputs.get("description", ""), Tags=_tags(inputs, "TagKey", "TagValue")
        )["KeyMetadata"]
        if inputs.get("enableKeyRotation"):
            _call(api.enable_key_rotation, KeyId=made["KeyId"])
        return made["KeyId"], {"arn": made["Arn"], "keyId": made["KeyId"]}

    def read(self, config: Values, identifier: str, inputs: Values, outputs: Values) -> tuple[Values, Values] | None:
        """One that waits for its deletion is gone."""
        api = _api(config, "kms")
        found = _seen(api.describe_key, KeyId=identifier)
        if found is None or found["KeyMetadata"]["KeyState"] == "PendingDeletion":
            return None
        rotates = _call(api.get_key_rotation_status, KeyId=identifier)["KeyRotationEnabled"]
        meta = found["KeyMetadata"]
        seen = {"description": meta["Description"], "enableKeyRotation": rotates}
        return inputs | seen, {"arn": meta["Arn"], "keyId": identifier}

    def update(self, config: Values, identifier: str, olds: Values, news: Values) -> Values:
        """Set what can be set."""
        api = _api(config, "kms")
        _call(api.update_key_description, KeyId=identifier, Description=news.get("description", ""))
        turn = api.enable_key_rotation if news.get("enableKeyRotation") else api.disable_key_rotation
        _call(turn, KeyId=identifier)
        return {}

    def delete(self, config: Values, identifier: str, inputs: Values, outputs: Values) -> None:
        """Not at once: AWS waits."""
        days = int(inputs.get("deletionWindowInDays") or 30)
        _seen(_api(config, "kms").schedule_key_deletion, KeyId=identifier, PendingWindowInDays=days)


class Bucket(Resource):
    """`aws.s3.Bucket`."""

    in_place: ClassVar[frozenset[str]] = frozenset({"forceDestroy", "tags"})
    named: ClassVar[str] = "bucket"

    def create(self, config: Values, inputs: Values) -> tuple[str, Values]:
        """Make it; object lock can be turned on at birth alone."""
        api, name = _api(config, "s3"), inputs["bucket"]
        region = config.get("region") or "us-east-1"
        place = {"CreateBucketConfiguration": {"LocationConstraint": region}} if region != "us-east-1" else {}
        _call(
            api.create_bucket, Bucket=name, ObjectLockEnabledForBucket=bool(inputs.get("objectLockEnabled")), **place
        )
        self._tag(api, name, inputs)
        return name, {"arn": f"arn:aws:s3:::{name}", "region": region}

    def _tag(self, api: Any, name: str, inputs: Values) -> None:
        _call(api.put_bucket_tagging, Bucket=name, Tagging={"TagSet": _tags(inputs, "Key", "Value")})

    def read(self, config: Values, identifier: str, inputs: Values, outputs: Values) -> tuple[Values, Values] | None:
        """There or gone; its settings are resources of their own."""
        if _seen(_api(config, "s3").head_bucket, Bucket=identifier) is None:
            return None
        return inputs | {"bucket": identifier}, outputs | {"arn": f"arn:aws:s3:::{identifier}"}

    def update(self, config: Values, identifier: str, olds: Values, news: Values) -> Values:
        """Its tags."""
        self._tag(_api(config, "s3"), identifier, news)
        return {}

    def delete(self, config: Values, identifier: str, inputs: Values, outputs: Values) -> None:
        """Refused while there is something in it."""
        _seen(_api(config, "s3").delete_bucket, Bucket=identifier)


class BucketSetting(Resource):
    """One setting of a bucket: a put call, a get call and, mostly, a delete call."""

    def __init__(self, call: str, argument: str, body: Callable[[Values], Any], *, deleted: str = "") -> None:
        self._call_name, self._argument, self._body, self._deleted = call, argument, body, deleted or call

    in_place: ClassVar[frozenset[str]] = frozenset(
        """versioningConfiguration rules rule policy blockPublicAcls blockPublicPolicy ignorePublicAcls
        restrictPublicBuckets""".split()
    )

    def create(self, config: Values, inputs: Values) -> tuple[str, Values]:
        """Put it."""
        put = getattr(_api(config, "s3"), f"put_{self._call_name}")
        _call(put, Bucket=inputs["bucket"], **{self._argument: self._body(inputs)})
        return inputs["bucket"], {}

    def read(self, config: Values, identifier: str, inputs: Values, outputs: Values) -> tuple[Values, Values] | None:
        """Gone where the setting, or the bucket, is gone."""
        found = _seen(getattr(_api(config, "s3"), f"get_{self._call_name}"), Bucket=identifier)
        return None if found is None else (inputs, outputs)

    def update(self, config: Values, identifier: str, olds: Values, news: Values) -> Values:
        """Put it anew."""
        return self.create(config, news)[1]

    def delete(self, config: Values, identifier: str, inputs: Values, outputs: Values) -> None:
        """Take it away, where AWS has a call for that."""
        remove = getattr(_api(config, "s3"), f"delete_{self._deleted}", None)
        if remove is not None:
            _seen(remove, Bucket=identifier)


class User(Resource):
    """`aws.iam.User`."""

    in_place: ClassVar[frozenset[str]] = frozenset({"path", "tags", "forceDestroy"})
    named: ClassVar[str] = "name"

    def create(self, config: Values, inputs: Values) -> tuple[str, Values]:
        """Make it."""
        path, tags = inputs.get("path", "/"), _tags(inputs, "Key", "Value")
        made = _call(_api(config, "iam").create_user, UserName=inputs["name"], Path=path, Tags=tags)["User"]
        return inputs["name"], {"arn": made["Arn"], "uniqueId": made["UserId"]}

    def read(self, config: Values, identifier: str, inputs: Values, outputs: Values) -> tuple[Values, Values] | None:
        """There or gone."""
        return (inputs, outputs) if _seen(_api(config, "iam").get_user, UserName=identifier) else None

    def update(self, config: Values, identifier: str, olds: Values, news: Values) -> Values:
        """Its path and tags."""
        api = _api(config, "iam")
        _call(api.update_user, UserName=identifier, NewPath=news.get("path", "/"))
        _call(api.tag_user, UserName=identifier, Tags=_tags(news, "Key", "Value"))
        return {}

    def delete(self, config: Values, identifier: str, inputs: Values, outputs: Values) -> None:
        """Refused while it has keys or policies."""
        _seen(_api(config, "iam").delete_user, UserName=identifier)


class UserPolicy(Resource):
    """`aws.iam.UserPolicy`."""

    in_place: ClassVar[frozenset[str]] = frozenset({"policy"})
    named: ClassVar[str] = "name"

    def check(self, inputs: Values) -> Iterable[Failure]:
        """AWS takes JSON alone."""
        try:
            json.loads(inputs["policy"]) if isinstance(inputs.get("policy"), str) else None
        except ValueError as error:
            yield Failure("policy", f"is no JSON: {error}")

    def create(self, config: Values, inputs: Values) -> tuple[str, Values]:
        """Put it."""
        _call(
            _api(config, "iam").put_user_policy,
            UserName=inputs["user"],
            PolicyName=inputs["name"],
            PolicyDocument=inputs["policy"],
        )
        return f"{inputs['user']}:{inputs['name']}", {}

    def read(self, config: Values, identifier: str, inputs: Values, outputs: Values) -> tuple[Values, Values] | None:
        """As it is now."""
        user, _, name = identifier.partition(":")
        found = _seen(_api(config, "iam").get_user_policy, UserName=user, PolicyName=name)
        if found is None:
            return None
        document = found["PolicyDocument"]
        if "policy" in inputs and json.loads(inputs["policy"]) == document:
            return inputs, outputs
        return inputs | {"user": user, "name": name, "policy": json.dumps(document)}, outputs

    def update(self, config: Values, identifier: str, olds: Values, news: Values) -> Values:
        """Put it anew."""
        return self.create(config, news)[1]

    def delete(self, config: Values, identifier: str, inputs: Values, outputs: Values) -> None:
        """Take it away."""
        user, _, name = identifier.partition(":")
        _seen(_api(config, "iam").delete_user_policy, UserName=user, PolicyName=name)


class AccessKey(Resource):
    """`aws.iam.AccessKey`."""

    in_place: ClassVar[frozenset[str]] = frozenset({"status"})

    def create(self, config: Values, inputs: Values) -> tuple[str, Values]:
        """Make it; its secret is told this once."""
        made = _call(_api(config, "iam").create_access_key, UserName=inputs["user"])["AccessKey"]
        return made["AccessKeyId"], {"secret": made["SecretAccessKey"], "status": made["Status"]}

    def read(self, config: Values, identifier: str, inputs: Values, outputs: Values) -> tuple[Values, Values] | None:
        """There or gone."""
        found = _seen(_api(config, "iam").list_access_keys, UserName=inputs["user"]) or {"AccessKeyMetadata": []}
        keys = {key["AccessKeyId"] for key in found["AccessKeyMetadata"]}
        return (inputs, outputs) if identifier in keys else None

    def update(self, config: Values, identifier: str, olds: Values, news: Values) -> Values:
        """On or off."""
        status = news.get("status", "Active")
        _call(_api(config, "iam").update_access_key, UserName=news["user"], AccessKeyId=identifier, Status=status)
        return {"status": status}

    def delete(self, config: Values, identifier: str, inputs: Values, outputs: Values) -> None:
        """Take it away."""
        _seen(_api(config, "iam").delete_access_key, UserName=inputs["user"], AccessKeyId=identifier)


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
        "BucketPublicAccessBlock": BucketSetting(
            "public_access_block", "PublicAccessBlockConfiguration", lambda i: _upper({k: i.get(k, False) for k in block})
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

"""Users, their policies and keys, and keys of KMS, through AWS' own API.

Users are the S3 server's own, so that a key opens what its user's policy allows there and nothing else. A user's
policy is kept there as one of the account's, attached to the user: inside a user the server knows fewer actions.
"""

# ruff: noqa: ARG002 - the signatures are those of `Resource`

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import ClassVar

from engine.check import Failure
from lab.aws_client import api_of, call, seen, tags_of
from lab.provider import Resource, Values


class Key(Resource):
    """`aws.kms.Key`."""

    in_place: ClassVar[frozenset[str]] = frozenset({"description", "enableKeyRotation", "deletionWindowInDays", "tags"})

    def create(self, config: Values, inputs: Values) -> tuple[str, Values]:
        """Make it, and turn its rotation on."""
        api = api_of(config, "kms")
        made = call(
            api.create_key, Description=inputs.get("description", ""), Tags=tags_of(inputs, "TagKey", "TagValue")
        )["KeyMetadata"]
        if inputs.get("enableKeyRotation"):
            call(api.enable_key_rotation, KeyId=made["KeyId"])
        return made["KeyId"], {"arn": made["Arn"], "keyId": made["KeyId"]}

    def read(self, config: Values, identifier: str, inputs: Values, outputs: Values) -> tuple[Values, Values] | None:
        """One that waits for its deletion is gone."""
        api = api_of(config, "kms")
        found = seen(api.describe_key, KeyId=identifier)
        if found is None or found["KeyMetadata"]["KeyState"] == "PendingDeletion":
            return None
        rotates = call(api.get_key_rotation_status, KeyId=identifier)["KeyRotationEnabled"]
        meta = found["KeyMetadata"]
        now = {"description": meta["Description"], "enableKeyRotation": rotates}
        return inputs | now, {"arn": meta["Arn"], "keyId": identifier}

    def update(self, config: Values, identifier: str, olds: Values, news: Values) -> Values:
        """Set what can be set."""
        api = api_of(config, "kms")
        call(api.update_key_description, KeyId=identifier, Description=news.get("description", ""))
        turn = api.enable_key_rotation if news.get("enableKeyRotation") else api.disable_key_rotation
        call(turn, KeyId=identifier)
        return {}

    def delete(self, config: Values, identifier: str, inputs: Values, outputs: Values) -> None:
        """Not at once: AWS waits."""
        days = int(inputs.get("deletionWindowInDays") or 30)
        seen(api_of(config, "kms").schedule_key_deletion, KeyId=identifier, PendingWindowInDays=days)


class User(Resource):
    """`aws.iam.User`."""

    in_place: ClassVar[frozenset[str]] = frozenset({"path", "tags", "forceDestroy"})
    named: ClassVar[str] = "name"

    def create(self, config: Values, inputs: Values) -> tuple[str, Values]:
        """Make it."""
        path, tags = inputs.get("path", "/"), tags_of(inputs, "Key", "Value")
        made = call(api_of(config, "iam").create_user, UserName=inputs["name"], Path=path, Tags=tags)["User"]
        return inputs["name"], {"arn": made["Arn"], "uniqueId": made.get("UserId", inputs["name"])}

    def read(self, config: Values, identifier: str, inputs: Values, outputs: Values) -> tuple[Values, Values] | None:
        """There or gone."""
        return (inputs, outputs) if seen(api_of(config, "iam").get_user, UserName=identifier) else None

    def update(self, config: Values, identifier: str, olds: Values, news: Values) -> Values:
        """Its path and tags."""
        api = api_of(config, "iam")
        call(api.update_user, UserName=identifier, NewPath=news.get("path", "/"))
        call(api.tag_user, UserName=identifier, Tags=tags_of(news, "Key", "Value"))
        return {}

    def delete(self, config: Values, identifier: str, inputs: Values, outputs: Values) -> None:
        """AWS refuses it while it has keys or policies; the lab's server takes them along."""
        seen(api_of(config, "iam").delete_user, UserName=identifier)


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
        """Make it and give it to its user."""
        api, user = api_of(config, "iam"), inputs["user"]
        name = f"{user}-{inputs['name']}"
        made = call(api.create_policy, PolicyName=name, PolicyDocument=inputs["policy"])["Policy"]
        call(api.attach_user_policy, UserName=user, PolicyArn=made["Arn"])
        return f"{user}:{inputs['name']}", {}

    def read(self, config: Values, identifier: str, inputs: Values, outputs: Values) -> tuple[Values, Values] | None:
        """As it is now."""
        api, arn = api_of(config, "iam"), _arn(identifier)
        user, _, name = identifier.partition(":")
        attached = (seen(api.list_attached_user_policies, UserName=user) or {}).get("AttachedPolicies", [])
        found = seen(api.get_policy, PolicyArn=arn)
        if found is None or arn not in [policy["PolicyArn"] for policy in attached]:
            return None
        version = found["Policy"]["DefaultVersionId"]
        document = call(api.get_policy_version, PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
        if "policy" in inputs and json.loads(inputs["policy"]) == document:
            return inputs, outputs
        return inputs | {"user": user, "name": name, "policy": json.dumps(document)}, outputs

    def update(self, config: Values, identifier: str, olds: Values, news: Values) -> Values:
        """Anew: the server makes no second version of one."""
        self.delete(config, identifier, olds, {})
        return self.create(config, news)[1]

    def delete(self, config: Values, identifier: str, inputs: Values, outputs: Values) -> None:
        """Take it from its user and away."""
        api, arn = api_of(config, "iam"), _arn(identifier)
        seen(api.detach_user_policy, UserName=identifier.partition(":")[0], PolicyArn=arn)
        seen(api.delete_policy, PolicyArn=arn)


def _arn(identifier: str) -> str:
    """Of what stands for a user's policy."""
    return f"arn:aws:iam:::policy/{identifier.replace(':', '-', 1)}"


class AccessKey(Resource):
    """`aws.iam.AccessKey`."""

    in_place: ClassVar[frozenset[str]] = frozenset({"status"})

    def create(self, config: Values, inputs: Values) -> tuple[str, Values]:
        """Make it; its secret is told this once."""
        made = call(api_of(config, "iam").create_access_key, UserName=inputs["user"])["AccessKey"]
        return made["AccessKeyId"], {"secret": made["SecretAccessKey"], "status": made["Status"]}

    def read(self, config: Values, identifier: str, inputs: Values, outputs: Values) -> tuple[Values, Values] | None:
        """There or gone."""
        found = seen(api_of(config, "iam").list_access_keys, UserName=inputs["user"]) or {"AccessKeyMetadata": []}
        keys = {key["AccessKeyId"] for key in found["AccessKeyMetadata"]}
        return (inputs, outputs) if identifier in keys else None

    def update(self, config: Values, identifier: str, olds: Values, news: Values) -> Values:
        """On or off."""
        status = news.get("status", "Active")
        call(api_of(config, "iam").update_access_key, UserName=news["user"], AccessKeyId=identifier, Status=status)
        return {"status": status}

    def delete(self, config: Values, identifier: str, inputs: Values, outputs: Values) -> None:
        """Take it away."""
        seen(api_of(config, "iam").delete_access_key, UserName=inputs["user"], AccessKeyId=identifier)

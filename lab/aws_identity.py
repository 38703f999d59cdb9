"""Users, their policies and keys, and keys of KMS, through AWS' own API."""

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
        return inputs["name"], {"arn": made["Arn"], "uniqueId": made["UserId"]}

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
        """Refused while it has keys or policies."""
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
        """Put it."""
        call(
            api_of(config, "iam").put_user_policy,
            UserName=inputs["user"],
            PolicyName=inputs["name"],
            PolicyDocument=inputs["policy"],
        )
        return f"{inputs['user']}:{inputs['name']}", {}

    def read(self, config: Values, identifier: str, inputs: Values, outputs: Values) -> tuple[Values, Values] | None:
        """As it is now."""
        user, _, name = identifier.partition(":")
        found = seen(api_of(config, "iam").get_user_policy, UserName=user, PolicyName=name)
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
        seen(api_of(config, "iam").delete_user_policy, UserName=user, PolicyName=name)


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

"""The lab's AWS: a store as the program makes it keeps what it promises, against a real S3 server."""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]
import pytest
from botocore.config import Config  # type: ignore[import-untyped]
from botocore.exceptions import ClientError  # type: ignore[import-untyped]

from lab import clouds, processes, s3_server, world
from lab.aws_client import api_of
from lab.aws_provider import provider
from lab.machine import in_namespace, run
from lab.places import Node
from lab.provider import ResourceError, Values
from render.buckets import bucket_policy, policy_text, user_policy

pytestmark = pytest.mark.lab

REGION = world.STORE.region
OWN, OTHER, USER = "lab-test-own", "lab-test-other", "lab-test-user"


def resource(name: str) -> Any:
    return next(found for token, found in provider({})._resources.items() if token.endswith(f":{name}"))


@dataclass
class Store:
    """A store, as `components.platform.backup_store` makes it, with a day of retention."""

    config: Values
    key_arn: str
    key_id: str
    settings: dict[str, Values]
    access: str
    secret: str

    def client(self, url: str = s3_server.URL) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=url,
            region_name=REGION,
            aws_access_key_id=self.access,
            aws_secret_access_key=self.secret,
            verify=self.config["aws"]["ca"],
            config=Config(s3={"addressing_style": "path"}),
        )

    def make_key(self) -> None:
        self.access, made = resource("AccessKey").create(self.config, {"user": USER})
        self.secret = made["secret"]


def settings_of(bucket: str, key_arn: str) -> dict[str, Values]:
    rule = {"applyServerSideEncryptionByDefault": {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": key_arn}}
    block = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    expiry = {
        "id": "expire-deleted",
        "status": "Enabled",
        "filter": {"prefix": ""},
        "noncurrentVersionExpiration": {"noncurrentDays": 8.0},
        "expiration": {"expiredObjectDeleteMarker": True},
        "abortIncompleteMultipartUpload": {"daysAfterInitiation": 2.0},
    }
    found: dict[str, Values] = {
        "BucketVersioning": {"versioningConfiguration": {"status": "Enabled"}},
        "BucketServerSideEncryptionConfiguration": {"rules": [rule | {"bucketKeyEnabled": True}]},
        "BucketPublicAccessBlock": dict.fromkeys(block, True),
        "BucketOwnershipControls": {"rule": {"objectOwnership": "BucketOwnerEnforced"}},
        "BucketPolicy": {"policy": policy_text(bucket_policy(f"arn:aws:s3:::{bucket}", key_arn))},
        "BucketObjectLockConfiguration": {"rule": {"defaultRetention": {"mode": "GOVERNANCE", "days": 1.0}}},
        "BucketLifecycleConfiguration": {"rules": [expiry]},
    }
    return {name: {"bucket": bucket, **inputs} for name, inputs in found.items()}


def empty(api: Any, bucket: str) -> None:
    """As the account's owner, who may pass the lock."""
    listed = api.list_object_versions(Bucket=bucket)
    for entry in (*listed.get("Versions", ()), *listed.get("DeleteMarkers", ())):
        api.delete_object(Bucket=bucket, Key=entry["Key"], VersionId=entry["VersionId"], BypassGovernanceRetention=True)


@pytest.fixture
def store(lab_nodes: tuple[Node, ...]) -> Iterator[Store]:
    config = {"aws": clouds.start_clouds(lab_nodes[0].folder), "region": REGION}
    identifier, key = resource("Key").create(config, {"description": "of a test", "enableKeyRotation": True})
    for bucket in (OWN, OTHER):
        resource("Bucket").create(config, {"bucket": bucket, "objectLockEnabled": True, "tags": {"of": "a test"}})
    settings = settings_of(OWN, key["arn"])
    for name, inputs in settings.items():
        resource(name).create(config, inputs)
    resource("User").create(config, {"name": USER, "path": "/agentic-mesh/"})
    policy = policy_text(user_policy(f"arn:aws:s3:::{OWN}", key["arn"], REGION))
    rights = {"user": USER, "name": "rights", "policy": policy}
    resource("UserPolicy").create(config, rights)
    found = Store(config, key["arn"], identifier, settings, "", "")
    found.make_key()
    yield found
    resource("AccessKey").delete(config, found.access, {"user": USER}, {})
    resource("UserPolicy").delete(config, f"{USER}:rights", rights, {})
    resource("User").delete(config, USER, {}, {})
    for bucket in (OWN, OTHER):
        empty(api_of(config, "s3"), bucket)
        resource("Bucket").delete(config, bucket, {"bucket": bucket}, {})
    resource("Key").delete(config, identifier, {"deletionWindowInDays": 7}, {})


def refused(call: Any, **arguments: Any) -> bool:
    with pytest.raises(ClientError) as error:
        call(**arguments)
    return error.value.response["Error"]["Code"] in ("AccessDenied", "InvalidAccessKeyId", "403")


def test_a_key_opens_its_own_bucket_and_no_other(store: Store) -> None:
    client = store.client()
    client.put_object(Bucket=OWN, Key="a", Body=b"backup")
    found = client.get_object(Bucket=OWN, Key="a")
    assert found["Body"].read() == b"backup"
    assert (found["ServerSideEncryption"], found["SSEKMSKeyId"]) == ("aws:kms", store.key_arn)
    assert refused(client.put_object, Bucket=OTHER, Key="a", Body=b"backup")
    assert refused(client.list_objects_v2, Bucket=OTHER)


def test_what_was_written_can_be_hidden_and_not_erased(store: Store) -> None:
    client = store.client()
    version = client.put_object(Bucket=OWN, Key="a", Body=b"backup")["VersionId"]
    client.delete_object(Bucket=OWN, Key="a")
    assert refused(client.delete_object, Bucket=OWN, Key="a", VersionId=version)
    assert refused(client.put_object_lock_configuration, Bucket=OWN, ObjectLockConfiguration={})
    assert refused(client.delete_bucket_policy, Bucket=OWN)
    owner = api_of(store.config, "s3")
    assert owner.get_object(Bucket=OWN, Key="a", VersionId=version)["Body"].read() == b"backup"
    # Not even the owner, without saying so.
    with pytest.raises(ClientError):
        owner.delete_object(Bucket=OWN, Key="a", VersionId=version)


def test_the_buckets_policy_is_kept(store: Store) -> None:
    assert refused(store.client(f"http://{world.S3}").list_objects_v2, Bucket=OWN)
    put = store.client().put_object
    assert refused(put, Bucket=OWN, Key="a", Body=b"", ServerSideEncryption="AES256")
    assert refused(put, Bucket=OWN, Key="a", Body=b"", SSECustomerAlgorithm="AES256", SSECustomerKey="k" * 32)


def test_a_key_that_is_off_or_gone_opens_nothing(store: Store) -> None:
    client, keys = store.client(), resource("AccessKey")
    keys.update(store.config, store.access, {}, {"user": USER, "status": "Inactive"})
    assert refused(client.list_objects_v2, Bucket=OWN)
    keys.update(store.config, store.access, {}, {"user": USER, "status": "Active"})
    client.list_objects_v2(Bucket=OWN)
    keys.delete(store.config, store.access, {"user": USER}, {})
    assert refused(client.list_objects_v2, Bucket=OWN)
    assert keys.read(store.config, store.access, {"user": USER}, {}) is None


def test_everything_is_seen_and_what_is_gone_is_not(store: Store) -> None:
    config = store.config
    assert resource("Bucket").read(config, OWN, {"bucket": OWN}, {}) is not None
    assert resource("Bucket").read(config, "lab-test-none", {}, {}) is None
    for name, inputs in store.settings.items():
        assert resource(name).read(config, OWN, inputs, {}) == (inputs, {}), name
    assert resource("User").read(config, USER, {"name": USER}, {}) is not None
    assert resource("User").read(config, "lab-test-none", {}, {}) is None
    for name in ("BucketPublicAccessBlock", "BucketPolicy", "BucketLifecycleConfiguration"):
        resource(name).delete(config, OWN, store.settings[name], {})
        assert resource(name).read(config, OWN, store.settings[name], {}) is None, name


def test_a_policy_that_was_changed_by_hand_is_seen_and_put_back(store: Store) -> None:
    rights, config = resource("UserPolicy"), store.config
    identifier = f"{USER}:rights"
    wanted = policy_text(user_policy(f"arn:aws:s3:::{OWN}", store.key_arn, REGION))
    inputs = {"user": USER, "name": "rights", "policy": wanted}
    assert rights.read(config, identifier, inputs, {}) == (inputs, {})
    less = inputs | {"policy": wanted.replace(OWN, OTHER)}
    rights.update(config, identifier, inputs, less)
    assert refused(store.client().list_objects_v2, Bucket=OWN)
    seen = rights.read(config, identifier, inputs, {})
    assert json.loads(seen[0]["policy"]) == json.loads(less["policy"])
    rights.update(config, identifier, seen[0], inputs)
    store.client().list_objects_v2(Bucket=OWN)


def test_a_server_that_died_comes_back_with_all_that_it_had(store: Store, lab_nodes: tuple[Node, ...]) -> None:
    store.client().put_object(Bucket=OWN, Key="a", Body=b"backup")
    processes.kill([int((clouds.RUNNING / "s3.pid").read_text())])
    clouds.start_clouds(lab_nodes[0].folder)
    assert store.client().get_object(Bucket=OWN, Key="a")["Body"].read() == b"backup"
    assert refused(store.client().list_objects_v2, Bucket=OTHER)


def test_a_bucket_is_made_once_and_deleted_empty(store: Store) -> None:
    bucket = resource("Bucket")
    with pytest.raises(ResourceError, match="BucketAlready"):
        bucket.create(store.config, {"bucket": OWN})
    store.client().put_object(Bucket=OWN, Key="a", Body=b"")
    with pytest.raises(ResourceError, match="BucketNotEmpty"):
        bucket.delete(store.config, OWN, {}, {})


@pytest.mark.skipif(shutil.which("restic") is None, reason="restic is not installed")
def test_restic_backs_up_from_a_node_by_the_buckets_name(
    store: Store, lab_nodes: tuple[Node, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, bucket = lab_nodes[0], f"{OWN}.{s3_server.ENDPOINT}"
    (tmp_path / "hosts").write_text(f"{world.S3} {bucket}\n")
    (tmp_path / "file").write_bytes(os.urandom(1 << 20))
    for name, value in (("ACCESS_KEY_ID", store.access), ("SECRET_ACCESS_KEY", store.secret)):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("RESTIC_PASSWORD", "of a test")
    place = f"s3:https://{s3_server.ENDPOINT}/{OWN}"
    options = f"-o s3.bucket-lookup=dns -o s3.region={REGION} --no-cache --cacert {store.config['aws']['ca']}"
    for words in ("init", f"backup {tmp_path / 'file'}", "check --read-data", "forget latest --keep-last 1 --prune"):
        script = f"mount --bind {tmp_path / 'hosts'} /etc/hosts && exec restic -r {place} {options} {words}"
        run(*in_namespace(node.namespace, "unshare", "-m", "sh", "-c", script), timeout=120)

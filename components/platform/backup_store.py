"""The bucket that one node backs up to, and the credential for it."""

from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_aws as aws

from render.buckets import bucket_policy, policy_text, user_policy
from settings import BackupStore as StoreSettings

KEY_DELETION_DAYS: Final = 30
"""The longest time that AWS gives to think better of deleting a key: without it the backups are noise."""
NOTICE_DAYS: Final = 7
"""Days on top of the retention before deleted data is cleared away: time to notice and to act."""
UPLOAD_DAYS: Final = 2
"""When the parts of an upload that never ended are cleared away."""


@dataclass(frozen=True, kw_only=True)
class BackupStoreArgs:
    """Where a node's backups go."""

    node: str
    store: StoreSettings
    """Provider, region, names and retention (days), from the settings."""
    epoch: int
    """The secrets epoch; a new one replaces the access key."""
    access_key: pulumi.Input[str] | None = None
    """The credential of a store that we do not make; with `provider: s3` alone."""
    secret_key: pulumi.Input[str] | None = None


class BackupStore(pulumi.ComponentResource):
    """A node's backup bucket, hard to erase, and the one credential that reaches it.

    On AWS it creates:
      - `kms.Key`: encrypts the bucket, AWS rotates it each year. It has no policy of its own: AWS' default lets the
        account's IAM policies decide, which is what the node's user policy relies on, and naming the account's root
        would need a look-up that a plan without an account cannot make.
      - `s3.Bucket` with versioning, default encryption, all public access blocked, ACLs off, a policy that refuses
        plain HTTP and foreign encryption, an object lock and a lifecycle.
      - `iam.User`, its inline policy for this bucket and key only, and an `iam.AccessKey` for each secrets epoch.

    With any other S3 endpoint (`provider: s3`) it creates nothing: the bucket is the owner's, the credential comes
    from the settings.

    Erasure. Object lock keeps each version for the retention, counted from its upload. restic still works: its
    deletes (lock files, prune) name no version, so they only set delete markers, which no lock forbids; and it sends
    the checksum that a locked bucket asks for. What it deletes stays as a noncurrent version, which the node may not
    remove, until the lifecycle does so, a retention and a week after the delete. A stolen credential can hide the
    backups and cannot destroy them. The mode is GOVERNANCE, not COMPLIANCE: the account's owner may lift it by a
    permission that the node does not have, while in COMPLIANCE a mistyped retention of ten years has to be paid for
    ten years.

    Destroy. Bucket, bucket settings and key are protected: `pulumi destroy --exclude-protected` leaves them as they
    are, settings included, since a kept bucket without its lock would be no safer than a deleted one, and in the
    state, so that the next `up` goes on with them. It could not make the bucket anew: its name is taken. They are
    retained as well: unprotected by hand, a destroy forgets them and AWS keeps them. The credential does go.

    Rotation. The access key's name holds the epoch: a new epoch makes a new key, hands it to the consumers, and the
    old one is deleted at the end of the same `up`. AWS allows a user two keys, so none may be added by hand.
    """

    bucket: pulumi.Output[str]
    host: pulumi.Output[str]
    """The S3 endpoint's host name; for a bucket on AWS its own, so that no other is reached through it."""
    region: pulumi.Output[str]
    access_key_id: pulumi.Output[str]
    secret_access_key: pulumi.Output[str]
    """Secret."""

    def __init__(self, name: str, args: BackupStoreArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register everything; ValueError where the provider and the credentials given do not go together."""
        given = [value is not None for value in (args.access_key, args.secret_key)]
        if args.store.provider == "s3" and not all(given):
            raise ValueError("provider s3: access_key and secret_key are needed")
        if args.store.provider == "aws" and any(given):
            raise ValueError("provider aws: the credential is made here, none can be given")
        super().__init__("agentic-mesh:backup:BackupStore", name, None, opts)
        self.host = pulumi.Output.from_input(args.store.host(args.node))
        self.region = pulumi.Output.from_input(args.store.region)
        if args.access_key is not None and args.secret_key is not None:
            self.bucket = pulumi.Output.from_input(args.store.bucket(args.node))
            self.access_key_id = pulumi.Output.secret(args.access_key)
            self.secret_access_key = pulumi.Output.secret(args.secret_key)
        else:
            bucket, key = self._bucket(name, args)
            access = self._access(name, args, bucket, key)
            self.bucket = bucket.bucket
            self.access_key_id = access.id
            self.secret_access_key = pulumi.Output.secret(access.secret)
        self.register_outputs(
            {
                "bucket": self.bucket,
                "host": self.host,
                "region": self.region,
                "accessKeyId": self.access_key_id,
                "secretAccessKey": self.secret_access_key,
            }
        )

    def _bucket(self, name: str, args: BackupStoreArgs) -> tuple[aws.s3.Bucket, aws.kms.Key]:
        kept = pulumi.ResourceOptions(parent=self, protect=True, retain_on_delete=True)
        tags = {"project": "agentic-mesh", "node": args.node}
        key = aws.kms.Key(
            f"{name}-key",
            description=f"Backups of {args.node} in {args.store.bucket(args.node)}",
            enable_key_rotation=True,
            deletion_window_in_days=KEY_DELETION_DAYS,
            tags=tags,
            opts=kept,
        )
        bucket = aws.s3.Bucket(
            f"{name}-bucket",
            bucket=args.store.bucket(args.node),
            object_lock_enabled=True,
            force_destroy=False,
            tags=tags,
            opts=kept,
        )
        versioning = aws.s3.BucketVersioning(
            f"{name}-versioning",
            bucket=bucket.id,
            versioning_configuration=aws.s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"),
            opts=kept,
        )
        aws.s3.BucketServerSideEncryptionConfiguration(
            f"{name}-encryption",
            bucket=bucket.id,
            rules=[
                aws.s3.BucketServerSideEncryptionConfigurationRuleArgs(
                    apply_server_side_encryption_by_default=aws.s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
                        sse_algorithm="aws:kms", kms_master_key_id=key.arn
                    ),
                    # One data key for many objects: a fraction of the calls to KMS, and of their price.
                    bucket_key_enabled=True,
                    # AWS blocks these on new buckets by itself; unsaid, that would show as drift.
                    blocked_encryption_types=["SSE-C"],
                )
            ],
            opts=kept,
        )
        private = aws.s3.BucketPublicAccessBlock(
            f"{name}-private",
            bucket=bucket.id,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=kept,
        )
        aws.s3.BucketOwnershipControls(
            f"{name}-ownership",
            bucket=bucket.id,
            rule=aws.s3.BucketOwnershipControlsRuleArgs(object_ownership="BucketOwnerEnforced"),
            opts=kept,
        )
        aws.s3.BucketPolicy(
            f"{name}-policy",
            bucket=bucket.id,
            policy=pulumi.Output.all(bucket.arn, key.arn).apply(
                lambda arns: policy_text(bucket_policy(arns[0], arns[1]))
            ),
            # S3 refuses two changes of a bucket's access at one time.
            opts=pulumi.ResourceOptions.merge(kept, pulumi.ResourceOptions(depends_on=[private])),
        )
        versioned = pulumi.ResourceOptions.merge(kept, pulumi.ResourceOptions(depends_on=[versioning]))
        aws.s3.BucketObjectLockConfiguration(
            f"{name}-lock",
            bucket=bucket.id,
            rule=aws.s3.BucketObjectLockConfigurationRuleArgs(
                default_retention=aws.s3.BucketObjectLockConfigurationRuleDefaultRetentionArgs(
                    mode="GOVERNANCE", days=args.store.retention_days
                )
            ),
            opts=versioned,
        )
        aws.s3.BucketLifecycleConfiguration(
            f"{name}-lifecycle",
            bucket=bucket.id,
            rules=[_lifecycle(args.store.retention_days)],
            opts=versioned,
        )
        return bucket, key

    def _access(self, name: str, args: BackupStoreArgs, bucket: aws.s3.Bucket, key: aws.kms.Key) -> aws.iam.AccessKey:
        user = aws.iam.User(
            f"{name}-user",
            path="/agentic-mesh/",
            tags={"project": "agentic-mesh", "node": args.node},
            opts=pulumi.ResourceOptions(parent=self),
        )
        rights = aws.iam.UserPolicy(
            f"{name}-rights",
            user=user.name,
            policy=pulumi.Output.all(bucket.arn, key.arn).apply(
                lambda arns: policy_text(user_policy(arns[0], arns[1], args.store.region))
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        return aws.iam.AccessKey(
            f"{name}-access-{args.epoch}",
            user=user.name,
            # The key's id is an output that consumers take at once: by then it has to work.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[rights]),
        )


def _lifecycle(retention_days: int) -> aws.s3.BucketLifecycleConfigurationRuleArgs:
    """Clears away what is deleted, no sooner than the retention after it was deleted."""
    return aws.s3.BucketLifecycleConfigurationRuleArgs(
        id="expire-deleted",
        status="Enabled",
        filter=aws.s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=""),
        noncurrent_version_expiration=aws.s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs(
            noncurrent_days=retention_days + NOTICE_DAYS
        ),
        expiration=aws.s3.BucketLifecycleConfigurationRuleExpirationArgs(expired_object_delete_marker=True),
        abort_incomplete_multipart_upload=aws.s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(
            days_after_initiation=UPLOAD_DAYS
        ),
    )

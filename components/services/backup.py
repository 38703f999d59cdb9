"""Encrypted backups."""

import pulumi

from components.platform.context import ServiceArgs
from components.platform.pod import Pod, PodArgs


class Backup(pulumi.ComponentResource):
    """Creates the pod of the backup jobs: they read the node's volumes and write to its own bucket."""

    def __init__(self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the pod."""
        super().__init__("agentic-mesh:backup:Backup", name, None, opts)
        context = args.context
        store = context.settings.backup
        # The databases that are on this node.
        databases = {
            file: context.secret(secret)
            for callee, file, secret in (
                ("postgres", "postgres-password", "postgres-backup-password"),
                ("qdrant", "qdrant-key", "qdrant-api-key"),
            )
            if callee in {call.to for call in context.graph.calls(context.instance("backup"))}
        }
        self.pod = Pod(
            f"{name}-pod",
            PodArgs(
                context=args.context,
                service=args.service,
                files={
                    "passphrase": context.secret("backup-passphrase"),
                    "access-key": context.backup_store.access_key_id,
                    "secret-key": context.backup_store.secret_access_key,
                    **databases,
                },
                env={
                    "BACKUP_PORT": "8060",
                    "BACKUP_NODE": context.node,
                    "BACKUP_BUCKET": store.bucket(context.node),
                    "BACKUP_REGION": store.region,
                    "BACKUP_HOST": store.host(context.node),
                    "BACKUP_CONFIG_DIR": "/config",
                },
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})

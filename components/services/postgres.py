"""State of n8n, the agents and the model proxy."""

import pulumi

from components.platform.context import ServiceArgs
from components.platform.pod import Pod, PodArgs
from render.postgres import PG_HBA, ROLES, START, postgres_roles


class Postgres(pulumi.ComponentResource):
    """Creates Postgres' pod, with a role and a database for each client. Roles are set at each start."""

    def __init__(self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the pod."""
        super().__init__("agentic-mesh:data:Postgres", name, None, opts)
        passwords = {role: args.context.secret(f"postgres-{role}-password") for role in ROLES}
        self.pod = Pod(
            f"{name}-pod",
            PodArgs(
                context=args.context,
                service=args.service,
                entrypoints=["bash", "/config/start.sh"],
                files={
                    "start.sh": START,
                    "pg_hba.conf": PG_HBA,
                    "admin-password": args.context.secret("postgres-admin-password"),
                    "roles.sql": pulumi.Output.all(**passwords).apply(postgres_roles),
                },
                env={"POSTGRES_PASSWORD_FILE": "/config/admin-password", "PGDATA": "/var/lib/postgresql/data/pgdata"},
                shm_mib=256,
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})

"""Postgres metrics."""

import pulumi

from components.platform.context import ServiceArgs
from components.platform.pod import Pod, PodArgs


class PostgresExporter(pulumi.ComponentResource):
    """Creates the pod of the Postgres exporter, a client with a role of its own."""

    def __init__(self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the pod."""
        super().__init__("agentic-mesh:monitoring:PostgresExporter", name, None, opts)
        self.pod = Pod(
            f"{name}-pod",
            PodArgs(
                context=args.context,
                service=args.service,
                files={"password": args.context.secret("postgres-exporter-password")},
                env={
                    # TLS is the mesh's.
                    "DATA_SOURCE_URI": "postgres:5432/postgres?sslmode=disable",
                    "DATA_SOURCE_USER": "exporter",
                    "DATA_SOURCE_PASS_FILE": "/config/password",
                },
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})

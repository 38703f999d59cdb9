"""Dashboards."""

import pulumi

from components.platform.context import ServiceArgs
from components.platform.pod import Pod, PodArgs
from render.grafana import grafana_datasources

# Grafana takes the password from its file when the database is new only; a new secrets epoch has to reach an old one.
_START = (
    "grafana cli --homepath /usr/share/grafana admin reset-admin-password --password-from-stdin "
    "</config/admin-password >/dev/null || echo 'the admin password was left as it is'; exec /run.sh"
)


class Grafana(pulumi.ComponentResource):
    """Creates Grafana's pod. People are viewers until an administrator makes them more."""

    def __init__(self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the pod."""
        super().__init__("agentic-mesh:monitoring:Grafana", name, None, opts)
        self.pod = Pod(
            f"{name}-pod",
            PodArgs(
                context=args.context,
                service=args.service,
                entrypoints=["sh", "-c", _START],
                files={
                    "admin-password": args.context.secret("grafana-admin-password"),
                    "secret-key": args.context.secret("grafana-secret-key"),
                    "provisioning/datasources/mesh.yaml": grafana_datasources(),
                },
                env={
                    "GF_SERVER_HTTP_ADDR": "0.0.0.0",
                    "GF_SERVER_HTTP_PORT": "3000",
                    "GF_PATHS_PROVISIONING": "/config/provisioning",
                    "GF_SECURITY_ADMIN_USER": "admin",
                    "GF_SECURITY_ADMIN_PASSWORD__FILE": "/config/admin-password",
                    # The default is public.
                    "GF_SECURITY_SECRET_KEY__FILE": "/config/secret-key",
                    "GF_SECURITY_DISABLE_GRAVATAR": "true",
                    "GF_AUTH_ANONYMOUS_ENABLED": "false",
                    "GF_USERS_ALLOW_SIGN_UP": "false",
                    "GF_USERS_AUTO_ASSIGN_ORG_ROLE": "Viewer",
                    "GF_ANALYTICS_REPORTING_ENABLED": "false",
                    "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
                    "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
                    # The start script above would open a log file in the read-only root.
                    "GF_LOG_MODE": "console",
                    "GF_PLUGINS_PREINSTALL_DISABLED": "true",
                },
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})

"""The public edge."""

import pulumi

from components.platform.context import ServiceArgs
from components.platform.pod import Pod, PodArgs
from components.platform.public_certificate import public_certificate
from render.edge import edge_environment, edge_server, log_rotation

# The image renders its templates at start, from a folder that is root's: ours take the place of its own in a copy. The
# tmpfs hides the folders that ModSecurity keeps bodies in.
_START = (
    "rm -rf /tmp/templates && cp -r /etc/nginx/templates /tmp/templates && "
    "cp -f /config/default.conf.template /tmp/templates/conf.d/default.conf.template && "
    "mkdir -p /tmp/modsecurity/data /tmp/modsecurity/upload /tmp/modsecurity/tmp && "
    "export NGINX_ENVSUBST_TEMPLATE_DIR=/tmp/templates && "
    f"{log_rotation()} && "
    "exec /docker-entrypoint.sh nginx -g 'daemon off;'"
)


class Edge(pulumi.ComponentResource):
    """Creates the pod of nginx with ModSecurity and the Core Rule Set, the only service that the public reaches."""

    def __init__(self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the pod."""
        super().__init__("agentic-mesh:edge:Edge", name, None, opts)
        context = args.context
        certificate, key = public_certificate(f"{name}-public", context.settings, pulumi.ResourceOptions(parent=self))
        self.pod = Pod(
            f"{name}-pod",
            PodArgs(
                context=args.context,
                service=args.service,
                entrypoints=["sh", "-c", _START],
                files={
                    "default.conf.template": edge_server(
                        context.settings.domain, context.networks.pod(args.service.slot).sidecar
                    ),
                    "certificate.pem": certificate,
                    "key.pem": key,
                },
                env=edge_environment(),
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})

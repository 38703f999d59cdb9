"""Intrusion detection."""

import pulumi

from components.platform.context import ServiceArgs
from components.platform.pod import Pod, PodArgs
from render.edge import crowdsec_acquisition, crowdsec_environment, crowdsec_local

# The image keeps its configuration on a volume; ours is copied there before each start. The image registers a bouncer
# only if none has that name, so the previous one, whose key may be outdated, is deleted first.
_START = (
    "cp -f /config/config.yaml.local /config/acquis.yaml /etc/crowdsec/ && "
    "{ [ ! -e /etc/crowdsec/config.yaml ] || cscli -c /etc/crowdsec/config.yaml bouncers delete host || true; } && "
    'BOUNCER_KEY_host="$(cat /config/bouncer-key)" && export BOUNCER_KEY_host && exec /bin/bash /docker_start.sh'
)


class CrowdSec(pulumi.ComponentResource):
    """Creates CrowdSec's pod: it reads the edge's logs and decides; a bouncer on the host acts on its decisions."""

    def __init__(self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the pod."""
        super().__init__("agentic-mesh:edge:CrowdSec", name, None, opts)
        self.pod = Pod(
            f"{name}-pod",
            PodArgs(
                context=args.context,
                service=args.service,
                entrypoints=["bash", "-c", _START],
                files={
                    "config.yaml.local": crowdsec_local(),
                    "acquis.yaml": crowdsec_acquisition(),
                    "bouncer-key": args.context.secret("crowdsec-bouncer-key"),
                },
                env=crowdsec_environment(),
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})

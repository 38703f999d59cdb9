"""System metrics."""

import re
from typing import Final

import pulumi

from components.platform.context import ServiceArgs
from components.platform.pod import Pod, PodArgs

_COLLECTORS: Final = (
    "cpu",
    "meminfo",
    "loadavg",
    "diskstats",
    "filesystem",
    "netdev",
    "pressure",
    "thermal_zone",
)
# `/proc/net` links to the reader's own network namespace, so the host's /proc would show the container's interfaces.
# So the exporter gets a folder of links, with the network of the host's process 1.
_START: Final = """\
set -eu
mkdir -p /tmp/proc && cd /tmp/proc
for name in stat meminfo loadavg diskstats pressure 1; do ln -sfn "/host/proc/$name" "$name"; done
ln -sfn /host/proc/1/net net
exec "$0" "$@"
"""
_NOT_DISKS: Final = "/dev|/proc|/run|/snap|/sys|/tmp|/var/lib/(docker|containers|kubelet)"


class NodeExporter(pulumi.ComponentResource):
    """Creates the node exporter's pod, which measures the host it runs on and not its own container."""

    def __init__(self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the pod."""
        super().__init__("agentic-mesh:monitoring:NodeExporter", name, None, opts)
        docker = f"{args.context.settings.data_root}/docker"
        self.pod = Pod(
            f"{name}-pod",
            PodArgs(
                context=args.context,
                service=args.service,
                entrypoints=["sh", "-c", _START, "/bin/node_exporter"],
                command=[
                    "--path.procfs=/tmp/proc",
                    "--path.sysfs=/host/sys",
                    "--path.rootfs=/host",
                    "--web.listen-address=0.0.0.0:9100",
                    "--collector.disable-defaults",
                    *(f"--collector.{collector}" for collector in _COLLECTORS),
                    # Netlink would report the container's own network.
                    "--no-collector.netdev.netlink",
                    # Docker's folder has a mount for each container and volume, all on the same disk.
                    f"--collector.filesystem.mount-points-exclude=^({_NOT_DISKS}|{re.escape(docker)})($|/)",
                ],
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})

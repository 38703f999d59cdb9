"""Finds out, before anything else is made, whether the host has what the services need."""

from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_docker as docker

from components.platform.containers import INITIALIZATION_FAILED, hardened, health_check, label
from components.platform.images import NodeImages
from components.platform.volumes import folders
from render.preflight import LISTENS, preflight_script
from settings import Settings
from topology.graph import Graph
from topology.network import NodeNetworks

PORT: Final = 15099
UNASSIGNED: Final = "100.127.255.254"
"""A tailnet address that no node of ours has: publishing on it works with `ip_nonlocal_bind` only."""
_NAMESPACE = "agentic-mesh-preflight"


@dataclass(frozen=True, kw_only=True)
class PreflightArgs:
    """The node that is looked at."""

    settings: Settings
    graph: Graph
    networks: NodeNetworks
    images: NodeImages


class Preflight(pulumi.ComponentResource):
    """Creates a network and small probe containers, each of which fails the deploy for one missing thing.

    `host` looks for the encrypted data root, free space, CPUs and the tailnet address, on which it is published, and
    makes the folders of the data volumes. `sysctl` is published on an address that the host does not have. `gvisor`
    runs under runsc and `gpu` requests the card, where the node has services that do. They stay, idle, so that each
    `up` sees them; one that failed is made anew by the next.
    """

    def __init__(self, name: str, args: PreflightArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the probes."""
        super().__init__("agentic-mesh:node:Preflight", name, None, opts)
        self._prefix, self._args = name, args
        settings = args.settings
        services = args.graph.on(settings.node.name)
        self._network = docker.Network(
            f"{name}-network",
            name=_NAMESPACE,
            driver="bridge",
            ipam_configs=[
                docker.NetworkIpamConfigArgs(
                    subnet=args.networks.preflight_subnet, gateway=args.networks.preflight_router
                )
            ],
            options={"com.docker.network.bridge.enable_icc": "false"},
            labels=[docker.NetworkLabelArgs(label="agentic-mesh.network", value="preflight")],
            opts=pulumi.ResourceOptions(parent=self),
        )
        script = preflight_script(
            data_root=settings.data_root,
            folders=folders(settings, services),
            address=settings.node.address,
            port=PORT,
            cpus=settings.host_cpus,
            memory_gib=None if settings.allow_small_host else settings.host_memory_gib,
            encrypted=not settings.allow_unencrypted_data,
            stack=settings.stack,
        )
        host = self._probe(
            "host",
            script,
            address=settings.node.address,
            port=PORT,
            user="0:0",
            # It makes the folders and hands them to the users of the services.
            capabilities=["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER"],
            mounts=[docker.ContainerVolumeArgs(host_path=settings.data_root, container_path=settings.data_root)],
        )
        self.probes = [host, self._probe("sysctl", "ok", address=UNASSIGNED, port=PORT + 1)]
        if any(s.runtime == "runsc" for s in services):
            self.probes.append(self._probe("gvisor", "ok", runtime="runsc"))
        if any(s.gpu for s in services):
            devices = list(settings.gpu_devices)
            self.probes.append(self._probe("gpu", "ok", gpu_devices=devices))
        self.register_outputs({"probes": [probe.name for probe in self.probes]})

    def _probe(
        self,
        probe: str,
        script: str,
        *,
        address: str | None = None,
        port: int = PORT,
        user: str = "65534:65534",
        capabilities: list[str] | None = None,
        mounts: list[docker.ContainerVolumeArgs] | None = None,
        runtime: str | None = None,
        gpu_devices: list[str] | None = None,
    ) -> docker.Container:
        settings = self._args.settings
        # gVisor's own kernel counts too: it was seen to hold 25 MB for this one program.
        limits = hardened(user=user, memory_mib=64 if runtime else 32, cpus=0.5, processes=512)
        limits["capabilities"] = docker.ContainerCapabilitiesArgs(drops=["ALL"], adds=capabilities)
        if script == "ok":
            script = "touch /tmp/ok; exec sleep 2147483647"
        return docker.Container(
            f"{self._prefix}-{probe}",
            name=f"{_NAMESPACE}-{probe}",
            image=self._args.images.image_id("busybox"),
            command=["sh", "-c", script],
            labels=label("preflight", settings.node.name, "preflight", self._args.images.reference("busybox")),
            networks_advanced=[docker.ContainerNetworksAdvancedArgs(name=self._network.name)],
            ports=[docker.ContainerPortArgs(internal=LISTENS, external=port, ip=address)] if address else None,
            volumes=mounts,
            runtime=runtime,
            device_requests=[
                docker.ContainerDeviceRequestArgs(
                    driver="nvidia", device_ids=gpu_devices, capabilities=["gpu", "utility"]
                )
            ]
            if gpu_devices
            else None,
            tmpfs={"/tmp": "rw,nosuid,nodev,noexec,mode=1777,size=1m"},
            healthcheck=health_check(
                ["CMD", "test", "-f", "/tmp/ok"],
                interval=2,
                timeout=2,
                retries=3,
                start_period=10,
                # Docker before 25 refuses this field, so this is the probe of its version.
                start_interval=1,
            ),
            wait=True,
            wait_timeout=60,
            **limits,
            # One that is there and failed would be let pass: the provider waits for health at the creation alone.
            opts=pulumi.ResourceOptions(
                parent=self, delete_before_replace=True, replace_on_changes=[INITIALIZATION_FAILED]
            ),
        )

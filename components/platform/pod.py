"""The shape of every service: an app alone on a network of two with its proxy."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_docker as docker

from components.platform.authority import issue_certificate
from components.platform.config_volume import ConfigVolumeArgs, config_volume
from components.platform.containers import fingerprint, hardened, hosts, label, no_health_check, tmpfs
from components.platform.context import PREFIX, NodeContext
from components.platform.networks import pod_network
from components.platform.proxy import ProxyArgs, proxy
from render.envoy import sidecar_config
from render.envoy.sidecar import callee_names
from topology.model import Service
from topology.network import FORWARD_PORT


@dataclass(frozen=True, kw_only=True)
class PodArgs:
    """What a service adds to the shape: its command, files and environment."""

    context: NodeContext
    service: Service
    command: Sequence[pulumi.Input[str]] | None = None
    entrypoints: Sequence[pulumi.Input[str]] | None = None
    files: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    """Configuration and secrets: path below `config_path` -> content."""
    config_path: str = "/config"
    env: Mapping[str, str] = field(default_factory=dict)
    """Plain values only; secrets are files."""
    shm_mib: int | None = None
    working_dir: str | None = None


class Pod(pulumi.ComponentResource):
    """Creates an internal network, a config volume with its loader, the app, its certificate and its proxy.

    Nothing but the proxy reaches the app, and the app reaches nothing but the proxy. The app waits for no other
    service; the deploy waits until the proxy has seen the app healthy, for `service.start_seconds` at most.
    """

    def __init__(self, name: str, args: PodArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the pod of `args.service`."""
        super().__init__("agentic-mesh:mesh:Pod", name, None, opts)
        context, service = args.context, args.service
        instance = context.instance(service.name)
        addresses = context.networks.pod(service.slot)
        child = pulumi.ResourceOptions(parent=self)
        busybox = context.images.image_id("busybox")

        network = pod_network(f"{name}-network", service.name, addresses.subnet, child)
        mounts = context.volumes.mounts(service, context.graph.reads(service, context.node))
        version: dict[str, pulumi.Input[str]] = {}
        needs: list[pulumi.Input[Any]] = [*context.ready]
        if args.files:
            config = config_volume(
                f"{name}-config",
                ConfigVolumeArgs(
                    instance=instance,
                    kind="app",
                    path=args.config_path,
                    files=args.files,
                    owner=service.user,
                    image=busybox,
                ),
                pulumi.ResourceOptions(parent=self, depends_on=[*context.ready]),
            )
            mounts.append(config.mount)
            version["config_version"] = config.version
            needs.append(config.loader)

        env = {**args.env, **forward_proxy(service, addresses.sidecar)}
        self.app = docker.Container(
            f"{name}-app",
            name=f"{PREFIX}-{service.name}",
            image=context.images.image_id(service.image),
            command=args.command,
            entrypoints=args.entrypoints,
            working_dir=args.working_dir,
            envs=[f"{key}={value}" for key, value in sorted(env.items())] or None,
            labels=label(
                service.name,
                context.node,
                "app",
                context.images.reference(service.image),
                settings=fingerprint(tmpfs(service)),
                **version,
            ),
            networks_advanced=[docker.ContainerNetworksAdvancedArgs(name=network.name, ipv4_address=addresses.app)],
            hosts=hosts(callee_names(context.graph, instance), addresses.sidecar) or None,
            volumes=mounts or None,
            tmpfs=tmpfs(service),
            shm_size=args.shm_mib,
            runtime=service.runtime,
            # The sidecar's probe decides, not the image's own health check.
            healthcheck=no_health_check(),
            device_requests=_gpu(context, service),
            **hardened(
                user=service.user,
                memory_mib=service.memory_mib,
                cpus=min(service.cpus, context.settings.host_cpus),
                processes=service.processes,
                service=service,
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=needs),
        )
        self.certificate = issue_certificate(f"{name}-identity", context.authority, instance, child)
        self.proxy = proxy(
            f"{name}-proxy",
            ProxyArgs(
                instance=instance,
                slot=service.slot,
                envoy=json.dumps(sidecar_config(context.graph, context.networks, instance)),
                certificate=self.certificate,
                authority_pem=context.authority.trusted_pem,
                images=context.images,
                networks=[
                    (network.name, addresses.sidecar),
                    (context.mesh_network, addresses.mesh),
                ],
                wait_seconds=service.start_seconds,
                ready=context.ready,
                # A new app gets a new proxy: its health check is what the deploy waits for.
                more_labels=(("app", self.app.id),),
            ),
            pulumi.ResourceOptions(parent=self, depends_on=[self.app]),
        )
        _say_what_is_awaited(self, service)
        self.register_outputs({"app": self.app.name, "proxy": self.proxy.name})


def _say_what_is_awaited(pod: Pod, service: Service) -> None:
    """Show next to the pod what a running `up` waits for; the engine itself only counts seconds."""
    if pulumi.runtime.is_dry_run():
        return
    asked = f"{service.probe.path} on port {service.probe.port}" if service.probe.path else f"port {service.probe.port}"
    text = f"waits until {service.name} answers at {asked}, {service.start_seconds // 60} minutes at most"
    pulumi.log.info(text, resource=pod, ephemeral=True)


def forward_proxy(service: Service, sidecar: str) -> dict[str, str]:
    """Sends an app's HTTPS clients to its sidecar's forward proxy; plain HTTP stays in the pod."""
    if not service.proxied:
        return {}
    return {"HTTPS_PROXY": f"http://{sidecar}:{FORWARD_PORT}", "NO_PROXY": "localhost,127.0.0.1"}


def _gpu(context: NodeContext, service: Service) -> list[docker.ContainerDeviceRequestArgs] | None:
    """The card for a service that has a share of it; the exporter, whose share is nothing, only looks."""
    if service.gpu is None:
        return None
    share = context.settings.gpu_shares.get(service.name, 0)
    if not share and service.gpu.share_gib:
        return None
    return [
        docker.ContainerDeviceRequestArgs(
            driver="nvidia",
            device_ids=list(context.settings.gpu_devices),
            capabilities=["gpu", *service.gpu.capabilities],
        )
    ]

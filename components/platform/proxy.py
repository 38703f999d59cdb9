"""An Envoy container: a pod's sidecar or a node's gateway."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_docker as docker

from components.platform.authority import Certificate
from components.platform.config_volume import ConfigVolumeArgs, config_volume
from components.platform.containers import (
    INITIALIZATION_FAILED,
    PROXY_UID_BASE,
    fingerprint,
    hardened,
    health_check,
    label,
)
from components.platform.images import NodeImages
from render.envoy.parts import CONFIG_DIR, HEALTH_PORT
from topology.memory import PROXY_MIB
from topology.model import Instance

# The image has a shell but no HTTP client.
_HEALTH = (
    f"exec 3<>/dev/tcp/127.0.0.1/{HEALTH_PORT} && "
    r"printf 'GET / HTTP/1.1\r\nHost: health\r\nConnection: close\r\n\r\n' >&3 && "
    "read -r -t 2 _ status _ <&3 && [ $status = 200 ]"
)


@dataclass(frozen=True, kw_only=True)
class ProxyArgs:
    """Which configuration and identity, on which networks."""

    instance: Instance
    slot: int
    """Makes the user of the process its own; 0 for the gateway."""
    envoy: str
    """The configuration as JSON; no secret in it."""
    certificate: Certificate
    authority_pem: pulumi.Input[str]
    """What it trusts."""
    images: NodeImages
    networks: Sequence[tuple[pulumi.Input[str], str]]
    """(network name, address). Of the gateway's two only the outside one has a default route."""
    wait_seconds: int
    ready: Sequence[pulumi.Input[Any]]
    """What must be there before any container changes."""
    part: str = "proxy"
    ports: Sequence[docker.ContainerPortArgs] = ()
    outside: bool = False
    """Whether it resolves outside names: the gateway alone."""
    memory_mib: int = PROXY_MIB
    more_labels: tuple[tuple[str, pulumi.Input[str]], ...] = ()


def proxy(name: str, args: ProxyArgs, opts: pulumi.ResourceOptions) -> docker.Container:
    """Create a config volume with its loader and the Envoy container; wait until what it stands for is healthy."""
    uid = PROXY_UID_BASE + args.slot
    config = config_volume(
        f"{name}-config",
        ConfigVolumeArgs(
            instance=args.instance,
            kind="proxy",
            path=CONFIG_DIR,
            files={
                "envoy.json": args.envoy,
                "tls/key.pem": args.certificate.private_key_pem,
                "tls/certificate.pem": args.certificate.certificate_pem,
                "tls/ca.pem": args.authority_pem,
            },
            owner=f"{uid}:{uid}",
            image=args.images.image_id("busybox"),
        ),
        pulumi.ResourceOptions(parent=opts.parent, depends_on=[*args.ready]),
    )
    settings = hardened(user=f"{uid}:{uid}", memory_mib=args.memory_mib, cpus=1, processes=512)
    if args.outside:
        del settings["dns"]
    # Each check starts a shell, so check often only while the deploy waits.
    pace = {"interval": 30, "start_interval": 1}
    health = health_check(["CMD", "bash", "-c", _HEALTH], timeout=3, retries=3, start_period=args.wait_seconds, **pace)
    return docker.Container(
        f"{name}-envoy",
        name=f"agentic-mesh-{args.instance.service}" + ("-proxy" if args.part == "proxy" else ""),
        image=args.images.image_id("envoy"),
        entrypoints=["/usr/local/bin/envoy"],
        command=[
            "-c",
            f"{CONFIG_DIR}/envoy.json",
            "--concurrency",
            "1",
            "--log-level",
            "warning",
            "--disable-hot-restart",
        ],
        labels=label(
            args.instance.service,
            args.instance.node,
            args.part,
            args.images.reference("envoy"),
            config_version=config.version,
            settings=fingerprint(_HEALTH, pace, args.wait_seconds),
            **dict(args.more_labels),
        ),
        networks_advanced=[
            docker.ContainerNetworksAdvancedArgs(name=network, ipv4_address=address)
            for network, address in args.networks
        ],
        ports=list(args.ports) or None,
        # It hands on what it has judged, never a packet as it is; a host that runs Docker forwards, and new network
        # namespaces take that over.
        sysctls={"net.ipv4.ip_forward": "0"},
        volumes=[config.mount],
        healthcheck=health,
        wait=True,
        wait_timeout=args.wait_seconds + 30,
        **settings,
        opts=pulumi.ResourceOptions.merge(
            opts,
            pulumi.ResourceOptions(
                depends_on=[config.loader, *args.ready],
                # The provider waits for health at the creation alone: what failed then is made and waited for again.
                delete_before_replace=True,
                replace_on_changes=[INITIALIZATION_FAILED],
            ),
        ),
    )

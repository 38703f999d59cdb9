"""Hardened defaults of every container; exceptions are visible at the call site."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import pulumi
import pulumi_docker as docker

from render.logs import CONTAINER_LABELS
from topology.model import Rule, Service

PROXY_UID_BASE: Final = 20000
"""A proxy runs as this plus its slot, so that process limits, which count by user, are its own."""
STOP_SECONDS: Final = 10
"""Stop timeout of containers that have nothing to finish: proxies and probes."""
INITIALIZATION_FAILED: Final = "#initerror"
"""For `replace_on_changes`: the engine's name for a resource that was made and did not become what it should be."""


def label(service: str, node: str, part: str, image: str, **more: pulumi.Input[str]) -> list[docker.ContainerLabelArgs]:
    """What a container is, for people, the policy pack and `make diagnose`. Never a secret."""
    labels: dict[str, pulumi.Input[str]] = {
        "service": service,
        "node": node,
        "part": part,
        "image": image,
        **more,
    }
    return [
        docker.ContainerLabelArgs(label=f"agentic-mesh.{key.replace('_', '-')}", value=value)
        for key, value in labels.items()
    ]


def fingerprint(*values: object) -> str:
    """A short hash for a label: the provider changes these arguments in place without any effect on the container."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]


def processors(number: float) -> str:
    """A number of CPUs in the only form that causes no change in the next plan, such as `2.0` or `0.5`.

    The provider converts Docker's nano-CPUs back to text and compares text. A few numbers come back as another one
    (0.05 as 0.1); they raise a ValueError. Source: `nanoInt64ToDecimalString` of `helpers.go`,
    terraform-provider-docker 4.5.
    """
    whole, billionths = divmod(round(number * 10**9), 10**9)
    text = f"{whole}.{billionths:09}"
    text = f"{number:.1f}" if text.count("0") == 9 else text.rstrip("0")
    if float(text) != number:
        raise ValueError(f"the Docker provider reads {number:g} CPUs back as {text}: use a rounder number")
    return text


def go_duration(seconds: int) -> str:
    """A duration as Go prints it, such as `2m0s`, `30s` or `1h0m0s`; any other form is a change in the next plan."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def memory(mib: int) -> dict[str, Any]:
    """A memory limit without swap. If only `memory` is set, Docker adds the same amount of swap and reads it back."""
    return {"memory": mib, "memory_swap": mib}


def health_check(
    tests: Sequence[str],
    *,
    interval: int,
    timeout: int,
    retries: int,
    start_period: int,
    start_interval: int,
) -> docker.ContainerHealthcheckArgs:
    """A health check; all times in seconds."""
    return docker.ContainerHealthcheckArgs(
        tests=list(tests),
        interval=go_duration(interval),
        timeout=go_duration(timeout),
        retries=retries,
        start_period=go_duration(start_period),
        start_interval=go_duration(start_interval),
    )


def no_health_check() -> docker.ContainerHealthcheckArgs:
    """No health check, whatever the image defines. The times have no effect but must be set.

    Docker takes each missing one from the image, and the provider would find a change in every plan.
    """
    return health_check(
        ["NONE"],
        interval=30,
        timeout=30,
        retries=3,
        start_period=1,
        start_interval=5,
    )


def hardened(
    *,
    user: str,
    memory_mib: int,
    cpus: float,
    processes: int,
    service: Service | None = None,
) -> dict[str, Any]:
    """Arguments of `docker.Container`: no capability, no new privileges, read-only, limited, restarted, logs rotated.

    `service` adds its waivers (a capability, a writable root) and its stop timeout.
    """
    stop_seconds = service.stop_seconds if service else STOP_SECONDS
    capabilities = service.waived(Rule.CAPABILITY) if service else ()
    writable = bool(service and service.waived(Rule.READ_ONLY_ROOT))
    return {
        "user": user,
        "read_only": not writable,
        "capabilities": docker.ContainerCapabilitiesArgs(
            drops=["ALL"], adds=[f"CAP_{c}" for c in capabilities] or None
        ),
        "security_opts": ["no-new-privileges=true"],
        "privileged": False,
        **memory(memory_mib),
        "cpus": processors(cpus),
        "ulimits": [
            docker.ContainerUlimitArgs(name="nproc", soft=processes, hard=processes),
            docker.ContainerUlimitArgs(name="nofile", soft=65536, hard=65536),
        ],
        "restart": "unless-stopped",
        "log_driver": "json-file",
        "log_opts": {"max-size": "10m", "max-file": "3", "labels": ",".join(CONTAINER_LABELS)},
        "init": True,
        "must_run": True,
        "dns": ["127.0.0.1"],
        # The first is for Docker (a restart, the host's shutdown), the second for deletes by the provider.
        "stop_timeout": stop_seconds,
        "destroy_grace_seconds": stop_seconds,
    }


def tmpfs(service: Service) -> Mapping[str, str]:
    """Writable folders in memory, lost with the container; not executable unless waived."""
    executable = service.waived(Rule.WRITABLE_EXEC)
    return {
        path: f"rw,nosuid,nodev,{'exec' if path in executable else 'noexec'},mode=1777,size={mib}m"
        for path, mib in service.tmpfs_sizes().items()
    }


def hosts(names: Sequence[str], address: str) -> list[docker.ContainerHostArgs]:
    """Maps names to the one address that answers for them: the own sidecar."""
    return [docker.ContainerHostArgs(host=name, ip=address) for name in names]

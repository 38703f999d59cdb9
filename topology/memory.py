"""What a node's containers may use of the host's memory, in MiB."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from topology.model import Service

PROXY_MIB: Final = 96
"""A sidecar's limit: an Envoy holds some 20 MiB of its own, and shares the pages of its program with the others."""
GATEWAY_MIB: Final = 256
"""The limit of a node's gateway, through which all traffic between nodes and with the outside goes."""
SYSTEM_MIB: Final = 1024
"""For kernel, system services, Docker, containerd and Tailscale."""
CONTAINER_MIB: Final = 12
"""Beside each container's limit: its shim, and what the kernel keeps for it."""


def with_memory(services: Iterable[Service], given: Mapping[str, int]) -> tuple[Service, ...]:
    """The services with the limits that the settings' `memoryMib` gives instead of the table's."""
    return tuple(replace(s, memory_mib=given[s.name]) if s.name in given else s for s in services)


def needed_mib(services: Iterable[Service]) -> int:
    """Limits of all containers of a node, and what the system needs beside them.

    Limits may all be used up at the same time: only then does a busy service never make the kernel end another one.
    """
    found = tuple(services)
    containers = 2 * len(found) + 1
    limits = sum(s.memory_mib for s in found) + len(found) * PROXY_MIB + GATEWAY_MIB
    return limits + SYSTEM_MIB + containers * CONTAINER_MIB

"""How much of the host's memory a node's containers may use, in MiB."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from topology.model import Service

PROXY_MIB: Final = 96
"""A sidecar's limit: Envoy takes about 20 MiB of its own and shares the pages of its binary with the others."""
GATEWAY_MIB: Final = 256
"""The limit of a node's gateway, through which all traffic between nodes and with the outside goes."""
SYSTEM_MIB: Final = 1024
"""For kernel, system services, Docker, containerd and Tailscale."""
CONTAINER_MIB: Final = 12
"""Per container, outside its limit: its shim and kernel memory."""


def with_memory(services: Iterable[Service], given: Mapping[str, int]) -> tuple[Service, ...]:
    """The services with the limits that the settings' `memoryMib` gives instead of the table's."""
    return tuple(replace(s, memory_mib=given[s.name]) if s.name in given else s for s in services)


def needed_mib(services: Iterable[Service]) -> int:
    """The memory limits of all containers of a node plus what the system needs.

    The sum must fit even if every container reaches its limit, so that a busy service never gets another one killed.
    """
    found = tuple(services)
    containers = 2 * len(found) + 1
    limits = sum(s.memory_mib for s in found) + len(found) * PROXY_MIB + GATEWAY_MIB
    return limits + SYSTEM_MIB + containers * CONTAINER_MIB

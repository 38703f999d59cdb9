"""Checks that the memory limits of a node's containers fit its host."""

from collections.abc import Sequence

from settings.errors import SettingsError
from settings.model import Settings
from topology.memory import needed_mib
from topology.model import Service

_NAMED = 3


def check_memory(settings: Settings, services: Sequence[Service]) -> None:
    """Raise `SettingsError` if the limits of the node's services and what the system needs exceed the host's memory.

    An overcommitted host works until the containers use their limits; then the kernel kills the largest process.
    """
    needed = needed_mib(services) / 1024
    if needed <= settings.host_memory_gib:
        return
    largest = sorted(services, key=lambda s: -s.memory_mib)[:_NAMED]
    named = ", ".join(f"{s.name} {s.memory_mib}" for s in largest)
    example = largest[0]
    raise SettingsError(
        "hostMemoryGib",
        settings.host_memory_gib,
        f"{needed:.1f} GiB or more, which the limits of the {len(services)} services of {settings.node.name} and the "
        f"system add up to; or lower limits (largest, in MiB: {named}): pulumi config set --path "
        f"'agentic-mesh:memoryMib.{example.name}' '{example.memory_mib // 2}' --stack {settings.stack}",
        stack=settings.stack,
        example=str(int(-(-needed // 1))),
    )


def memory_of(settings: Settings, services: Sequence[Service]) -> str:
    """How much of the host's memory the limits add up to, for the plan's table."""
    return f"{needed_mib(services) / 1024:.1f} of {settings.host_memory_gib:g} GiB"

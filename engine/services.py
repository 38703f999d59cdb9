"""What the topology and the stack's settings say about each service of the stack's node, for the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from engine.outcome import Facts
from settings import Settings
from settings.graph import planned_graph
from settings.load import load
from settings.memory import memory_of
from topology.graph import GATEWAY, Graph
from topology.images import BUILDS, IMAGES, for_architecture
from topology.memory import GATEWAY_MIB
from topology.model import Instance, Port, Service

_GATEWAY_IMAGE: Final = "envoy"


def planned_facts(stack: str, config: Mapping[str, str], environment: Mapping[str, str]) -> Facts:
    """The facts of a stack from the same configuration and environment that its program reads."""
    settings = load(stack, config, environment)
    return facts(settings, planned_graph(settings))


def facts(settings: Settings, graph: Graph) -> Facts:
    """Address, GPU share, memory limit and callers by service, in the table's order; the gateway has the total."""
    node = settings.node
    published = graph.published(node.name)
    found: Facts = {}
    for service in graph.on(node.name):
        numbers = [port.tailnet_port for port in service.ports]
        reachable = [number for number in numbers if _publishes(published.get(number, ()), service)]
        found[service.name] = {
            "address": _address(settings, service, reachable),
            "gpu": _gpu(settings, service),
            "memory": f"{service.memory_mib} MiB",
            "callers": _callers(graph, service),
            "image": _image(service.image, node.architecture),
        }
    address = f"{node.address} ({len(published)} ports)"
    found[GATEWAY] = {
        "address": address,
        "image": _image(_GATEWAY_IMAGE, node.architecture),
        "memory": f"{GATEWAY_MIB} MiB",
        "host_memory": memory_of(settings, graph.on(node.name)),
    }
    return found


def _publishes(behind: Sequence[tuple[Instance, Port | None]], service: Service) -> bool:
    return any(port is not None and instance.service == service.name for instance, port in behind)


def _address(settings: Settings, service: Service, reachable: list[int]) -> str:
    """Where it is reached: by the public or the tailnet address, else only inside its node."""
    if service.public_port is not None:
        return f"{settings.public_address}:{service.public_port}"
    if reachable:
        return f"{settings.node.address}:{','.join(map(str, reachable))}"
    inside = ",".join(str(port.number) for port in service.ports)
    return f"inside:{inside}" if inside else "-"


def _image(key: str, architecture: str) -> str:
    """The image's reference, or the folder that it is built from."""
    return BUILDS[key] if key in BUILDS else IMAGES[for_architecture(key, architecture)].reference


def _gpu(settings: Settings, service: Service) -> str:
    share = settings.gpu_shares.get(service.name)
    return f"{share:g} of {settings.gpu_memory_gib:g} GiB" if service.gpu and share else "-"


def _callers(graph: Graph, service: Service) -> list[str]:
    callers = list(graph.callers(service.name))
    if any(port.direct for port in service.ports):
        callers.append("operator")
    return callers

"""Each service of the lab: real or stand-in, healthy or not, with its address; and what a node's containers hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

import docker

from engine.table import table as columns
from lab import daemons, processes
from lab.docker_client import found
from lab.images.catalog import catalog, stand_ins
from lab.images.compose import PREFIX
from lab.images.entry import Entry
from lab.places import Node
from topology.catalog import SERVICES
from topology.graph import GATEWAY

_HEADER: Final = ("node", "service", "software", "app", "health", "address")
STAND_IN: Final = "stand-in"
_MIB: Final = 1024 * 1024


def table(nodes: Sequence[Node]) -> str:
    """The table, how many services are stand-ins, and a line about each node."""
    rows: list[tuple[str, ...]] = []
    notes = []
    for node in nodes:
        if not daemons.answers(node):
            notes.append(f"{node.name}: Docker does not answer")
            continue
        rows += sorted(_rows(node))
        notes.append(f"{node.name}: {memory(node)}")
    services = {(row[1], row[2]) for row in rows if row[1] != GATEWAY}
    counted = stand_ins((name for name, software in services if software == STAND_IN), len(services))
    return "\n".join([*columns(_HEADER, rows), "", counted, *notes])


def containers(node: Node) -> list[dict[str, Any]]:
    """All containers of a node, as Docker describes them; one that goes while it looks is gone."""
    client = docker.APIClient(base_url=node.host)
    looks = (found(partial(client.inspect_container, item["Id"])) for item in client.containers(all=True))
    states = [state for state in looks if state is not None]
    client.close()
    return states


def unhealthy(node: Node) -> list[str]:
    """Containers that should run and be healthy and are not."""
    return sorted(
        state["Name"].lstrip("/")
        for state in containers(node)
        if part(state) not in ("", "loader")
        and (not state["State"]["Running"] or health(state) not in ("healthy", "-"))
    )


def part(state: Mapping[str, Any]) -> str:
    """What a container is: app, proxy, gateway, loader, preflight."""
    return str(_labels(state).get("agentic-mesh.part", ""))


def health(state: Mapping[str, Any]) -> str:
    """What its health check says; `-` where it has none."""
    return str(state["State"].get("Health", {}).get("Status", "-"))


def memory(node: Node) -> str:
    """What the containers of a node hold, and the most they held."""
    for folder in processes.cgroup_folders(daemons.cgroup(node)):
        for now, most in (("memory.usage_in_bytes", "memory.max_usage_in_bytes"), ("memory.current", "memory.peak")):
            if (folder / now).exists() and (folder / most).exists():
                held, peak = (int((folder / name).read_text()) // _MIB for name in (now, most))
                return f"containers hold {held} MiB, {peak} MiB at most, page cache included"
    return "no containers"


def _rows(node: Node) -> Iterator[tuple[str, ...]]:
    entries = catalog()
    states = containers(node)
    proxies = {_labels(state)["agentic-mesh.service"]: state for state in states if part(state) in ("proxy", "gateway")}
    apps = {_labels(state)["agentic-mesh.service"]: state for state in states if part(state) == "app"}
    images = {service.name: service.image for service in SERVICES}
    for name, proxy in proxies.items():
        entry = entries[images.get(name, "envoy")]
        app = apps.get(name)
        yield (
            node.name,
            name,
            _software(app, entry),
            app["State"]["Status"] if app else "-",
            health(proxy),
            _address(proxy),
        )


def _software(app: Mapping[str, Any] | None, entry: Entry) -> str:
    """What the container's own image says; the catalog's word where there is no container."""
    said = _labels(app).get(f"{PREFIX}.real") if app else None
    return "real" if (entry.real if said is None else said == "true") else STAND_IN


def _address(proxy: Mapping[str, Any]) -> str:
    networks = proxy["NetworkSettings"]["Networks"]
    return ", ".join(network["IPAddress"] for name, network in sorted(networks.items()) if name == "agentic-mesh")


def _labels(state: Mapping[str, Any]) -> Mapping[str, str]:
    labels: Mapping[str, str] = state["Config"]["Labels"] or {}
    return labels

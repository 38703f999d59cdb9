"""The mesh as a whole: every app behind its proxy, and every proxy as closed as the graph says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from policies import authorization, envoy
from policies.labels import NODES, graph_of
from policies.networks import MESH, POD, network_kinds
from policies.subject import APP, CONTAINER, GATEWAY_PART, LOADER, PROXY, Subject, subject
from policies.values import Resource, finding, listed, show
from topology.graph import Graph
from topology.model import Instance

_FILE: Final = "/envoy.json"
_Container = tuple[Resource, Subject]


def behind_proxies(resources: Sequence[Resource]) -> Iterator[tuple[str, str]]:
    """Every app is on a node of its role and has its proxy beside it."""
    containers = [(r, it) for r, it in _containers(resources) if it.part in (APP, PROXY, GATEWAY_PART)]
    if not containers:
        return
    graph = graph_of(resources)
    if graph is None:
        fix = f'label the gateway {NODES}="name:role:address,..." with every node'
        yield "", finding("stack", "no gateway says which nodes there are, so that no allow-list can be checked", fix)
    proxies = {(it.service, it.node) for _, it in containers if it.part == PROXY}
    for resource, it in containers:
        if it.part == APP and (it.service, it.node) not in proxies:
            yield resource.urn, finding(it.name, f"{it.service} has no proxy on {it.node}", "make it as a Pod")
        if graph is not None and not _belongs(graph, it):
            fix = f"make it on a node of its role, and name every node in the gateway's label {NODES}"
            yield resource.urn, finding(it.name, f"{it.service} does not belong on {it.node}", fix)


def equal_allow_lists(resources: Sequence[Resource]) -> Iterator[tuple[str, str]]:
    """The configuration that each proxy reads lets in the graph's callers, all of them and no other."""
    containers = _containers(resources)
    graph = graph_of(resources)
    if graph is None:
        return  # the other rule has said so
    kinds = network_kinds(resources)
    for resource, it in containers:
        if it.part not in (PROXY, GATEWAY_PART) or it.node not in [node.name for node in graph.nodes]:
            continue
        texts = list(_configurations(resource, it, containers))
        if not texts:
            fix = f"fill its config volume by a loader of the same service and node, with a file {_FILE[1:]}"
            yield resource.urn, finding(it.name, "no loader brings the configuration that it reads", fix)
        for text in texts:
            for what in _problems(resource, it, graph, text, kinds):
                fix = "render it by render/envoy from the graph, and change topology/ where the graph is wrong"
                yield resource.urn, finding(it.name, what, fix)


def _problems(resource: Resource, it: Subject, graph: Graph, text: Any, kinds: dict[str, str]) -> Iterator[str]:
    config = envoy.read(text) if isinstance(text, str) else None
    if config is None:
        yield f"its configuration is {'unreadable' if isinstance(text, str) else show(text)}"
        return
    if envoy.admin_address(config) not in (None, authorization.LOOPBACK):
        yield "its admin interface can be reached from outside the proxy"
    if it.part == GATEWAY_PART:
        yield from authorization.gateway_problems(config, graph, it.node, listed(resource.props, "ports"))
    else:
        yield from authorization.sidecar_problems(
            config,
            graph,
            Instance(it.service, it.node),
            mesh=_addresses(resource, kinds, MESH),
            pod=_addresses(resource, kinds, POD),
        )


def _containers(resources: Sequence[Resource]) -> list[_Container]:
    return [(resource, subject(resource.props)) for resource in resources if resource.type == CONTAINER]


def _belongs(graph: Graph, it: Subject) -> bool:
    if it.part == GATEWAY_PART:
        return it.node in [node.name for node in graph.nodes]
    return Instance(it.service, it.node) in (graph.instances(it.service) if it.service in graph.by_name else ())


def _configurations(resource: Resource, it: Subject, containers: Sequence[_Container]) -> Iterator[Any]:
    """Contents of the files that loaders put where this proxy reads."""
    mounted = _volumes(resource)
    for loader, its in containers:
        same = its.part == LOADER and (its.service, its.node) == (it.service, it.node)
        if same and mounted & _volumes(loader):
            for upload in listed(loader.props, "uploads"):
                file = upload.get("file")
                if not isinstance(file, str) or file.endswith(_FILE):
                    yield upload.get("content")


def _volumes(resource: Resource) -> set[str]:
    names = [volume.get("volumeName") for volume in listed(resource.props, "volumes")]
    names += [mount.get("source") for mount in listed(resource.props, "mounts") if mount.get("type") == "volume"]
    return {name for name in names if isinstance(name, str)}


def _addresses(resource: Resource, kinds: dict[str, str], kind: str) -> frozenset[str]:
    """The container's addresses on its networks of one kind."""
    joined = listed(resource.props, "networksAdvanced")
    return frozenset(
        entry["ipv4Address"]
        for entry in joined
        if isinstance(entry.get("ipv4Address"), str) and kinds.get(str(entry.get("name"))) == kind
    )

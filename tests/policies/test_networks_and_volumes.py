"""Networks, and what persists."""

from typing import Any

import pytest

from policies import networks, volumes
from policies.networks import NETWORK
from policies.subject import CONTAINER
from policies.values import UNKNOWN, Resource
from policies.volumes import VOLUME
from tests.policies.samples import DATA_ROOT, container, labels, network, volume
from tests.policies.stacks import door, pod, replaced, resource


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"internal": None}, "internal is not set"),
        ({"internal": False}, "internal is false"),
        ({"internal": UNKNOWN}, "not known"),
        ({"options": None}, "listeners on the host"),
        ({"options": {"com.docker.network.bridge.inhibit_ipv4": "false"}}, "listeners on the host"),
        ({"ipamConfigs": None}, "no explicit subnet"),
        ({"ipamConfigs": [{"subnet": UNKNOWN}]}, "no explicit subnet"),
        ({"ipv6": True}, "IPv6"),
        ({"driver": "macvlan"}, "macvlan"),
        ({"labels": None}, "label agentic-mesh.network is not set"),
    ],
)
def test_an_open_network(changes: dict[str, Any], what: str) -> None:
    messages = list(networks.internal_networks(NETWORK, network(**changes)))
    assert len(messages) == 1
    assert what in messages[0]


@pytest.mark.parametrize("kind", ["outside", "preflight"])
def test_the_way_out_has_its_subnet_too(kind: str) -> None:
    assert list(networks.internal_networks(NETWORK, network(kind))) == []
    assert list(networks.internal_networks(NETWORK, network(kind, ipamConfigs=None)))


def joins(part: str, service: str, *names: Any) -> list[str]:
    """What is wrong with one more container on these networks."""
    joined = [{"name": name} for name in names]
    more = resource(CONTAINER, container(part, service, name="more", networksAdvanced=joined), "more")
    stack = [*door(), *pod("kong"), *pod("redis"), resource(NETWORK, network("preflight", "probes")), more]
    found = list(networks.right_networks(stack))
    assert {urn for urn, _ in found} <= {"urn:more"}
    return [message for _, message in found]


def test_an_app_is_on_its_pod_alone() -> None:
    assert joins("app", "kong", "agentic-mesh-pod-kong") == []
    assert len(joins("app", "kong", "mesh")) == 1
    assert len(joins("app", "kong", "outside")) == 1
    assert len(joins("app", "kong", "agentic-mesh-pod-redis")) == 1


def test_a_proxy_is_not_outside() -> None:
    assert joins("proxy", "kong", "agentic-mesh-pod-kong", "mesh") == []
    assert len(joins("proxy", "kong", "mesh", "outside")) == 1


def test_only_probes_are_on_their_network() -> None:
    assert joins("preflight", "preflight", "probes") == []
    assert len(joins("preflight", "preflight", "outside")) == 1
    assert len(joins("app", "kong", "probes")) == 1


@pytest.mark.parametrize("names", [(), (UNKNOWN,)])
def test_without_a_network_a_container_is_on_docker_s_own(names: tuple[Any, ...]) -> None:
    assert "default bridge" in joins("app", "kong", *names)[0]


def test_networks_are_this_stack_s() -> None:
    assert "none of this stack's" in joins("app", "kong", "bridge")[0]


def test_a_container_without_labels_joins_nothing() -> None:
    joined = [{"name": "agentic-mesh-pod-kong"}]
    stack = [*door(), *pod("kong"), resource(CONTAINER, container(labels=None, networksAdvanced=joined), "more")]
    assert [urn for urn, _ in networks.right_networks(stack)] == ["urn:more"]


def stores(device: str | None, **mount: Any) -> list[str]:
    """What is wrong with a volume that redis mounts."""
    app = container("app", "redis", volumes=[{"volumeName": "data", "containerPath": "/data", **mount}])
    stack = [*door(), resource(VOLUME, volume("data", device)), resource(CONTAINER, app)]
    return [message for _, message in volumes.encrypted_volumes(stack)]


def test_data_lies_under_the_data_root() -> None:
    assert stores(f"{DATA_ROOT}/redis-data") == []


@pytest.mark.parametrize("device", ["/var/lib/redis", DATA_ROOT, f"{DATA_ROOT}/../etc", f"{DATA_ROOT}-else/data"])
def test_data_elsewhere(device: str) -> None:
    messages = stores(device)
    assert len(messages) == 1
    assert "outside the encrypted data root" in messages[0]


def test_data_among_docker_s_own_files() -> None:
    assert len(stores(None)) == 1
    assert stores(None, readOnly=True) == []


def test_a_folder_is_bound_and_not_mounted_anew() -> None:
    odd = resource(VOLUME, {"name": "data", "driverOpts": {"type": "tmpfs", "device": f"{DATA_ROOT}/data"}})
    assert len(list(volumes.encrypted_volumes([*door(), odd]))) == 1


@pytest.mark.parametrize("read_only", [True, False])
def test_a_volume_that_nobody_made(read_only: bool) -> None:
    app = container("app", "redis", volumes=[{"volumeName": "stray", "containerPath": "/x", "readOnly": read_only}])
    assert len(list(volumes.encrypted_volumes([*door(), resource(CONTAINER, app)]))) == 1


def test_mounts_are_looked_at_as_volumes_are() -> None:
    app = container("app", "redis", mounts=[{"type": "volume", "source": "stray", "target": "/x"}])
    assert len(list(volumes.encrypted_volumes([*door(), resource(CONTAINER, app)]))) == 1


def test_without_a_gateway_nobody_knows_the_data_root() -> None:
    found = list(volumes.encrypted_volumes([resource(VOLUME, volume("data", "/srv/data"))]))
    assert len(found) == 1
    assert "data root" in found[0][1]


def test_a_data_root_that_is_no_folder_is_none() -> None:
    bare = labels(service="gateway", node="oracle1", part="gateway", data_root="/")
    stack = replaced(door(), CONTAINER, "agentic-mesh-gateway", labels=bare)
    assert list(volumes.encrypted_volumes(stack))


def mounts(part: str, service: str, path: Any) -> list[str]:
    """What is wrong with a container's look at the host."""
    props = container(part, service, volumes=[{"hostPath": path, "containerPath": "/host", "readOnly": True}])
    stack: list[Resource] = [*door(), resource(CONTAINER, props)]
    return [message for _, message in volumes.known_binds(stack)]


def test_the_topology_names_what_is_seen_of_the_host() -> None:
    assert mounts("app", "node-exporter", "/") == []
    assert mounts("app", "log-shipper", f"{DATA_ROOT}/docker/containers") == []
    assert mounts("preflight", "preflight", DATA_ROOT) == []


@pytest.mark.parametrize(
    ("part", "service", "path"),
    [
        ("app", "node-exporter", "/etc"),
        ("app", "log-shipper", "/"),
        ("app", "log-shipper", "/root/containers"),
        ("app", "redis", "/proc"),
        ("proxy", "node-exporter", "/"),
        ("preflight", "preflight", "/etc"),
    ],
)
def test_other_paths_of_the_host(part: str, service: str, path: str) -> None:
    assert len(mounts(part, service, path)) == 1

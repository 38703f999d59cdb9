"""Whole stacks of compliant resources, with the configurations that the program renders."""

import json
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Network
from typing import Any, Final

from policies.buckets import ENCRYPTION, LIFECYCLE, LOCK, POLICY, PRIVATE, VERSIONING
from policies.networks import NETWORK
from policies.subject import CONTAINER
from policies.values import Resource
from policies.volumes import VOLUME
from render.envoy import gateway_config, sidecar_config
from tests.policies.samples import GRAPH, Props, changed, container, gateway, loader, network, volume
from topology.graph import GATEWAY
from topology.model import Instance
from topology.network import NodeNetworks

NETWORKS: Final = NodeNetworks(base=IPv4Network("10.231.0.0/16"))


def resource(type_: str, props: Mapping[str, Any], name: str = "", **uses: str) -> Resource:
    """A resource of a stack; `uses` names the resources that its properties come from."""
    title = name or str(props.get("name", type_.rpartition(":")[2]))
    return Resource(
        type=type_,
        name=title,
        urn=f"urn:{title}",
        props=props,
        uses={key: frozenset({f"urn:{used}"}) for key, used in uses.items()},
    )


def pod(service: str, node: str = "oracle1") -> list[Resource]:
    """A service's network, app, proxy and loader, as on a real node."""
    addresses = NETWORKS.pod(GRAPH.service(service).slot)
    config = json.dumps(sidecar_config(GRAPH, NETWORKS, Instance(service, node)))
    name = f"agentic-mesh-pod-{service}"
    joined = [{"name": name, "ipv4Address": addresses.sidecar}, {"name": "mesh", "ipv4Address": addresses.mesh}]
    mount = {"volumeName": f"{service}-config", "containerPath": "/etc/agentic-mesh"}
    proxy = container("proxy", service, node, networksAdvanced=joined, volumes=[{**mount, "readOnly": True}])
    return [
        resource(NETWORK, network("pod", name)),
        resource(VOLUME, volume(f"{service}-config")),
        resource(CONTAINER, container("app", service, node)),
        resource(CONTAINER, proxy),
        resource(CONTAINER, loader(service, node, volumes=[mount], uploads=[upload(config)])),
    ]


def door(node: str = "oracle1") -> list[Resource]:
    """A node's gateway with its networks and loader."""
    config = json.dumps(gateway_config(GRAPH, NETWORKS, node))
    mount = {"volumeName": "gateway-config", "containerPath": "/etc/agentic-mesh"}
    joined = [
        {"name": "outside", "ipv4Address": NETWORKS.gateway_outside},
        {"name": "mesh", "ipv4Address": NETWORKS.gateway_mesh},
    ]
    return [
        resource(NETWORK, network("mesh", "mesh")),
        resource(NETWORK, network("outside", "outside")),
        resource(VOLUME, volume("gateway-config")),
        resource(CONTAINER, gateway(node, networksAdvanced=joined, volumes=[{**mount, "readOnly": True}])),
        resource(CONTAINER, loader(GATEWAY, node, volumes=[mount], uploads=[upload(config)])),
    ]


def upload(config: Any) -> Props:
    """The file that a proxy reads."""
    return {"file": "/etc/agentic-mesh/envoy.json", "content": config}


def node_stack(node: str = "oracle1") -> list[Resource]:
    """A whole node: its gateway and every pod."""
    return [*door(node), *(part for service in GRAPH.on(node) for part in pod(service.name, node))]


def bucket_stack() -> list[Resource]:
    """A backup bucket with all of its protections, planned before it exists."""
    return list(_bucket_stack())


def _bucket_stack() -> Iterator[Resource]:
    yield resource("aws:s3/bucket:Bucket", {"bucket": "backup", "objectLockEnabled": True}, "bucket")
    by_default = {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": "arn:aws:kms:eu-central-1:1:key/1"}
    blocks = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    for type_, props in (
        (VERSIONING, {"versioningConfiguration": {"status": "Enabled"}}),
        (ENCRYPTION, {"rules": [{"applyServerSideEncryptionByDefault": by_default}]}),
        (PRIVATE, dict.fromkeys(blocks, True)),
        (POLICY, {}),
        (LOCK, {"rule": {"defaultRetention": {"mode": "GOVERNANCE", "days": 35.0}}}),
        (LIFECYCLE, {"rules": [{"status": "Enabled", "noncurrentVersionExpiration": {"noncurrentDays": 42.0}}]}),
    ):
        yield resource(type_, props, bucket="bucket")


def replaced(resources: Sequence[Resource], type_: str, name: str, **changes: Any) -> list[Resource]:
    """The stack with properties of one resource changed."""
    found = [
        resource(r.type, changed(r.props, **changes), r.name) if (r.type, r.name) == (type_, name) else r
        for r in resources
    ]
    assert found != list(resources), f"no {type_} named {name} to change"
    return found

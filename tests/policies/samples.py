"""Compliant resources as the engine hands them to a pack, for tests to break in one place."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from policies.buckets import KEY, POLICY
from policies.images import BUILD, PULL
from policies.networks import NETWORK
from policies.plaintext import PASSWORD
from policies.subject import CONTAINER
from policies.tailnet import ACL
from policies.volumes import VOLUME
from topology.catalog import SERVICES
from topology.graph import GATEWAY, Graph, with_egress
from topology.model import Node

Props = dict[str, Any]

DIGEST: Final = "sha256:" + "a" * 64
NODES: Final = (
    Node(name="thanos", role="gpu", address="100.64.1.1"),
    Node(name="oracle1", role="control", address="100.64.1.2"),
)
NODES_LABEL: Final = "thanos:gpu:100.64.1.1,oracle1:control:100.64.1.2"
DATA_ROOT: Final = "/srv/agentic-mesh"
GROUPS: Final = {
    "backup-store": ("backup.example.com",),
    "model-hub": ("huggingface.co",),
    "n8n": (),
    "alerts": (),
    "public-edge": ("mesh.example.com",),
}
GRAPH: Final = Graph(with_egress(SERVICES, GROUPS), NODES)


def labels(**values: str) -> list[dict[str, str]]:
    """Labels as the Docker provider has them."""
    return [{"label": f"agentic-mesh.{key.replace('_', '-')}", "value": value} for key, value in values.items()]


def container(part: str = "app", service: str = "kong", node: str = "oracle1", **changes: Any) -> Props:
    """A hardened container; `changes` replace properties, and None takes one out."""
    name = {"app": f"agentic-mesh-{service}", "gateway": "agentic-mesh-gateway"}.get(part, f"{service}-{part}")
    props: Props = {
        "name": name,
        "image": DIGEST,
        "labels": labels(service=service, node=node, part=part),
        "readOnly": True,
        "user": "1000:1000",
        "capabilities": {"drops": ["ALL"]},
        "securityOpts": ["no-new-privileges=true"],
        "memory": 512.0,
        "cpus": "1",
        "ulimits": [{"name": "nproc", "soft": 512.0, "hard": 512.0}],
        "restart": "unless-stopped",
        "logDriver": "json-file",
        "logOpts": {"max-size": "10m", "max-file": "3"},
        "dns": ["127.0.0.1"],
        "tmpfs": {"/tmp": "rw,nosuid,nodev,noexec,size=1g"},
        "networksAdvanced": [{"name": f"agentic-mesh-pod-{service}", "ipv4Address": "10.231.0.10"}],
    }
    if part in ("proxy", "gateway", "preflight"):
        props |= {"healthcheck": {"tests": ["CMD", "true"]}, "wait": True, "waitTimeout": 60.0}
    return changed(props, **changes)


def loader(service: str = "kong", node: str = "oracle1", **changes: Any) -> Props:
    """A container that only carries files."""
    props = {
        "name": f"{service}-loader",
        "image": DIGEST,
        "labels": labels(service=service, node=node, part="loader", config="proxy"),
        "capabilities": {"drops": ["ALL"]},
        "securityOpts": ["no-new-privileges=true"],
        "start": False,
        "mustRun": False,
        "networkMode": "none",
    }
    return changed(props, **changes)


def gateway(node: str = "oracle1", **changes: Any) -> Props:
    """A gateway that publishes a service on the tailnet and the edge on every address."""
    ports = [{"internal": 8000.0, "external": 8000.0, "ip": GRAPH.node(node).address}]
    if node == "oracle1":
        ports.append({"internal": 10443.0, "external": 443.0, "ip": "0.0.0.0"})  # noqa: S104 - as it is by default
    props = container(
        "gateway",
        GATEWAY,
        node,
        dns=None,
        ports=ports,
        labels=labels(service=GATEWAY, node=node, part="gateway", nodes=NODES_LABEL, data_root=DATA_ROOT),
    )
    return changed(props, **changes)


def network(kind: str = "pod", name: str = "agentic-mesh-pod-kong", **changes: Any) -> Props:
    """A network of one of the four kinds."""
    props: Props = {
        "name": name,
        "driver": "bridge",
        "ipamConfigs": [{"subnet": "10.231.0.8/29"}],
        "labels": labels(network=kind),
    }
    if kind in ("pod", "mesh"):
        props |= {"internal": True, "options": {"com.docker.network.bridge.inhibit_ipv4": "true"}}
    return changed(props, **changes)


def volume(name: str, device: str | None = None) -> Props:
    """A Docker volume, on a folder of the host if there is a `device`."""
    options = {"driverOpts": {"type": "none", "o": "bind", "device": device}} if device else {}
    return {"name": name, "driver": "local", **options}


def acl(**changes: Any) -> Props:
    """A tailnet policy; `changes` replace its sections."""
    policy: Props = {
        "grants": [{"src": ["tag:oracle1"], "dst": ["tag:thanos"], "ip": ["tcp:8000"]}],
        "ssh": [{"action": "check", "src": ["autogroup:admin"], "dst": ["tag:thanos"], "users": ["deploy"]}],
        "tests": [{"src": "tag:oracle1", "accept": ["tag:thanos:8000"], "deny": ["tag:thanos:22"]}],
    }
    return {"acl": json.dumps(changed(policy, **changes))}


def bucket_policy(**changes: Any) -> Props:
    """A bucket policy of one statement; `changes` replace its parts."""
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": ["arn:aws:s3:::backup", "arn:aws:s3:::backup/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return {"bucket": "backup", "policy": json.dumps({"Statement": [changed(statement, **changes)]})}


def changed(props: Mapping[str, Any], **changes: Any) -> Props:
    """A copy with some properties replaced; None takes one out."""
    merged = {**props, **changes}
    return {key: value for key, value in merged.items() if value is not None}


COMPLIANT: Final[Sequence[tuple[str, Props]]] = (
    (CONTAINER, container()),
    (CONTAINER, container("proxy")),
    (CONTAINER, container("preflight", "preflight", dns=None)),
    (CONTAINER, loader()),
    (CONTAINER, gateway("oracle1")),
    (CONTAINER, gateway("thanos")),
    (NETWORK, network()),
    (NETWORK, network("mesh", "agentic-mesh")),
    (NETWORK, network("outside", "agentic-mesh-outside")),
    (VOLUME, volume("agentic-mesh-redis-data", f"{DATA_ROOT}/redis-data")),
    (PULL, {"name": f"docker.io/library/kong:3.9.3@{DIGEST}"}),
    (BUILD, {"imageName": "agentic-mesh/agents:local"}),
    (ACL, acl()),
    (POLICY, bucket_policy()),
    (KEY, {"enableKeyRotation": True}),
    (PASSWORD, {"length": 48.0}),
)
"""One of everything that the rules on single resources look at."""

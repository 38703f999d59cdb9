"""The words of the graph: nodes, services, their ports and their calls."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal

Role = Literal["gpu", "control"]
Architecture = Literal["amd64", "arm64"]

TRUST_DOMAIN: Final = "agentic-mesh"
OPERATOR: Final = "operator"
"""The caller that stands for people who hold an operator certificate."""


class Protocol(StrEnum):
    """What a port speaks to its callers, inside the mesh's TLS."""

    HTTP = "http"
    """HTTP/1.1 with WebSocket upgrades, authorized by path and method."""
    GRPC = "grpc"
    """HTTP/2 from the first byte (h2c at the app)."""
    TCP = "tcp"
    """Any stream of bytes, authorized by identity alone."""


@dataclass(frozen=True, kw_only=True)
class Port:
    """A port that a service offers to its callers."""

    number: int
    """As callers see it."""
    name: str = "api"
    protocol: Protocol = Protocol.HTTP
    target: int | None = None
    """The app's own port where it differs."""
    published: int | None = None
    """The tailnet's port where it differs; the settings' `ports` sets it."""
    routes: tuple[str, ...] = ()
    """What callers may ask for (`topology.routes`); empty: all. For apps that leave routes open to anyone."""
    reads: tuple[str, ...] = ()
    """Regular expressions of the paths whose POST only reads, and so may be sent again; Envoy wants them short."""
    direct: bool = False
    """Operators may call it by the node's tailnet address."""

    @property
    def tailnet_port(self) -> int:
        """What the node's gateway publishes it on."""
        return self.published or self.number

    @property
    def app_port(self) -> int:
        """Where the app listens."""
        return self.target or self.number


@dataclass(frozen=True, kw_only=True)
class Call:
    """One service's right to call another; the graph's edge."""

    to: str
    port: str = "api"
    routes: tuple[str, ...] = ()
    """Narrows the port's own routes for this caller."""
    fallback: str | None = None
    """A service of the same interface that answers while `to` has no healthy instance."""
    local: bool = False
    """Only the instance on the caller's own node."""
    peer: bool = False
    """Members of one cluster that call each other: no order of start between them."""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What the sidecar asks its app to know that it is well."""

    port: int
    path: str | None = None
    """None: a TCP connect is enough."""


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """Where the app serves Prometheus metrics."""

    port: int
    path: str = "/metrics"
    also: tuple[str, ...] = ()
    """Further paths that Prometheus asks for (blackbox probes)."""


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """A service's wish for GPU memory."""

    share_gib: float
    """Default share of the card; the stack's `gpuShares` overrides it."""
    capabilities: tuple[str, ...] = ("compute", "utility")
    """Of the driver, as the container toolkit names them."""
    takes_rest: bool = False
    """Gets what the others leave (vLLM); `share_gib` is then the least it works with."""


@dataclass(frozen=True, kw_only=True)
class Volume:
    """A directory under the node's encrypted data root that outlives the container."""

    name: str
    path: str
    """Where the app sees it."""
    owner: tuple[int, int]
    """uid and gid that must be able to write it."""
    backup: bool = True
    """False for what can be downloaded or computed again."""
    telemetry: bool = False
    """Metrics and logs: backed up only with the setting `backup.telemetry`."""
    setting: Literal["model_path", "qdrant_storage"] | None = None
    """The setting that may place it elsewhere on the host."""


@dataclass(frozen=True, kw_only=True)
class VolumeRead:
    """A read-only look at another service's volume on the same node."""

    service: str
    volume: str
    path: str


@dataclass(frozen=True, kw_only=True)
class HostMount:
    """A read-only look at the host, for exporters and the log shipper."""

    source: str
    """A host path; `@data-root` and `@docker-root` stand for the settings' folders."""
    target: str
    reason: str


class Rule(StrEnum):
    """The hardening rules that a service may be excused from."""

    READ_ONLY_ROOT = "read-only-root"
    NON_ROOT = "non-root"
    CAPABILITY = "capability"
    HOST_MOUNT = "host-mount"
    WRITABLE_EXEC = "writable-exec"


@dataclass(frozen=True, kw_only=True)
class Waiver:
    """An exception to hardening: which rule, which capability if any, and why."""

    rule: Rule
    reason: str
    value: str = ""
    """The capability, for `Rule.CAPABILITY`."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """One row of the service table."""

    name: str
    slot: int
    """Fixes the pod's addresses; unique, never reused, so that a new service moves no other one."""
    role: Role | None
    """The nodes it runs on; None: each node."""
    purpose: str
    resource: str
    """As the spec's tables say it: GPU, CPU, RAM."""
    image: str
    """A key of `images.IMAGES` or, for what we build ourselves, of `images.BUILDS`."""
    probe: Probe
    memory_mib: int
    cpus: float
    user: str
    """uid:gid of the app."""
    processes: int = 2048
    """Limit by uid, which other services of the node may share (docs/adr)."""
    ports: tuple[Port, ...] = ()
    calls: tuple[Call, ...] = ()
    egress: tuple[str, ...] = ()
    """Outside hosts, exact, `host` or `host:port`; `@group` stands for a list from the settings (`Settings.egress`)."""
    proxied: tuple[str, ...] = ()
    """Outside names that it reaches through its sidecar's forward proxy, on port 443: exact, or `*.suffix` for all
    names below; `@group` as in `egress`. For hosts that cannot be listed."""
    metrics: Metrics | None = None
    gpu: Gpu | None = None
    volumes: tuple[Volume, ...] = ()
    reads: tuple[VolumeRead, ...] = ()
    reads_backups: bool = False
    """It sees each volume of its node that wants a backup, below `/backup`."""
    host_mounts: tuple[HostMount, ...] = ()
    tmpfs: tuple[str, ...] = ("/tmp",)
    """Writable folders in memory, which counts toward the container's limit."""
    tmpfs_mib: tuple[tuple[str, int], ...] = ()
    """Path and size in MiB where the default of `tmpfs_sizes` does not fit."""
    waivers: tuple[Waiver, ...] = ()
    start_seconds: int = 300
    """How long the deploy waits for it to become healthy; two dozen services start at once on a host with two cores."""
    stop_seconds: int = 30
    """Time for a graceful stop; must exceed the program's own timeout for its children and callers."""
    single: bool = False
    """Keeps state of its own: it runs on the first node of its role alone."""
    public_port: int | None = None
    """Published on the node's public address; the edge alone."""
    runtime: str | None = None
    """A Docker runtime other than the default."""

    def port(self, name: str) -> Port:
        """The port of that name; KeyError names the service."""
        for port in self.ports:
            if port.name == name:
                return port
        raise KeyError(f"service {self.name!r} has no port {name!r}")

    def tmpfs_sizes(self) -> Mapping[str, int]:
        """MiB by path: a quarter of the container's memory, at most 1 GiB, unless the table sets another size.

        A full tmpfs is an error in the program that filled it; one larger than the memory limit would get the
        container killed.
        """
        quarter = max(1, min(self.memory_mib // 4, 1024))
        given = dict(self.tmpfs_mib)
        return {path: min(given.get(path, quarter), self.memory_mib // 2) for path in self.tmpfs}

    def waived(self, rule: Rule) -> tuple[str, ...]:
        """Values of the waivers for `rule` (empty tuple: not waived)."""
        return tuple(w.value or rule.value for w in self.waivers if w.rule is rule)


@dataclass(frozen=True, kw_only=True)
class Node:
    """A Docker host on the tailnet: one stack."""

    name: str
    role: Role
    address: str
    """Its tailnet address."""
    architecture: Architecture = "amd64"


@dataclass(frozen=True, order=True)
class Instance:
    """A service on a node."""

    service: str
    node: str

    @property
    def host(self) -> str:
        """Its own name in the mesh, unlike the service's, which stands for all instances."""
        return f"{self.service}.{self.node}"

    @property
    def sni(self) -> str:
        """The server name by which gateways tell pods apart."""
        return f"{self.host}.{TRUST_DOMAIN}"

    @property
    def identity(self) -> str:
        """Its SPIFFE ID."""
        return f"spiffe://{TRUST_DOMAIN}/{self.node}/{self.service}"


@dataclass(frozen=True, order=True)
class Edge:
    """One instance's right to call a port of another."""

    caller: Instance
    callee: Instance
    port: str
    number: int
    """What the caller dials."""
    tailnet: int
    """What goes between the nodes' gateways where it crosses."""
    routes: tuple[str, ...] = field(default=(), compare=False)
    """Empty: all."""

    @property
    def crosses(self) -> bool:
        """Whether it goes over the tailnet."""
        return self.caller.node != self.callee.node

"""Which container is it: the labels by which a rule finds its service in the topology."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from policies.values import Props, finding, listed, pairs, show
from topology.catalog import SERVICES
from topology.graph import GATEWAY
from topology.model import Rule, Service

CONTAINER: Final = "docker:index/container:Container"
PREFIX: Final = "agentic-mesh."

APP: Final = "app"
PROXY: Final = "proxy"
LOADER: Final = "loader"
GATEWAY_PART: Final = "gateway"
PREFLIGHT: Final = "preflight"
PARTS: Final = (APP, PROXY, LOADER, GATEWAY_PART, PREFLIGHT)

# The one probe that sees the encrypted data root makes the volumes' folders there and hands them to their users.
_PREFLIGHT_WAIVERS: Final[Mapping[Rule, tuple[str, ...]]] = {
    Rule.CAPABILITY: ("CHOWN", "DAC_OVERRIDE", "FOWNER"),
    Rule.NON_ROOT: (Rule.NON_ROOT.value,),
    Rule.HOST_MOUNT: (Rule.HOST_MOUNT.value,),
}

_BY_NAME: Final[Mapping[str, Service]] = {service.name: service for service in SERVICES}


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A container by its labels; what they do not say is empty, and then no exception applies."""

    name: str
    part: str
    service: str
    node: str
    mounts_host: bool

    @property
    def runs(self) -> bool:
        """A loader only carries files: it never starts."""
        return self.part != LOADER

    @property
    def row(self) -> Service | None:
        """The topology's row of an app; its exceptions are for the app alone, never for what stands beside it."""
        return _BY_NAME.get(self.service) if self.part == APP else None

    def waived(self, rule: Rule) -> tuple[str, ...]:
        """What this container is excused from: an app by the topology, a preflight probe by what it must do."""
        if self.part == PREFLIGHT:
            return _PREFLIGHT_WAIVERS.get(rule, ()) if self.mounts_host else ()
        return self.row.waived(rule) if self.row else ()


def subject(props: Props) -> Subject:
    """Read the labels."""
    labels = {key: value if isinstance(value, str) else "" for key, value in pairs(props, "labels").items()}
    return Subject(
        name=show(props.get("name", "container")),
        part=labels.get(PREFIX + "part", ""),
        service=labels.get(PREFIX + "service", ""),
        node=labels.get(PREFIX + "node", ""),
        mounts_host=any(volume.get("hostPath") for volume in listed(props, "volumes")),
    )


def labelled(type_: str, props: Props) -> Iterator[str]:
    """Every container says what it is: without it no rule knows which exceptions hold."""
    if type_ != CONTAINER:
        return
    it = subject(props)
    if it.part not in PARTS:
        yield finding(
            it.name, f"label {PREFIX}part is {it.part or 'not set'}", f"give it one of {', '.join(PARTS)} as plain text"
        )
    if not it.node:
        yield finding(it.name, f"label {PREFIX}node is not set", "give it the name of the stack's node as plain text")
    if it.part in (APP, PROXY) and it.service not in _BY_NAME:
        yield finding(
            it.name,
            f"label {PREFIX}service is {it.service or 'not set'}, which topology/ does not know",
            "name a service of topology/catalog.py, or add its row there first",
        )
    if it.part == GATEWAY_PART and it.service != GATEWAY:
        yield finding(
            it.name,
            f"it is labelled as the gateway, but its service is {it.service or 'not set'}",
            f"the gateway is one container, of service {GATEWAY}",
        )

"""How the real Docker provider compares a program's arguments with its state: what it computes, defaults and ignores.

After the schemas of `internal/provider/resource_docker_container.go`, `resource_docker_network.go` and
`resource_docker_volume.go` of kreuzwerker/terraform-provider-docker 4.5.0, in Pulumi's names, and after
`schemaMap.Diff` of terraform-plugin-sdk v2.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from lab.provider import Values


@dataclass(frozen=True, kw_only=True)
class Schema:
    """What a type's diff depends on."""

    arguments: frozenset[str]
    computed: frozenset[str] = frozenset()
    """Optional and computed: not given, whatever was read back is right."""
    in_place: frozenset[str] = frozenset()
    """Not ForceNew."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    unordered: frozenset[str] = frozenset()
    """TypeSet."""
    nested: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Defaults within an object, by argument."""
    empty_is_absent: frozenset[str] = frozenset()
    """A DiffSuppressFunc takes "" for what is there."""

    def changes(self, state: Values, news: Values) -> Iterator[str]:
        """The arguments in which what is wanted differs from the state."""
        for name in sorted(self.arguments):
            wanted = news.get(name)
            if wanted is None and name in self.computed:
                continue
            if wanted in (None, "") and name in self.empty_is_absent:
                continue
            if not self.same(name, wanted, state.get(name)):
                yield name

    def same(self, name: str, one: Any, other: Any) -> bool:
        """Whether two values of an argument are one to Terraform: absent and zero are, and so are a set's orders."""
        return bool(self._canonical(name, one) == self._canonical(name, other))

    def _canonical(self, name: str, value: Any) -> Any:
        if value is None:
            value = self.defaults.get(name)
        return _canonical(value, self.nested.get(name, {}), unordered=name in self.unordered)


def _canonical(value: Any, defaults: Mapping[str, Any], *, unordered: bool) -> Any:
    if isinstance(value, dict):
        filled = {key: _canonical(item, {}, unordered=unordered) for key, item in {**defaults, **value}.items()}
        return {key: item for key, item in filled.items() if item is not None} or None
    if isinstance(value, list):
        items = [_canonical(item, defaults, unordered=unordered) for item in value]
        return (sorted(items, key=_text) if unordered else items) or None
    # Numbers travel as doubles; zero, empty and absent are one.
    return None if value in (0, "", False) else value


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=repr)


CONTAINER: Final = Schema(
    arguments=frozenset(
        [
            *("attach", "capabilities", "cgroupParent", "cgroupnsMode", "command", "cpuPeriod", "cpuQuota", "cpuSet"),
            *("cpuShares", "cpus", "destroyGraceSeconds", "deviceRequests", "devices", "dns", "dnsOpts", "dnsSearches"),
            *("domainname", "entrypoints", "envs", "gpus", "groupAdds", "healthcheck", "hostname", "hosts", "image"),
            *("init", "ipcMode", "labels", "logDriver", "logOpts", "logs", "maxRetryCount", "memory"),
            *("memoryReservation", "memorySwap", "mounts", "mustRun", "name", "networkMode", "networksAdvanced"),
            *("pidMode", "platform", "ports", "privileged", "publishAllPorts", "readOnly", "removeVolumes", "restart"),
            *("rm", "runtime", "securityOpts", "shmSize", "start", "stdinOpen", "stopSignal", "stopTimeout"),
            *("storageOpts", "sysctls", "tmpfs", "tty", "ulimits", "uploads", "user", "usernsMode", "volumes", "wait"),
            *("waitTimeout", "workingDir"),
        ]
    ),
    computed=frozenset(
        [
            *("command", "entrypoints", "envs", "healthcheck", "hostname", "init", "ipcMode", "labels", "logDriver"),
            *("platform", "runtime", "securityOpts", "shmSize", "stopSignal", "stopTimeout"),
        ]
    ),
    in_place=frozenset(
        [
            *("attach", "cpuPeriod", "cpuQuota", "cpuSet", "cpuShares", "destroyGraceSeconds", "healthcheck", "init"),
            *("logs", "maxRetryCount", "memory", "memoryReservation", "memorySwap", "mustRun", "removeVolumes"),
            *("restart", "rm", "start", "tmpfs", "wait", "waitTimeout"),
        ]
    ),
    defaults={
        "mustRun": True,
        "networkMode": "bridge",
        "removeVolumes": True,
        "restart": "no",
        "start": True,
        "waitTimeout": 60,
    },
    unordered=frozenset(
        [
            *("capabilities", "deviceRequests", "devices", "dns", "dnsOpts", "dnsSearches", "envs", "groupAdds"),
            # A list, but suppressIfPortsDidNotChangeForMigrationV0ToV1 looks ports up by their number.
            *("hosts", "labels", "mounts", "networksAdvanced", "ports", "securityOpts", "ulimits", "uploads"),
            "volumes",
        ]
    ),
    nested={
        "devices": {"permissions": "rwm"},
        "healthcheck": {"interval": "0s", "timeout": "0s", "startPeriod": "0s", "startInterval": "0s"},
        "ports": {"ip": "0.0.0.0", "protocol": "tcp"},  # noqa: S104 - the provider's default
    },
    empty_is_absent=frozenset({"user", "workingDir"}),
)

NETWORK: Final = Schema(
    arguments=frozenset(
        [
            *("attachable", "driver", "ingress", "internal", "ipamConfigs", "ipamDriver", "ipamOptions", "ipv6"),
            *("labels", "name", "options"),
        ]
    ),
    computed=frozenset({"driver", "internal", "ipamConfigs", "options"}),
    defaults={"ipamDriver": "default"},
    unordered=frozenset({"ipamConfigs", "labels"}),
)

VOLUME: Final = Schema(
    arguments=frozenset({"driver", "driverOpts", "labels", "name"}),
    computed=frozenset({"driver", "name"}),
    unordered=frozenset({"labels"}),
)

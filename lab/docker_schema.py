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
    """The properties of a resource type that its diff depends on."""

    arguments: frozenset[str]
    computed: frozenset[str] = frozenset()
    """Optional and computed: if not given, whatever was read back is accepted."""
    in_place: frozenset[str] = frozenset()
    """Updated in place (not ForceNew)."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    sets: frozenset[str] = frozenset()
    unordered: frozenset[str] = frozenset()
    """Lists that are compared as sets."""
    nested: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Defaults within an object, by argument."""
    nested_computed: Mapping[str, str] = field(default_factory=dict)
    """Argument -> the key of its objects that Docker chooses if it is not given."""
    empty_is_absent: frozenset[str] = frozenset()
    """A DiffSuppressFunc ignores "" here."""

    def changes(self, state: Values, news: Values) -> Iterator[str]:
        """The arguments whose wanted value differs from the state."""
        for name in sorted(self.arguments):
            wanted = news.get(name)
            if wanted is None and name in self.computed:
                continue
            if wanted in (None, "") and name in self.empty_is_absent:
                continue
            there = state.get(name)
            chosen = self.nested_computed.get(name)
            if chosen and isinstance(wanted, list) and any(chosen not in item for item in wanted):
                wanted, there = _without(wanted, chosen), _without(there, chosen)
            if not self.same(name, wanted, there):
                yield name

    def after_create(self, given: Values, found: Values) -> Values:
        """The part of the read after a creation that becomes the state.

        A set that the plan contained is taken from the plan (`normalizeNullValues` of terraform-plugin-sdk's
        `helper/schema/grpc_provider.go`): a difference in Docker only shows after the first refresh.
        """
        return {name: value for name, value in found.items() if name not in self.sets or name not in given}

    def same(self, name: str, one: Any, other: Any) -> bool:
        """Whether Terraform treats two values of an argument as equal: absent equals zero, and sets have no order."""
        return bool(self._canonical(name, one) == self._canonical(name, other))

    def _canonical(self, name: str, value: Any) -> Any:
        if value is None:
            value = self.defaults.get(name)
        return _canonical(value, self.nested.get(name, {}), unordered=name in self.sets or name in self.unordered)


def _canonical(value: Any, defaults: Mapping[str, Any], *, unordered: bool) -> Any:
    if isinstance(value, dict):
        filled = {key: _canonical(item, {}, unordered=unordered) for key, item in {**defaults, **value}.items()}
        return {key: item for key, item in filled.items() if item is not None} or None
    if isinstance(value, list):
        items = [_canonical(item, defaults, unordered=unordered) for item in value]
        return (sorted(items, key=_text) if unordered else items) or None
    # Numbers arrive as doubles; zero, empty and absent are equal.
    return None if value in (0, "", False) else value


def _without(items: Any, key: str) -> Any:
    return [{k: v for k, v in item.items() if k != key} for item in items] if isinstance(items, list) else items


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
    sets=frozenset(
        [
            *("capabilities", "deviceRequests", "devices", "dns", "dnsOpts", "dnsSearches", "envs", "groupAdds"),
            *("hosts", "labels", "mounts", "networksAdvanced", "securityOpts", "ulimits", "uploads", "volumes"),
        ]
    ),
    # suppressIfPortsDidNotChangeForMigrationV0ToV1 looks ports up by their number.
    unordered=frozenset({"ports"}),
    nested_computed={"ports": "external"},
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
    sets=frozenset({"ipamConfigs", "labels"}),
)

VOLUME: Final = Schema(
    arguments=frozenset({"driver", "driverOpts", "labels", "name"}),
    computed=frozenset({"driver", "name"}),
    sets=frozenset({"labels"}),
)

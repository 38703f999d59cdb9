"""Values that the real Docker provider reads back in another form, so that every `up` would change them again.

After creating a container the provider reads it back from Docker and stores the result as its state; the next plan
compares the program's text with that. An argument that differs is replaced (most are) or updated in place, every time.

Each rule names its source. "provider" is kreuzwerker/terraform-provider-docker 4.5.0, which pulumi-docker 5 is
built on: `resourceDockerContainerRead` in `internal/provider/resource_docker_container_funcs.go` unless another file is
named. "moby" is 28.5.2 unless another version is.

Read back as given, so that no rule is needed: command, cpuSet, cpuShares, deviceReadBps and its kin, devices,
deviceRequests, dnsOpts, dnsSearches, domainname, entrypoints, groupAdds, hostname, image, init, logDriver,
maxRetryCount, memoryReservation, privileged, publishAllPorts, readOnly, restart, rm, runtime, shmSize (over 0),
stdinOpen, stopSignal, stopTimeout, storageOpts, tmpfs, tty, ulimits, user, usernsMode. `logOpts` and `ulimits` come
back with what `daemon.json` adds to them (`log-opts` of the same driver, `default-ulimits`; moby `daemon/logs.go` and
`daemon/oci_linux.go`): a plan cannot know them.

Never read: envs, labels, uploads, volumes, networksAdvanced, destroyGraceSeconds, removeVolumes, start, wait,
waitTimeout, cpuPeriod, cpuQuota, cgroupParent, cgroupnsMode.
"""

from __future__ import annotations

import ipaddress
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeGuard

from engine.check import Failure
from engine.docker_forms import capability_text, cpus_text, duration_text, is_duration, nano_cpus, nanoseconds

Inputs = Mapping[str, Any]

_NUMBER: Final = re.compile(r"^\d+(\.\d*)?$")
_ID: Final = re.compile(r"^[0-9a-f]{64}$")
_GPUS: Final = re.compile(r"^(all|device=[^\s\"']+)$")
_OF_ONE_INTERFACE: Final = re.compile(r"^net\.[^.]+\.[^.]+\.eth[^.]*\.")
_INHIBIT: Final = "com.docker.network.bridge.inhibit_ipv4"
_AGAIN: Final = "each `up` would change it again"


def container_failures(inputs: Inputs) -> Iterator[Failure]:
    """Arguments of a container that would be read back differently."""
    for rule in _CONTAINER:
        yield from rule(inputs)


def network_failures(inputs: Inputs) -> Iterator[Failure]:
    """Arguments of a network that would be read back differently."""
    options = inputs.get("options")
    # moby 28, `GetSkipGwAlloc` of libnetwork's bridge driver: such a network gets no gateway.
    none = inputs.get("internal") is True and isinstance(options, dict) and options.get(_INHIBIT) == "true"
    for index, config in enumerate(_objects(inputs, "ipamConfigs")):
        where = f"ipamConfigs[{index}]"
        yield from _same_address(config.get("gateway"), f"{where}.gateway")
        subnet = config.get("subnet")
        if not isinstance(subnet, str):
            continue
        try:
            network = ipaddress.ip_network(subnet)
        except ValueError:
            continue  # refused elsewhere
        yield from _same(subnet, str(network), f"{where}.subnet")
        # moby 29, `buildIPAMResources` of `daemon/network.go`: the gateway that Docker chose is shown as configured.
        if "gateway" not in config and not none:
            yield Failure(f"{where}.gateway", f"Docker 29 reads back the one that it chose: write {network[1]}")


def _name(inputs: Inputs) -> Iterator[Failure]:
    # provider: slashes in front are cut off
    name = inputs.get("name")
    if isinstance(name, str):
        yield from _same(name, name.lstrip("/"), "name")


def _cpus(inputs: Inputs) -> Iterator[Failure]:
    # provider, nanoInt64ToDecimalString of helpers.go
    cpus = inputs.get("cpus")
    if not isinstance(cpus, str) or not _NUMBER.match(cpus):
        return
    back = cpus_text(nano_cpus(cpus))
    if nano_cpus(back) != nano_cpus(cpus):
        yield Failure("cpus", f"{cpus!r} is read back as {back!r}, another number: take a rounder one")
    else:
        yield from _same(cpus, back, "cpus")


def _memory(inputs: Inputs) -> Iterator[Failure]:
    # moby, adaptContainerSettings of daemon/daemon_unix.go: without a limit for swap it is as much again
    memory, swap = inputs.get("memory"), inputs.get("memorySwap")
    if _is_number(memory) and memory > 0 and (swap is None or swap == 0):
        yield Failure(
            "memorySwap",
            f"not given, it is read back as {2 * memory:g}: set it wherever memory is set, {memory:g} for no swap",
        )
    # moby, the same place: 0 stands for the daemon's default
    shm = inputs.get("shmSize")
    if _is_number(shm) and shm < 1:
        yield Failure("shmSize", "0 is read back as Docker's default of 64: leave it out, or set it in MiB")


def _health_check(inputs: Inputs) -> Iterator[Failure]:
    check = inputs.get("healthcheck")
    if not isinstance(check, dict):
        return
    for key in ("interval", "timeout", "startPeriod", "startInterval"):
        value = check.get(key)
        # provider: as Go prints durations
        if isinstance(value, str) and is_duration(value):
            yield from _same(value, duration_text(nanoseconds(value)), f"healthcheck.{key}")
    # moby, merge of daemon/commit.go: a field that is nothing is filled with that of the image's own health check
    for key in ("interval", "timeout", "startPeriod", "retries"):
        if check.get(key) in (None, "0s", 0):
            yield Failure(f"healthcheck.{key}", "not given, the health check of the image fills it in: set it")


def _capabilities(inputs: Inputs) -> Iterator[Failure]:
    # moby, normalizeCapabilities of client/container_create.go; the provider has no DiffSuppressFunc here
    capabilities = inputs.get("capabilities")
    if not isinstance(capabilities, dict):
        return
    for key in ("adds", "drops"):
        for index, name in enumerate(_texts(capabilities, key)):
            yield from _same(name, capability_text(name), f"capabilities.{key}[{index}]")


def _modes(inputs: Inputs) -> Iterator[Failure]:
    # moby, daemon/server/router/container/container_routes.go: "default" becomes the network's name
    if inputs.get("networkMode") == "default":
        yield Failure("networkMode", f"'default' is read back as 'bridge': {_AGAIN}; write 'bridge'")
    # moby, adaptSharedNamespaceContainer of daemon/daemon_unix.go: names become ids
    for key in ("networkMode", "ipcMode", "pidMode"):
        kind, _, name = str(inputs.get(key)).partition(":")
        if isinstance(inputs.get(key), str) and kind == "container" and not _ID.match(name):
            yield Failure(key, f"{name!r} is read back as the container's id: {_AGAIN}; write the id")


def _platform(inputs: Inputs) -> Iterator[Failure]:
    # provider: container.Platform, which Docker fills with the operating system alone
    platform = inputs.get("platform")
    if isinstance(platform, str) and platform:
        yield from _same(platform, platform.partition("/")[0], "platform")


def _security(inputs: Inputs) -> Iterator[Failure]:
    options = _texts(inputs, "securityOpts")
    # provider: parseSystemPaths takes it out before Docker sees it
    if "systempaths=unconfined" in options:
        yield Failure("securityOpts", f"'systempaths=unconfined' is not read back: {_AGAIN}")
    # moby, generateSecurityOpt of daemon/create.go
    near = inputs.get("privileged") is True or "host" in (inputs.get("ipcMode"), inputs.get("pidMode"))
    if options and near and not any(option.partition("=")[0] == "label" for option in options):
        yield Failure("securityOpts", "Docker adds 'label=disable' near the host's namespaces: write it into the list")


def _hosts(inputs: Inputs) -> Iterator[Failure]:
    # provider, flattenExtraHosts of resource_docker_container_structures.go: cut at each colon
    for index, host in enumerate(_objects(inputs, "hosts")):
        address = host.get("ip")
        if isinstance(address, str) and ":" in address:
            back = address.split(":")[0]
            yield Failure(
                f"hosts[{index}].ip", f"{address!r} is read back as {back!r}: {_AGAIN}; only IPv4 can be given"
            )


def _addresses(inputs: Inputs) -> Iterator[Failure]:
    # moby 29 holds these as netip.Addr
    for index, address in enumerate(_texts(inputs, "dns")):
        yield from _same_address(address, f"dns[{index}]")
    for index, port in enumerate(_objects(inputs, "ports")):
        yield from _same_address(port.get("ip"), f"ports[{index}].ip")
        # moby, nat.ParsePort: protocols are lower case
        protocol = port.get("protocol")
        if isinstance(protocol, str):
            yield from _same(protocol, protocol.lower(), f"ports[{index}].protocol")


def _sysctls(inputs: Inputs) -> Iterator[Failure]:
    # moby, handleSysctlBC of container_routes.go: moved to the endpoint's options, or refused
    sysctls = inputs.get("sysctls")
    for key in sysctls if isinstance(sysctls, dict) else ():
        if _OF_ONE_INTERFACE.match(str(key)):
            yield Failure(f"sysctls.{key}", f"Docker moves the setting of one interface to the network: {_AGAIN}")


def _working_dir(inputs: Inputs) -> Iterator[Failure]:
    # moby, translateWorkingDir of daemon/container.go: filepath.Clean
    folder = inputs.get("workingDir")
    if isinstance(folder, str) and folder:
        yield from _same(folder, posixpath.normpath(folder).replace("//", "/"), "workingDir")


def _gpus(inputs: Inputs) -> Iterator[Failure]:
    # provider: normalizeGPUOptionString at create, flattenGPUsFromDeviceRequests at read
    gpus = inputs.get("gpus")
    if isinstance(gpus, str) and gpus and not _GPUS.match(gpus):
        yield Failure("gpus", f"{gpus!r} is not read back as it is: write 'all' or 'device=0,1', or use deviceRequests")


def _mounts(inputs: Inputs) -> Iterator[Failure]:
    # provider, getDockerContainerMounts: labels are put under a key that the schema does not have
    for index, mount in enumerate(_objects(inputs, "mounts")):
        options = mount.get("volumeOptions")
        if isinstance(options, dict) and options.get("labels"):
            yield Failure(f"mounts[{index}].volumeOptions.labels", f"they are not read back: {_AGAIN}")


_CONTAINER: Final[tuple[Callable[[Inputs], Iterator[Failure]], ...]] = (
    _name,
    _cpus,
    _memory,
    _health_check,
    _capabilities,
    _modes,
    _platform,
    _security,
    _hosts,
    _addresses,
    _sysctls,
    _working_dir,
    _gpus,
    _mounts,
)


def _same(given: str, back: str, where: str) -> Iterator[Failure]:
    if given != back:
        yield Failure(where, f"{given!r} is read back as {back!r}: {_AGAIN}; write {back!r}")


def _same_address(address: object, where: str) -> Iterator[Failure]:
    if isinstance(address, str) and address:
        try:
            back = str(ipaddress.ip_address(address))
        except ValueError:
            return  # refused elsewhere
        yield from _same(address, back, where)


def _objects(inputs: Inputs, key: str) -> list[dict[str, Any]]:
    value = inputs.get(key)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _texts(inputs: Inputs, key: str) -> list[str]:
    value = inputs.get(key)
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)

"""What the real Docker provider or a Docker daemon refuses although the schema allows it.

A plan that passes must not fail at `pulumi up` on something that could be known before. Each rule reads the plain
inputs of one resource and yields what is wrong; values that are not known yet are let through. What Docker
accepts but the provider reads back in another form is refused too: see `engine.docker_read_back`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeGuard

from engine.check import Failure
from engine.docker_forms import is_duration
from engine.docker_read_back import container_failures, network_failures

Inputs = Mapping[str, Any]
Rule = Callable[[Inputs], Iterator[Failure]]

# The daemon's rule for names of containers and volumes; one character is too short.
_NAME: Final = re.compile(r"^/?[a-zA-Z0-9][a-zA-Z0-9_.-]+$")
_RESTART: Final = ("no", "on-failure", "always", "unless-stopped")
_PROBES: Final = ("NONE", "CMD", "CMD-SHELL")
_MOUNTS: Final = ("bind", "volume", "tmpfs", "npipe", "cluster")
_LEAST_MEMORY_MIB: Final = 6


def docker_failures(token: str, inputs: Inputs, *, any_form: bool = False) -> Iterator[Failure]:
    """All that Docker would refuse about a resource of this type; `any_form` skips the read-back rules."""
    rules = _RULES.get(token, ())
    for rule in rules if any_form else (*rules, *_FORMS.get(token, ())):
        yield from rule(inputs)


def _name(inputs: Inputs) -> Iterator[Failure]:
    name = inputs.get("name")
    if isinstance(name, str) and not _NAME.match(name):
        yield Failure("name", f"{name!r} is no Docker name: two or more of letters, digits, _ . and -")


def _uploads(inputs: Inputs) -> Iterator[Failure]:
    uploads = _list(inputs, "uploads")
    if uploads and inputs.get("readOnly") is True:
        yield Failure("uploads", "Docker refuses uploads into a read-only root; use a loader container and a volume")
    for index, upload in enumerate(uploads):
        sources = [key for key in ("content", "contentBase64", "source") if upload.get(key) not in (None, "")]
        if len(sources) > 1:
            yield Failure(f"uploads[{index}]", f"only one of {' and '.join(sources)} can be given")


def _wait(inputs: Inputs) -> Iterator[Failure]:
    if inputs.get("wait") is True:
        if not inputs.get("healthcheck"):
            yield Failure("wait", "waits for a health that nothing reports; give it a healthcheck")
        if inputs.get("start") is False:
            yield Failure("wait", "a container that is not started never gets healthy")


def _start(inputs: Inputs) -> Iterator[Failure]:
    if inputs.get("start") is False and inputs.get("mustRun") is not False:
        yield Failure("mustRun", "start=false needs mustRun=false, or each refresh wants to start the container")


def _health_check(inputs: Inputs) -> Iterator[Failure]:
    check = inputs.get("healthcheck")
    if not isinstance(check, dict):
        return
    tests = check.get("tests")
    if isinstance(tests, list) and (not tests or (isinstance(tests[0], str) and tests[0] not in _PROBES)):
        yield Failure("healthcheck.tests", f"must start with one of {', '.join(_PROBES)}")
    for key in ("interval", "timeout", "startPeriod", "startInterval"):
        value = check.get(key)
        if isinstance(value, str) and not is_duration(value):
            yield Failure(f"healthcheck.{key}", f"{value!r} is no duration such as 5s or 1m30s")


def _limits(inputs: Inputs) -> Iterator[Failure]:
    memory, swap = inputs.get("memory"), inputs.get("memorySwap")
    if _is_number(memory) and memory < _LEAST_MEMORY_MIB:
        yield Failure("memory", f"{memory:g} MiB is under Docker's minimum of {_LEAST_MEMORY_MIB} MiB")
    if _is_number(memory) and _is_number(swap) and -1 < swap < memory:
        yield Failure("memorySwap", f"{swap:g} MiB is less than memory, which it includes ({memory:g} MiB)")
    restart = inputs.get("restart")
    if isinstance(restart, str) and restart not in _RESTART:
        yield Failure("restart", f"{restart!r} is none of {', '.join(_RESTART)}")


def _command(inputs: Inputs) -> Iterator[Failure]:
    command = inputs.get("command")
    if isinstance(command, list) and "" in command:
        yield Failure("command", "the provider refuses empty words in a command")


def _paths(inputs: Inputs) -> Iterator[Failure]:
    for index, volume in enumerate(_list(inputs, "volumes")):
        for key in ("hostPath", "containerPath"):
            yield from _absolute(volume.get(key), f"volumes[{index}].{key}")
    for index, mount in enumerate(_list(inputs, "mounts")):
        yield from _absolute(mount.get("target"), f"mounts[{index}].target")
        kind = mount.get("type")
        if isinstance(kind, str) and kind not in _MOUNTS:
            yield Failure(f"mounts[{index}].type", f"{kind!r} is none of {', '.join(_MOUNTS)}")


def _addresses(inputs: Inputs) -> Iterator[Failure]:
    for index, network in enumerate(_list(inputs, "networksAdvanced")):
        yield from _address(network.get("ipv4Address"), f"networksAdvanced[{index}].ipv4Address")
    for index, port in enumerate(_list(inputs, "ports")):
        yield from _address(port.get("ip"), f"ports[{index}].ip")
        for key in ("internal", "external"):
            number = port.get(key)
            if _is_number(number) and not 0 < number < 65536:
                yield Failure(f"ports[{index}].{key}", f"{number:g} is no port")
    for index, host in enumerate(_list(inputs, "hosts")):
        if host.get("ip") != "host-gateway":
            yield from _address(host.get("ip"), f"hosts[{index}].ip")


def _subnets(inputs: Inputs) -> Iterator[Failure]:
    for index, config in enumerate(_list(inputs, "ipamConfigs")):
        subnet, gateway = config.get("subnet"), config.get("gateway")
        where = f"ipamConfigs[{index}]"
        yield from _address(gateway, f"{where}.gateway")
        if not isinstance(subnet, str):
            continue
        try:
            network = ipaddress.ip_network(subnet)
        except ValueError as error:
            yield Failure(f"{where}.subnet", str(error))
            continue
        if isinstance(gateway, str) and not list(_address(gateway, "")) and _outside(gateway, network):
            yield Failure(f"{where}.gateway", f"{gateway} is not in {subnet}")


def _build(inputs: Inputs) -> Iterator[Failure]:
    build = inputs.get("build")
    if not isinstance(build, dict) or not isinstance(context := build.get("context", "."), str):
        return
    if "://" in context:
        return
    if not Path(context).is_dir():
        yield Failure("build.context", f"there is no folder {context}")
        return
    dockerfile = build.get("dockerfile", f"{context}/Dockerfile")
    if isinstance(dockerfile, str) and not Path(dockerfile).is_file():
        yield Failure("build.dockerfile", f"there is no file {dockerfile}")


def _list(inputs: Inputs, key: str) -> list[dict[str, Any]]:
    value = inputs.get(key)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _absolute(value: Any, where: str) -> Iterator[Failure]:
    if isinstance(value, str) and not value.startswith("/"):
        yield Failure(where, f"{value!r} is no absolute path")


def _address(value: Any, where: str) -> Iterator[Failure]:
    if isinstance(value, str) and value:
        try:
            ipaddress.ip_address(value)
        except ValueError as error:
            yield Failure(where, str(error))


def _outside(address: str, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    return ipaddress.ip_address(address) not in network


_RULES: Final[Mapping[str, tuple[Rule, ...]]] = {
    "docker:index/container:Container": (
        _name,
        _uploads,
        _wait,
        _start,
        _health_check,
        _limits,
        _paths,
        _addresses,
        _command,
    ),
    "docker:index/network:Network": (_subnets,),
    "docker:index/volume:Volume": (_name,),
    "docker:index/image:Image": (_build,),
}

_FORMS: Final[Mapping[str, tuple[Rule, ...]]] = {
    "docker:index/container:Container": (container_failures,),
    "docker:index/network:Network": (network_failures,),
}

"""The inputs of `docker.Container` in the words of Docker's API. Pure functions."""

from __future__ import annotations

import base64
import io
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from engine.check import Failure
from engine.docker_forms import capability_text, nano_cpus, nanoseconds
from lab.provider import ResourceError, Values

_MIB: Final = 1024 * 1024

_OPEN_PATHS: Final = "systempaths=unconfined"

KNOWN: Final = frozenset(
    [
        "capabilities",
        "command",
        "cpuSet",
        "cpuShares",
        "cpus",
        "destroyGraceSeconds",
        "deviceRequests",
        "dns",
        "dnsOpts",
        "dnsSearches",
        "domainname",
        "entrypoints",
        "envs",
        "groupAdds",
        "healthcheck",
        "hostname",
        "hosts",
        "image",
        "init",
        "ipcMode",
        "labels",
        "logDriver",
        "logOpts",
        "maxRetryCount",
        "memory",
        "memoryReservation",
        "memorySwap",
        "mounts",
        "mustRun",
        "name",
        "networkMode",
        "networksAdvanced",
        "pidMode",
        "platform",
        "ports",
        "privileged",
        "readOnly",
        "removeVolumes",
        "restart",
        "runtime",
        "securityOpts",
        "shmSize",
        "start",
        "stdinOpen",
        "stopSignal",
        "stopTimeout",
        "sysctls",
        "tmpfs",
        "tty",
        "ulimits",
        "uploads",
        "user",
        "volumes",
        "wait",
        "waitTimeout",
        "workingDir",
    ]
)
"""The arguments that this provider turns into something; each other one is refused."""

_NESTED: Final = {
    "healthcheck": {"tests", "interval", "timeout", "startPeriod", "startInterval", "retries"},
    "networksAdvanced": {"name", "ipv4Address", "aliases"},
    "ports": {"internal", "external", "ip", "protocol"},
    "volumes": {"containerPath", "hostPath", "volumeName", "readOnly"},
    "mounts": {"target", "source", "type", "readOnly"},
    "uploads": {"file", "content", "contentBase64", "source", "executable", "permissions", "owner", "group"},
}


def unknown(inputs: Values) -> Iterator[Failure]:
    """Arguments that would be ignored if they were let through."""
    for name, value in inputs.items():
        if name.startswith("__"):
            continue
        if name not in KNOWN:
            yield Failure(name, "the lab's docker provider has not learnt this argument of a container yet")
        for item in value if isinstance(value, list) else [value]:
            if name in _NESTED and isinstance(item, dict):
                for key in sorted(item.keys() - _NESTED[name]):
                    yield Failure(f"{name}.{key}", "the lab's docker provider has not learnt this argument yet")


def container_spec(inputs: Values) -> dict[str, Any]:
    """The body of Docker's create call, without networks, which are joined afterwards, and without devices."""
    ports = inputs.get("ports") or []
    spec = {
        "Image": inputs["image"],
        "Cmd": inputs.get("command"),
        "Entrypoint": inputs.get("entrypoints"),
        "Env": inputs.get("envs"),
        "User": inputs.get("user", ""),
        "WorkingDir": inputs.get("workingDir", ""),
        "Hostname": inputs.get("hostname", ""),
        "Domainname": inputs.get("domainname", ""),
        "Labels": {item["label"]: item["value"] for item in inputs.get("labels") or ()},
        "ExposedPorts": {_port(port): {} for port in ports},
        "Healthcheck": _health_check(inputs.get("healthcheck")),
        "StopSignal": inputs.get("stopSignal"),
        # Zero is not given, to the real provider.
        "StopTimeout": _whole(inputs.get("stopTimeout") or None),
        "Tty": bool(inputs.get("tty")),
        "OpenStdin": bool(inputs.get("stdinOpen")),
        "HostConfig": _host_config(inputs, ports),
    }
    return {key: value for key, value in spec.items() if value is not None}


def _host_config(inputs: Values, ports: Iterable[Values]) -> dict[str, Any]:
    capabilities = inputs.get("capabilities") or {}
    config = {
        "Binds": [_bind(volume) for volume in inputs.get("volumes") or ()],
        "Mounts": [_mount(mount) for mount in inputs.get("mounts") or ()],
        "Tmpfs": inputs.get("tmpfs"),
        "PortBindings": _bindings(ports),
        "ExtraHosts": [f"{host['host']}:{host['ip']}" for host in inputs.get("hosts") or ()],
        "CapAdd": _capabilities(capabilities.get("adds")),
        "CapDrop": _capabilities(capabilities.get("drops")),
        "Dns": inputs.get("dns"),
        "DnsOptions": inputs.get("dnsOpts"),
        "DnsSearch": inputs.get("dnsSearches"),
        **_security(inputs.get("securityOpts")),
        "Sysctls": inputs.get("sysctls"),
        "GroupAdd": inputs.get("groupAdds"),
        "IpcMode": inputs.get("ipcMode"),
        "PidMode": inputs.get("pidMode", ""),
        "NetworkMode": inputs.get("networkMode", "bridge"),
        "Privileged": bool(inputs.get("privileged")),
        "ReadonlyRootfs": bool(inputs.get("readOnly")),
        "Init": bool(inputs.get("init")),
        "Runtime": inputs.get("runtime"),
        "RestartPolicy": restart_policy(inputs),
        "LogConfig": {"Type": inputs.get("logDriver", ""), "Config": inputs.get("logOpts") or {}},
        "Ulimits": [
            {"Name": limit["name"], "Soft": int(limit["soft"]), "Hard": int(limit["hard"])}
            for limit in inputs.get("ulimits") or ()
        ],
        "ShmSize": _mebibytes(inputs.get("shmSize")),
        "Memory": _mebibytes(inputs.get("memory")),
        "MemorySwap": _mebibytes(inputs.get("memorySwap")),
        "MemoryReservation": _mebibytes(inputs.get("memoryReservation")),
        "CpuShares": _whole(inputs.get("cpuShares")),
        "CpusetCpus": inputs.get("cpuSet"),
        "NanoCpus": nano_cpus(inputs["cpus"]) if inputs.get("cpus") else None,
    }
    return {key: value for key, value in config.items() if value is not None}


def restart_policy(inputs: Values) -> dict[str, Any]:
    """What Docker does when the container ends."""
    return {"Name": inputs.get("restart", "no"), "MaximumRetryCount": int(inputs.get("maxRetryCount") or 0)}


def device_requests(inputs: Values) -> list[dict[str, Any]]:
    """What the create call would say of devices, in the API's words; capabilities are alternatives of sets there."""
    return [
        {
            "Driver": request.get("driver", ""),
            "Count": int(request.get("count") or 0),
            "DeviceIDs": request.get("deviceIds"),
            "Capabilities": [request["capabilities"]] if request.get("capabilities") else None,
            "Options": request.get("options") or {},
        }
        for request in inputs.get("deviceRequests") or ()
    ]


def archive(upload: Values) -> bytes:
    """One upload as the archive that Docker unpacks at the container's root."""
    if upload.get("contentBase64"):
        content = base64.b64decode(upload["contentBase64"])
    elif upload.get("source"):
        content = Path(upload["source"]).read_bytes()
    elif upload.get("content"):
        content = upload["content"].encode()
    else:
        raise ResourceError(
            "error with upload content: one of 'content', 'content_base64', or 'source' must be set "
            f"({upload['file']} is empty)"
        )
    entry = tarfile.TarInfo(upload["file"])
    entry.size = len(content)
    entry.mode = int(upload.get("permissions") or ("0744" if upload.get("executable") else "0644"), 8)
    entry.uid, entry.gid = int(upload.get("owner") or 0), int(upload.get("group") or 0)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _health_check(check: Values | None) -> dict[str, Any] | None:
    if not check:
        return None
    times = {
        "Interval": check.get("interval"),
        "Timeout": check.get("timeout"),
        "StartPeriod": check.get("startPeriod"),
        "StartInterval": check.get("startInterval"),
    }
    config = {key: nanoseconds(value) for key, value in times.items() if value}
    return {"Test": check["tests"], "Retries": int(check.get("retries") or 0), **config}


def _security(options: list[str] | None) -> dict[str, Any]:
    """The provider itself takes this one option out and does what it says (`parseSystemPaths`)."""
    if not options or _OPEN_PATHS not in options:
        return {"SecurityOpt": options}
    kept = [option for option in options if option != _OPEN_PATHS]
    return {"SecurityOpt": kept, "MaskedPaths": [], "ReadonlyPaths": []}


def _capabilities(names: list[str] | None) -> list[str] | None:
    """As the provider's client sends them."""
    return None if names is None else sorted({capability_text(name) for name in names})


def _bind(volume: Values) -> str:
    mode = ":ro" if volume.get("readOnly") else ""
    return f"{volume.get('volumeName') or volume.get('hostPath')}:{volume['containerPath']}{mode}"


def _mount(mount: Values) -> dict[str, Any]:
    return {
        "Target": mount["target"],
        "Source": mount.get("source", ""),
        "Type": mount["type"],
        "ReadOnly": bool(mount.get("readOnly")),
    }


def _port(port: Values) -> str:
    return f"{int(port['internal'])}/{port.get('protocol', 'tcp')}"


def _bindings(ports: Iterable[Values]) -> dict[str, list[dict[str, str]]]:
    bindings: dict[str, list[dict[str, str]]] = {}
    for port in ports:
        external = str(int(port["external"])) if port.get("external") else ""
        bindings.setdefault(_port(port), []).append({"HostIp": port.get("ip", "0.0.0.0"), "HostPort": external})  # noqa: S104 - the real provider's default
    return bindings


def _mebibytes(number: float | None) -> int | None:
    if number is None:
        return None
    return int(number) * _MIB if number > 0 else int(number)


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)

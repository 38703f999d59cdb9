"""The state that the real Docker provider reads back after a creation, in Pulumi's names.

After `resourceDockerContainerRead` of `internal/provider/resource_docker_container_funcs.go`, the flatten functions
of `resource_docker_container_structures.go`, `resourceDockerNetworkReadRefreshFunc` and `resourceDockerVolumeRead` of
kreuzwerker/terraform-provider-docker 4.5.0. Pure functions of Docker's inspect output and the program's inputs.
"""

from __future__ import annotations

from typing import Any, Final

from engine.docker_forms import cpus_text, duration_text
from lab.provider import Values

_MIB: Final = 1024 * 1024


def container_state(inspected: Values, given: Values) -> Values:
    """Every argument and output that a read of a container sets, and nothing else."""
    host, config, state = inspected["HostConfig"], inspected["Config"], inspected["State"]
    found: Values = {
        "name": inspected["Name"].lstrip("/"),
        "rm": host.get("AutoRemove"),
        "readOnly": host.get("ReadonlyRootfs"),
        "image": inspected["Image"] if str(given.get("image", "")).startswith("sha256:") else config["Image"],
        "hostname": config.get("Hostname"),
        "domainname": config.get("Domainname"),
        "command": config.get("Cmd"),
        "entrypoints": config.get("Entrypoint"),
        "user": config.get("User"),
        "dns": host.get("Dns"),
        "dnsOpts": host.get("DnsOptions"),
        "dnsSearches": host.get("DnsSearch"),
        "securityOpts": host.get("SecurityOpt"),
        "publishAllPorts": host.get("PublishAllPorts"),
        "restart": host["RestartPolicy"]["Name"],
        "maxRetryCount": host["RestartPolicy"].get("MaximumRetryCount"),
        "init": bool(host.get("Init")),
        "workingDir": config.get("WorkingDir"),
        "runtime": host.get("Runtime"),
        "platform": inspected.get("Platform"),
        "mounts": [_mount(mount) for mount in host.get("Mounts") or ()],
        "tmpfs": host.get("Tmpfs"),
        "hosts": [_host(text) for text in host.get("ExtraHosts") or ()],
        "privileged": host.get("Privileged"),
        "memory": _number(host, "Memory") // _MIB,
        "memoryReservation": _number(host, "MemoryReservation") // _MIB,
        "memorySwap": max(_number(host, "MemorySwap") // _MIB, -1),
        "shmSize": _number(host, "ShmSize") // _MIB,
        "cpuShares": _number(host, "CpuShares"),
        "cpuSet": host.get("CpusetCpus"),
        "logDriver": host["LogConfig"]["Type"],
        "logOpts": host["LogConfig"]["Config"] if given.get("logOpts") else None,
        "storageOpts": host.get("StorageOpt"),
        "networkMode": host.get("NetworkMode"),
        "usernsMode": host.get("UsernsMode"),
        "sysctls": host.get("Sysctls"),
        "ipcMode": host.get("IpcMode"),
        "groupAdds": host.get("GroupAdd"),
        "tty": config.get("Tty"),
        "stdinOpen": config.get("OpenStdin"),
        "stopSignal": config.get("StopSignal"),
        "stopTimeout": config.get("StopTimeout"),
        "networkDatas": _networks(inspected["NetworkSettings"]["Networks"]),
    }
    if _number(host, "NanoCpus") > 0:
        found["cpus"] = cpus_text(_number(host, "NanoCpus"))
    if host.get("CapAdd") or host.get("CapDrop"):
        found["capabilities"] = {"adds": host.get("CapAdd"), "drops": host.get("CapDrop")}
    if config.get("Healthcheck") is not None:
        found["healthcheck"] = _health_check(config["Healthcheck"])
    if given.get("ulimits"):
        found["ulimits"] = [
            {"name": limit["Name"], "soft": limit["Soft"], "hard": limit["Hard"]} for limit in host.get("Ulimits") or ()
        ]
    if given.get("pidMode"):
        found["pidMode"] = host.get("PidMode")
    if given.get("deviceRequests"):
        found["deviceRequests"] = [_device_request(request) for request in host.get("DeviceRequests") or ()]
    # One that has ended has no ports, so that starting it by `up` means replacing it.
    if given.get("ports") and (state["Running"] or given.get("mustRun", True)):
        found["ports"] = _ports(inspected["NetworkSettings"]["Ports"])
    if not state["Running"]:
        found["exitCode"] = state["ExitCode"]
        if given.get("mustRun", True):
            found["mustRun"] = False
    return found


def _number(host: Values, key: str) -> int:
    return int(host.get(key) or 0)


def network_state(inspected: Values) -> Values:
    """The same for a network."""
    return {
        "name": inspected["Name"],
        "labels": labels(inspected["Labels"]),
        "driver": inspected["Driver"],
        "internal": inspected["Internal"],
        "attachable": inspected["Attachable"],
        "ingress": inspected["Ingress"],
        "ipv6": inspected["EnableIPv6"],
        "ipamDriver": inspected["IPAM"]["Driver"],
        "ipamOptions": inspected["IPAM"]["Options"],
        "scope": inspected["Scope"],
        "options": inspected["Options"],
        "ipamConfigs": [_pool(pool) for pool in inspected["IPAM"]["Config"] or ()],
    }


def volume_state(inspected: Values) -> Values:
    """The same for a volume."""
    return {
        "name": inspected["Name"],
        "labels": labels(inspected["Labels"]),
        "driver": inspected["Driver"],
        "driverOpts": inspected["Options"],
        "mountpoint": inspected["Mountpoint"],
    }


def labels(found: dict[str, str] | None) -> list[dict[str, str]]:
    """Labels as a program writes them."""
    return [{"label": key, "value": value} for key, value in sorted((found or {}).items())]


def _health_check(check: dict[str, Any]) -> Values:
    return {
        "tests": check.get("Test"),
        "interval": duration_text(check.get("Interval", 0)),
        "timeout": duration_text(check.get("Timeout", 0)),
        "startPeriod": duration_text(check.get("StartPeriod", 0)),
        "startInterval": duration_text(check.get("StartInterval", 0)),
        "retries": check.get("Retries", 0),
    }


def _host(text: str) -> Values:
    name, address, *_ = text.split(":")
    return {"host": name, "ip": address}


def _mount(mount: dict[str, Any]) -> Values:
    return {
        "target": mount["Target"],
        "source": mount.get("Source", ""),
        "type": mount["Type"],
        "readOnly": mount.get("ReadOnly", False),
    }


def _device_request(request: dict[str, Any]) -> Values:
    found: Values = {"driver": request["Driver"], "count": request["Count"]}
    if request.get("DeviceIDs"):
        found["deviceIds"] = request["DeviceIDs"]
    if request.get("Capabilities") and request["Capabilities"][0]:
        found["capabilities"] = request["Capabilities"][0]
    if request.get("Options"):
        found["options"] = request["Options"]
    return found


def _ports(ports: dict[str, list[dict[str, str]] | None] | None) -> list[Values]:
    return [
        {
            "internal": int(key.partition("/")[0]),
            "external": int(binding["HostPort"]),
            "ip": binding["HostIp"],
            "protocol": key.partition("/")[2],
        }
        for key, bindings in sorted((ports or {}).items(), key=lambda item: int(item[0].partition("/")[0]))
        for binding in bindings or ()
    ]


def _networks(networks: dict[str, dict[str, Any]]) -> list[Values]:
    return [
        {"networkName": name, "ipAddress": network["IPAddress"], "gateway": network["Gateway"]}
        for name, network in sorted(networks.items())
    ]


def _pool(pool: dict[str, Any]) -> Values:
    words = {"subnet": "Subnet", "ipRange": "IPRange", "gateway": "Gateway", "auxAddress": "AuxiliaryAddresses"}
    return {key: pool[word] for key, word in words.items() if pool.get(word)}

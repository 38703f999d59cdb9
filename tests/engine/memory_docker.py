# ruff: noqa: ARG002 - the signatures are those of docker-py
"""An in-memory Docker behind the lab's providers, to run `up` of the whole program without a daemon.

A stand-in. It answers inspect calls as Docker does for what it was asked to make, with what moby adds by itself:
twice the memory where no swap is given, 64 MiB of shared memory, an IPC mode, a hostname, and the image's health
check for what is missing (`adaptContainerSettings` of daemon/daemon_unix.go, `merge` of daemon/commit.go, moby 28.5).
Each image has a health check here. Run as a module it serves the lab's providers on it, as `lab.providers` does.
"""

from __future__ import annotations

import copy
import hashlib
import itertools
import threading
from typing import Any, Final

from docker.errors import NotFound

from lab import docker_client, providers

_CHECK: Final = {"Interval": 60 * 10**9, "Timeout": 10**10, "StartPeriod": 5 * 10**9, "Retries": 10}
_LOG: Final = {"max-size": "10m", "max-file": "3"}


class MemoryDocker:
    """The calls of docker-py that the lab's provider makes."""

    api_version = "1.48"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._number = itertools.count()
        self.containers: dict[str, dict[str, Any]] = {}
        self.networks: dict[str, dict[str, Any]] = {}
        self.volumes: dict[str, dict[str, Any]] = {}

    def _id(self) -> str:
        return hashlib.sha256(str(next(self._number)).encode()).hexdigest()

    def inspect_image(self, name: str) -> dict[str, Any]:
        if name.startswith("sha256:"):
            return {"Id": name}
        return {"Id": "sha256:" + hashlib.sha256(name.encode()).hexdigest()}

    def create_container_from_config(
        self, spec: dict[str, Any], name: str, platform: str | None = None
    ) -> dict[str, Any]:
        spec = copy.deepcopy(spec)
        host, identifier = spec.pop("HostConfig"), self._id()
        check = spec.get("Healthcheck") or {"Test": ["CMD", "true"]}
        check = {**check, **{key: value for key, value in _CHECK.items() if not check.get(key)}}
        log = host["LogConfig"]
        host |= {
            "MemorySwap": host.get("MemorySwap") or 2 * host.get("Memory", 0),
            "ShmSize": host.get("ShmSize") or 64 << 20,
            "IpcMode": host.get("IpcMode") or "private",
            "Runtime": host.get("Runtime") or "runc",
            "LogConfig": {"Type": log["Type"] or "json-file", "Config": {**_LOG, **log["Config"]}},
        }
        config = {**spec, "Hostname": spec.get("Hostname") or identifier[:12], "Healthcheck": check}
        with self._lock:
            self.containers[identifier] = {
                "Id": identifier,
                "Name": f"/{name}",
                "Image": spec["Image"],
                "Platform": "linux",
                "Config": config,
                "HostConfig": host,
                "State": {"Running": False, "ExitCode": 0, "Health": {"Status": "healthy"}},
                "NetworkSettings": {"Networks": {}, "Ports": host["PortBindings"]},
            }
        return {"Id": identifier}

    def inspect_container(self, identifier: str) -> dict[str, Any]:
        return copy.deepcopy(self._there(self.containers, identifier))

    def disconnect_container_from_network(self, identifier: str, network: str) -> None:
        pass

    def connect_container_to_network(self, identifier: str, network: str, **options: Any) -> None:
        address = options.get("ipv4_address") or ""
        networks = self._there(self.containers, identifier)["NetworkSettings"]["Networks"]
        networks[network] = {"IPAddress": address, "Gateway": ""}

    def put_archive(self, identifier: str, path: str, data: bytes) -> bool:
        return bool(self._there(self.containers, identifier))

    def start(self, identifier: str) -> None:
        self._there(self.containers, identifier)["State"]["Running"] = True

    def stop(self, identifier: str, timeout: int = 0) -> None:
        self._there(self.containers, identifier)["State"]["Running"] = False

    def update_container(self, identifier: str, **limits: Any) -> None:
        host = self._there(self.containers, identifier)["HostConfig"]
        words = {"mem_limit": "Memory", "memswap_limit": "MemorySwap", "cpu_shares": "CpuShares"}
        host |= {word: limits[key] for key, word in words.items() if limits.get(key)}

    def remove_container(self, identifier: str, **_: Any) -> None:
        self._there(self.containers, identifier)
        del self.containers[identifier]

    def create_network(self, name: str, **options: Any) -> dict[str, Any]:
        identifier = self._id()
        pools = [dict(pool) for pool in (options.get("ipam") or {}).get("Config") or ()]
        isolated = options.get("internal") and "com.docker.network.bridge.inhibit_ipv4" in (options["options"] or {})
        for pool in pools:
            if not isolated:  # as Docker 29 shows what it chose; the first address stands for it
                pool.setdefault("Gateway", pool["Subnet"].rpartition(".")[0] + ".1")
        self.networks[identifier] = {
            "Id": identifier,
            "Name": name,
            "Driver": options["driver"],
            "Internal": bool(options.get("internal")),
            "Attachable": False,
            "Ingress": False,
            "EnableIPv6": False,
            "Scope": "local",
            "Labels": options.get("labels"),
            "Options": options.get("options") or {},
            "IPAM": {"Driver": "default", "Options": None, "Config": pools},
        }
        return {"Id": identifier}

    def inspect_network(self, identifier: str) -> dict[str, Any]:
        return copy.deepcopy(self._there(self.networks, identifier))

    def remove_network(self, identifier: str) -> None:
        del self.networks[identifier]

    def create_volume(self, name: str, **options: Any) -> dict[str, Any]:
        self.volumes[name] = {
            "Name": name,
            "Driver": options["driver"],
            "Options": options.get("driver_opts"),
            "Labels": options.get("labels"),
            "Mountpoint": f"/{name}",
        }
        return self.volumes[name]

    def inspect_volume(self, name: str) -> dict[str, Any]:
        return copy.deepcopy(self._there(self.volumes, name))

    def remove_volume(self, name: str) -> None:
        del self.volumes[name]

    def _there(self, where: dict[str, dict[str, Any]], identifier: str) -> dict[str, Any]:
        if identifier not in where:
            raise NotFound(f"no such thing: {identifier}")
        return where[identifier]


def main() -> None:
    """Serve."""
    daemons: dict[str, MemoryDocker] = {}
    lock = threading.Lock()

    def client(host: str) -> MemoryDocker:
        with lock:
            return daemons.setdefault(host, MemoryDocker())

    docker_client._client = client  # type: ignore[assignment]
    providers.main()


if __name__ == "__main__":
    main()

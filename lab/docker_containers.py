"""`docker.Container` on a real daemon, as the real provider does it step by step."""
# ruff: noqa: ARG002 - the signatures are those of `Resource`

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, Final

from docker.utils import version_lt

from engine.check import Failure
from lab.docker_client import connect, found, removed, saying
from lab.docker_schema import CONTAINER
from lab.docker_spec import archive, container_spec, device_requests, restart_policy, unknown
from lab.docker_state import container_state
from lab.machine import highest
from lab.provider import InitFailedError, Resource, ResourceError, Values

_MIB: Final = 1024 * 1024
_START_INTERVAL: Final = "1.44"
"""The API version, Docker 25's, that knows how to look more often while a container starts."""
_NOT_HEALTHY: Final = "container failed to be in healthy state"
_RECORDS: Final = threading.Lock()


class Container(Resource):
    """Created, joined to its networks, filled with its uploads, started, and waited for."""

    in_place: ClassVar[frozenset[str]] = CONTAINER.in_place
    arguments: ClassVar[frozenset[str]] = CONTAINER.arguments
    computed: ClassVar[frozenset[str]] = CONTAINER.computed
    deletes_first: ClassVar[bool] = True
    named: ClassVar[str] = "name"

    def check(self, inputs: Values) -> Iterable[Failure]:
        """What this provider would have to ignore."""
        return unknown(inputs)

    def changes(self, olds: Values, news: Values, state: Values) -> list[str]:
        """The arguments that differ from what was read back, which may differ from what was requested."""
        return list(CONTAINER.changes(state, news))

    def same(self, name: str, one: Any, other: Any) -> bool:
        """As the real provider compares."""
        return CONTAINER.same(name, one, other)

    def create(self, config: Values, inputs: Values) -> tuple[str, Values]:
        """As the real provider: one failed half-way is left for the next `up` to find by its name."""
        client = connect(config)
        if found(lambda: client.inspect_image(inputs["image"])) is None:
            raise ResourceError(f"Unable to create container with image {inputs['image']}: there is no such image")
        _refuse_too_new(client, inputs)
        spec, requests = _possible(container_spec(inputs)), device_requests(inputs)
        if requests and asking_file(Path(config["folder"]), config["host"]).exists():
            spec["HostConfig"]["DeviceRequests"] = requests
        with saying("Unable to create container"):
            made = client.create_container_from_config(spec, inputs["name"], inputs.get("platform"))
        identifier = str(made["Id"])
        record_devices(config, inputs["name"], requests)
        try:
            _join(client, identifier, inputs)
            for upload in inputs.get("uploads") or ():
                with saying("Unable to upload volume content"):
                    client.put_archive(identifier, "/", archive(upload))
            if inputs.get("start", True):
                _start(client, identifier, inputs)
        except ResourceError as error:
            # Nothing has been read back then: the state is what was planned.
            raise InitFailedError(identifier, {}, str(error)) from error
        return identifier, _read(client, identifier, inputs)

    def read(self, config: Values, identifier: str, inputs: Values, outputs: Values) -> tuple[Values, Values] | None:
        """The container's current state, in the provider's form."""
        client = connect(config)
        state = found(lambda: client.inspect_container(identifier))
        if state is None:
            return None
        if not inputs:
            return _imported(state), container_state(state, {})
        now = _as_asked(container_state(state, outputs | inputs), state, inputs)
        differs = {key: now[key] for key in now.keys() & inputs.keys() if not self.same(key, inputs[key], now[key])}
        return inputs | differs, now

    def update(self, config: Values, identifier: str, olds: Values, news: Values) -> Values:
        """Limits and restart policy; a container that has to run again is started.

        Health check, init and tmpfs are no reason for the real provider to replace a container, nor does it change
        them: it notes them, and that is all. It reads nothing back either. The same happens here, so that a test can
        find it out.
        """
        client = connect(config)
        limits = {
            "cpu_shares": int(news["cpuShares"]) if news.get("cpuShares") else None,
            "cpuset_cpus": news.get("cpuSet"),
            "mem_limit": int(news["memory"]) * _MIB if news.get("memory") else None,
            "memswap_limit": int(news["memorySwap"]) * _MIB if news.get("memorySwap", 0) > 0 else None,
            "restart_policy": restart_policy(news),
        }
        with saying("Unable to update a container"):
            client.update_container(identifier, **limits)
        if olds.get("mustRun") is False and news.get("mustRun", True) and news.get("start", True):
            with saying("Unable to start container"):
                client.start(identifier)
        return {}

    def delete(self, config: Values, identifier: str, inputs: Values, outputs: Values) -> None:
        """Asked to end for `destroyGraceSeconds`, then removed with its anonymous volumes."""
        client = connect(config)
        grace = int(inputs.get("destroyGraceSeconds") or 0)
        with saying(f"Error stopping container {identifier}"):
            found(lambda: client.stop(identifier, timeout=grace))
        with_volumes = inputs.get("removeVolumes", True)
        removed(
            lambda: client.remove_container(identifier, v=with_volumes, force=True),
            f"Error deleting container {identifier}",
        )
        record_devices(config, inputs["name"], [])


def _refuse_too_new(client: Any, inputs: Values) -> None:
    """What the real provider's client does not ask of an older daemon, in its words; the daemon would ignore it."""
    version = str(client.api_version)
    if (inputs.get("healthcheck") or {}).get("startInterval") and version_lt(version, _START_INTERVAL):
        raise ResourceError(
            'Unable to create container: "specify health-check start interval" requires API version '
            f"{_START_INTERVAL}, but the Docker daemon API version is {version}"
        )


def _possible(spec: dict[str, Any]) -> dict[str, Any]:
    """The lab's own exception: limits no higher than this machine lets be set."""
    host = spec["HostConfig"]
    for limit in host.get("Ulimits", ()):
        most = highest(limit["Name"])
        if most is not None:
            limit["Soft"], limit["Hard"] = min(limit["Soft"], most), min(limit["Hard"], most)
    return spec


def record_devices(config: Values, name: str, requests: list[dict[str, Any]]) -> None:
    """Note what was asked of devices: the lab has none, so that Docker is not asked."""
    path = devices_file(Path(config["folder"]), config["host"])
    with _RECORDS:
        noted = json.loads(path.read_text()) if path.exists() else {}
        noted.pop(name, None)
        if requests:
            noted[name] = requests
        path.write_text(json.dumps(noted, indent=2))


def devices_file(folder: Path, host: str) -> Path:
    """Where the device requests of a daemon's containers are noted, by container."""
    return folder / f"devices-{Path(host).parent.name}.json"


def asking_file(folder: Path, host: str) -> Path:
    """While this file is there, the daemon is asked for devices all the same.

    It then refuses as on a host without toolkit or driver, in its own words.
    """
    return folder / f"ask-for-devices-{Path(host).parent.name}"


def _join(client: Any, identifier: str, inputs: Values) -> None:
    networks = inputs.get("networksAdvanced") or []
    if networks:
        with saying("Unable to disconnect the default network"):
            client.disconnect_container_from_network(identifier, "bridge")
    # The real provider knows a set here, so that the order of the program means nothing.
    for network in sorted(networks, key=lambda network: str(network["name"])):
        with saying(f"Unable to connect to network '{network['name']}'"):
            client.connect_container_to_network(
                identifier, network["name"], ipv4_address=network.get("ipv4Address"), aliases=network.get("aliases")
            )


def _start(client: Any, identifier: str, inputs: Values) -> None:
    with saying("Unable to start container"):
        client.start(identifier)
    if inputs.get("wait"):
        _await_health(client, identifier, int(inputs.get("waitTimeout") or 60))
    elif inputs.get("mustRun", True) and not client.inspect_container(identifier)["State"]["Running"]:
        raise ResourceError("container exited immediately")


def _await_health(client: Any, identifier: str, seconds: int) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if client.inspect_container(identifier)["State"].get("Health", {}).get("Status") == "healthy":
            return
        time.sleep(0.5)
    raise ResourceError(_NOT_HEALTHY)


def _read(client: Any, identifier: str, inputs: Values) -> Values:
    state = client.inspect_container(identifier)
    return CONTAINER.after_create(inputs, _as_asked(container_state(state, inputs), state, inputs))


def _as_asked(now: Values, state: dict[str, Any], inputs: Values) -> Values:
    """Apply the lab's exceptions: lowered ulimits and omitted device requests count as requested."""
    if not state["HostConfig"].get("DeviceRequests"):
        now.pop("deviceRequests", None)
    if "ulimits" in now and inputs.get("ulimits"):
        lowered = {limit["Name"]: limit for limit in _possible(container_spec(inputs))["HostConfig"]["Ulimits"]}
        there = {limit["name"]: limit for limit in now["ulimits"]}
        if all(_limit(there.get(name)) == _limit(limit) for name, limit in lowered.items()) and len(there) == len(
            lowered
        ):
            now["ulimits"] = inputs["ulimits"]
    return now


def _limit(limit: dict[str, Any] | None) -> list[int]:
    return [int(limit[key]) for key in sorted(limit) if key.lower() != "name"] if limit else []


def _imported(state: dict[str, Any]) -> Values:
    """The inputs that an import finds; others have to be in the program and show in its first plan."""
    host, config = state["HostConfig"], state["Config"]
    return {
        "name": state["Name"].lstrip("/"),
        "image": state["Image"],
        "command": config["Cmd"],
        "entrypoints": config["Entrypoint"],
        "user": config["User"] or None,
        "memory": host["Memory"] // _MIB or None,
        "restart": host["RestartPolicy"]["Name"],
        "readOnly": host["ReadonlyRootfs"],
        "labels": [{"label": key, "value": value} for key, value in sorted((config["Labels"] or {}).items())],
    }

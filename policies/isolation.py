"""Nothing of the host inside a container: no privileges, namespaces, devices or Docker socket."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from policies.subject import CONTAINER, subject
from policies.values import Props, Unknown, finding, listed, show
from topology.model import Rule

# What a container has when nothing is said, or less.
_NAMESPACES: Final = {
    "networkMode": (None, "none", "bridge", "default"),
    "pidMode": (None, ""),
    "ipcMode": (None, "", "private", "none"),
    "usernsMode": (None, ""),
    "cgroupnsMode": (None, "", "private"),
}
_OTHER_PROGRAMS: Final = ("docker:index/service:Service", "docker:index/plugin:Plugin")
_SOCKETS: Final = ("docker.sock", "containerd.sock", "podman.sock", "crio.sock")
_SOCKET_FOLDERS: Final = ("/", "/run", "/var/run", "/var", "/run/containerd")
_LEAST_FOREIGN_ID: Final = 60000
"""Users and groups from this id on are in no group that may use Docker's socket: Debian gives people and packaged
services lower ids."""
_UNCONFINED: Final = ("seccomp=unconfined", "apparmor=unconfined", "label=disable", "systempaths=unconfined")
_NO_NEW_PRIVILEGES: Final = "no-new-privileges=true"


def only_containers(type_: str, props: Props) -> Iterator[str]:
    """No other kind of resource runs programs on a node: these rules would not see it."""
    if type_ in _OTHER_PROGRAMS:
        what = f"a docker.{type_.rpartition(':')[2]} runs programs past the rules on containers"
        yield finding(show(props.get("name")), what, "make it a docker.Container of a Pod")


def not_privileged(type_: str, props: Props) -> Iterator[str]:
    """Not privileged, no devices of the host."""
    if type_ != CONTAINER:
        return
    name = subject(props).name
    if props.get("privileged") not in (None, False):
        yield finding(
            name,
            f"privileged is {show(props['privileged'])}",
            "leave it out; a capability that is really needed goes into the topology as a waiver with its reason",
        )
    for key in ("devices", "deviceCgroupRules"):
        if listed(props, key):
            yield finding(name, f"{key} opens devices of the host", "leave it out; GPUs come by device_requests")


def no_host_namespace(type_: str, props: Props) -> Iterator[str]:
    """All namespaces are the container's own."""
    if type_ != CONTAINER:
        return
    name = subject(props).name
    for key, allowed in _NAMESPACES.items():
        value = props.get(key)
        if value not in allowed:
            yield finding(
                name,
                f"{key} is {show(value)}, a namespace of the host or of another container",
                f"leave {key} out"
                + ("; join networks by networks_advanced" if key == "networkMode" else "")
                + ("; set shm_size where shared memory is short" if key == "ipcMode" else ""),
            )


def no_docker_socket(type_: str, props: Props) -> Iterator[str]:
    """The socket of the container engine is root on the host."""
    if type_ != CONTAINER:
        return
    for path in (*host_paths(props), *targets(props)):
        if isinstance(path, Unknown):
            continue  # refused by the rule on host mounts, which asks for plain paths
        folder = path.rstrip("/") or "/"
        if folder == "/" and _reads_as_nobody(props):
            continue
        if folder.endswith(_SOCKETS) or (folder in _SOCKET_FOLDERS and path in host_paths(props)):
            yield finding(
                subject(props).name,
                f"it mounts {path}, by which it would command the container engine",
                "take the mount out; logs are read from files, and health from the proxies",
            )


def _reads_as_nobody(props: Props) -> bool:
    """Whether the container can only read what any user of the host may read, and so cannot open Docker's socket.

    An exporter that measures the host's disks has to see where they are mounted. Only root and the group `docker` may
    connect to Docker's socket: a container with another user and group and without capabilities sees it and cannot use
    it. Sockets that are open to every user of the host stay open to it.
    """
    user, _, group = str(props.get("user") or "0").partition(":")
    capabilities = props.get("capabilities") or {}
    roots = [volume for volume in listed(props, "volumes") if volume.get("hostPath") == "/"]
    return (
        user.isdecimal()
        and group.isdecimal()
        and min(int(user), int(group)) >= _LEAST_FOREIGN_ID
        and not props.get("groupAdds")
        and "ALL" in listed(capabilities, "drops")
        and not listed(capabilities, "adds")
        and bool(roots)
        and not any(mount.get("source") == "/" for mount in listed(props, "mounts"))
        and all(volume.get("readOnly") is True for volume in roots)
    )


def host_paths(props: Props) -> list[Any]:
    """Paths of the host that a container mounts."""
    volumes = [volume.get("hostPath") for volume in listed(props, "volumes")]
    mounts = [mount.get("source") for mount in listed(props, "mounts") if mount.get("type") not in ("volume", "tmpfs")]
    return [path for path in (*volumes, *mounts) if path]


def targets(props: Props) -> list[Any]:
    """Where a container sees what it mounts."""
    volumes = [volume.get("containerPath") for volume in listed(props, "volumes")]
    mounts = [mount.get("target") for mount in listed(props, "mounts")]
    return [path for path in (*volumes, *mounts) if path]


def few_capabilities(type_: str, props: Props) -> Iterator[str]:
    """All capabilities dropped, and those added that the topology waives for this very service."""
    if type_ != CONTAINER:
        return
    it = subject(props)
    capabilities = props.get("capabilities") or {}
    if "ALL" not in listed(capabilities, "drops"):
        yield finding(it.name, "it does not drop all capabilities", 'set capabilities drops=["ALL"]')
    granted = it.waived(Rule.CAPABILITY)
    for added in listed(capabilities, "adds"):
        if not isinstance(added, str) or added.upper().removeprefix("CAP_") not in granted:
            yield finding(
                it.name,
                f"it adds the capability {show(added)}",
                "take it out, or give the service a Waiver(rule=Rule.CAPABILITY) with the reason in topology/",
            )


def no_new_privileges(type_: str, props: Props) -> Iterator[str]:
    """A set-uid program gains nothing, and no confinement is switched off."""
    if type_ != CONTAINER:
        return
    it = subject(props)
    options = listed(props, "securityOpts")
    if _NO_NEW_PRIVILEGES not in options:
        fix = f'set security_opts=["{_NO_NEW_PRIVILEGES}"]'
        yield finding(it.name, f"security_opts lack {_NO_NEW_PRIVILEGES}", fix)
    for option in options:
        if not isinstance(option, str) or option.replace(":", "=") in _UNCONFINED:
            yield finding(it.name, f"security_opts hold {show(option)}", "take it out and keep Docker's confinement")

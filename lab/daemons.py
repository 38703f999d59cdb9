"""The Docker daemon of a node: a real one, with its own containerd, in the node's network namespace."""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from lab import docker_root, link, processes, resolver
from lab.machine import LabError, in_namespace
from lab.places import PREFIX, Node

_START_SECONDS: Final = 60


def start_daemons(node: Node, *, gvisor: bool = True) -> None:
    """Start containerd, then dockerd, and return when Docker answers. Without `gvisor` Docker knows no such runtime."""
    usr = docker_root.install(node.folder)
    for folder in (node.run, node.docker_root):
        folder.mkdir(parents=True, exist_ok=True)
    if not processes.alive(_containerd_pid(node)):
        _clean_sockets(node)
        _write_containerd(node)
        processes.start(
            in_namespace(
                node.namespace,
                *docker_root.apart(usr, *_programs(node), "containerd", "--config", str(node.run / "containerd.toml")),
            ),
            _containerd_pid(node),
            _log(node, "containerd"),
        )
    _await(node, "containerd", _containerd_socket(node))
    if not processes.alive(_dockerd_pid(node)):
        _write_daemon_json(node, gvisor=gvisor)
        (node.run / "dockerd-own.pid").unlink(missing_ok=True)
        processes.start(
            # In containerd's mount namespace: a container's shim must see what dockerd mounts for it.
            in_namespace(
                node.namespace,
                *docker_root.beside(int(_containerd_pid(node).read_text()), *_programs(node)),
                *("dockerd", "--config-file", str(node.run / "daemon.json")),
            ),
            _dockerd_pid(node),
            _log(node, "dockerd"),
        )
    if not processes.wait_until(lambda: answers(node), _START_SECONDS, every=0.1):
        raise LabError(f"Docker on {node.name} does not answer; the end of its log:\n{_tail(_log(node, 'dockerd'))}")


def stop_daemons(node: Node) -> None:
    """Stop dockerd, then containerd. Containers run on, as the daemon's live-restore has it."""
    processes.stop(_dockerd_pid(node))
    processes.stop(_containerd_pid(node))


def restart_docker(node: Node, *, gvisor: bool = True) -> None:
    """Restart dockerd alone."""
    processes.stop(_dockerd_pid(node))
    start_daemons(node, gvisor=gvisor)


def crash(node: Node) -> None:
    """End everything that runs on a node at once, as a power cut does; files stay as they are."""
    for _ in range(5):
        pids = [*processes.mentioning(node.run), *processes.in_cgroup(cgroup(node))]
        if not pids:
            break
        processes.kill(pids)
    for pid_file in (_dockerd_pid(node), _containerd_pid(node)):
        pid_file.unlink(missing_ok=True)
    processes.remove_cgroups(cgroup(node))


def boot(node: Node) -> None:
    """Start a node after a crash. Of what Docker had made in the kernel a power cut leaves nothing."""
    link.forget_docker(node)
    start_daemons(node)
    resolver.start_resolver(node)


def host_programs(node: Node) -> Path:
    """A folder of programs that only this host has: its Docker looks there first."""
    return node.run / "bin"


def cgroup(node: Node) -> str:
    """Above the cgroups of all containers of a node."""
    return f"/{PREFIX}-{node.name}"


def alive(node: Node) -> bool:
    """Whether both daemons of a node run; on a busy machine one may take its time to answer."""
    return processes.alive(_dockerd_pid(node)) and processes.alive(_containerd_pid(node))


def answers(node: Node) -> bool:
    """Whether the node's Docker answers."""
    try:
        with socket.socket(socket.AF_UNIX) as daemon:
            daemon.settimeout(10)
            daemon.connect(str(node.socket))
            daemon.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
            return b" 200 " in daemon.recv(100)
    except OSError:
        return False


def _programs(node: Node) -> Sequence[str]:
    """Prefix of a command: sets PATH so that programs are found as on the node's host."""
    return ("env", f"PATH={host_programs(node)}:{docker_root.PATH}")


def _containerd_socket(node: Node) -> Path:
    return node.run / "containerd.sock"


def _containerd_pid(node: Node) -> Path:
    return node.run / "containerd.pid"


def _dockerd_pid(node: Node) -> Path:
    return node.run / "dockerd.pid"


def _log(node: Node, program: str) -> Path:
    return node.folder / node.name / f"{program}.log"


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:]) if log.exists() else "(there is none)"


def _await(node: Node, program: str, socket: Path) -> None:
    if not processes.wait_until(socket.exists, _START_SECONDS):
        raise LabError(f"{program} on {node.name} did not start; its log:\n{_tail(_log(node, program))}")


def _clean_sockets(node: Node) -> None:
    """Sockets that a crash left behind answer nobody and are taken for live ones."""
    for path in (_containerd_socket(node), node.run / "containerd.sock.ttrpc", node.socket):
        path.unlink(missing_ok=True)


def _write_containerd(node: Node) -> None:
    lines = [
        "version = 2",
        f'root = "{node.folder / node.name / "containerd"}"',
        f'state = "{node.run / "containerd"}"',
        # Docker needs none of Kubernetes' part, and two of them would fight for one port.
        'disabled_plugins = ["io.containerd.grpc.v1.cri"]',
        "[grpc]",
        f'address = "{_containerd_socket(node)}"',
    ]
    (node.run / "containerd.toml").write_text("\n".join(lines) + "\n")


def _write_daemon_json(node: Node, *, gvisor: bool) -> None:
    """The daemon's settings: those of a prepared host, and what keeps two daemons on one machine apart."""
    settings = {
        "data-root": str(node.docker_root),
        "live-restore": True,
        "log-driver": "json-file",
        "log-opts": {"max-size": "10m", "max-file": "3"},
        "runtimes": {"runsc": {"path": "/usr/bin/runsc"}} if gvisor else {},
        "hosts": [node.host],
        "dns": [node.address],
        "exec-root": str(node.run / "exec"),
        "pidfile": str(node.run / "dockerd-own.pid"),
        "containerd": str(_containerd_socket(node)),
        "cgroup-parent": cgroup(node),
        "exec-opts": ["native.cgroupdriver=cgroupfs"],
        "storage-driver": "overlay2",
    }
    (node.run / "daemon.json").write_text(json.dumps(settings, indent=2))

"""Where the measurements are made: pods of the running lab, and a server that is put in an app's place."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import docker

from engine.root import CHECKOUT
from lab.machine import LabError, in_namespace
from lab.places import Node

PREFIX: Final = "agentic-mesh"
STAND_IN: Final = f"{PREFIX}-bench"
DIRECT_PORT: Final = 18999
BODY: Final = 1024
"""Bytes of an answer."""


@dataclass
class Lab:
    """Both nodes and their Docker."""

    nodes: Mapping[str, Node]
    clients: dict[str, Any] = field(default_factory=dict)

    def docker(self, node: str) -> Any:
        """The node's daemon."""
        if node not in self.clients:
            self.clients[node] = docker.APIClient(base_url=self.nodes[node].host, timeout=120)
        return self.clients[node]

    def state(self, node: str, container: str) -> Any:
        """What Docker knows of a container."""
        return self.docker(node).inspect_container(container)

    def pid(self, node: str, container: str) -> int:
        """Of its first process."""
        pid = int(self.state(node, container)["State"]["Pid"])
        if not pid:
            raise LabError(f"{container} does not run on {node}\n  fix: make lab")
        return pid

    def address(self, node: str, container: str, network: str) -> str:
        """Of a container in a network."""
        return str(self.state(node, container)["NetworkSettings"]["Networks"][network]["IPAddress"])

    def sidecar(self, node: str, service: str) -> str:
        """Where an app finds its own proxy."""
        return self.address(node, f"{PREFIX}-{service}-proxy", pod(service))

    def inside(self, node: str, container: str, *command: str) -> Sequence[str]:
        """A command in the network of a container."""
        return ("nsenter", f"--target={self.pid(node, container)}", "--net", *command)

    def on(self, node: str, *command: str) -> Sequence[str]:
        """A command in a node's own network."""
        return in_namespace(self.nodes[node].namespace, *command)

    def envoys(self, node: str) -> dict[str, int]:
        """Process ids of a node's proxies, by container."""
        found = {}
        for listed in self.docker(node).containers(filters={"label": "agentic-mesh.part"}):
            if listed["Labels"]["agentic-mesh.part"] in ("proxy", "gateway"):
                name = listed["Names"][0].lstrip("/")
                found[name] = _child(self.pid(node, name))
        return found


def _child(init: int) -> int:
    """The program below Docker's init."""
    children = Path(f"/proc/{init}/task/{init}/children").read_text().split()
    return int(children[0]) if children else init


def pod(service: str) -> str:
    """The network of a pod."""
    return f"{PREFIX}-pod-{service}"


def nginx_config(folder: Path, addresses: Sequence[str]) -> str:
    """Answers anything with 1 KB, so that the way is measured and not the server."""
    listens = "\n".join(f"    listen {address};" for address in addresses)
    return f"""\
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
worker_processes 1;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  keepalive_timeout 3600s;
  keepalive_requests 100000000;
  server {{
{listens}
    location / {{ return 200 "{"x" * BODY}"; }}
  }}
}}
"""


ON_THE_WAY: Final[Mapping[str, frozenset[str]]] = {
    "oracle1": frozenset({"litellm-proxy", "gateway"}),
    "thanos": frozenset({"vllm", "vllm-proxy", "blackbox-exporter-proxy", "gateway"}),
}
"""Of the calls that are measured, from LiteLLM's pod to vLLM across the nodes, and from the prober's on one."""


@contextlib.contextmanager
def others_paused(lab: Lab) -> Iterator[None]:
    """Pause what is not on the way: on their own machines 39 pods would not take turns on these few cores."""
    paused: list[tuple[str, str]] = []
    try:
        for node in lab.nodes:
            client = lab.docker(node)
            for listed in client.containers(filters={"label": "agentic-mesh.part", "status": "running"}):
                name = listed["Names"][0].lstrip("/")
                if name.removeprefix(f"{PREFIX}-") not in ON_THE_WAY[node]:
                    client.pause(name)
                    paused.append((node, name))
        yield
    finally:
        for node, name in reversed(paused):
            lab.docker(node).unpause(name)


@contextlib.contextmanager
def docker_halted(lab: Lab) -> Iterator[None]:
    """Stop both daemons, containers run on: Debian's old one starts a shell for each proxy every three seconds.

    On a prepared host, with a newer Docker, it is every thirty.
    """
    pids = [int((node.run / "dockerd-own.pid").read_text()) for node in lab.nodes.values()]
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def in_place_of(lab: Lab, node: str, service: str, port: int, server: str) -> Iterator[None]:
    """Stop a service's app and let `server` (`nginx`, or `sse`) answer in its place and at a published port.

    The proxies stay as they are. The stand-in is a container that sleeps, with the app's network and address, and the
    server runs in it. A second one, published as people without a mesh would do it, is the direct way.
    """
    app = f"{PREFIX}-{service}"
    client = lab.docker(node)
    address = lab.address(node, app, pod(service))
    image = lab.state(node, app)["Image"]
    client.stop(app, timeout=5)
    with contextlib.ExitStack() as stack:
        stack.callback(client.start, app)
        pod_config = {pod(service): client.create_endpoint_config(ipv4_address=address)}
        # The app keeps its address while it is stopped only in its own record; it gets it back at its start.
        sleeper = _sleeper(stack, lab, node, f"{STAND_IN}-pod", image, pod(service), pod_config, {})
        direct = _sleeper(
            stack, lab, node, f"{STAND_IN}-direct", image, "bridge", {}, {port: (lab.nodes[node].address, DIRECT_PORT)}
        )
        for name in (sleeper, direct):
            _serve(stack, lab, node, name, server, port)
        yield


def _sleeper(
    stack: contextlib.ExitStack,
    lab: Lab,
    node: str,
    name: str,
    image: str,
    network: str,
    config: Mapping[str, Any],
    ports: Mapping[int, tuple[str, int]],
) -> str:
    client = lab.docker(node)
    with contextlib.suppress(docker.errors.NotFound):
        client.remove_container(name, force=True)
    client.create_container(
        image,
        entrypoint=["sleep", "3600"],
        name=name,
        ports=list(ports),
        host_config=client.create_host_config(network_mode=network, port_bindings=dict(ports), init=True),
        networking_config=client.create_networking_config(dict(config)) if config else None,
    )
    stack.callback(client.remove_container, name, force=True)
    client.start(name)
    return name


def _serve(stack: contextlib.ExitStack, lab: Lab, node: str, container: str, server: str, port: int) -> None:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    if server == "nginx":
        file = folder / "nginx.conf"
        file.write_text(nginx_config(folder, [f"0.0.0.0:{port}"]))
        command = ["nginx", "-c", str(file), "-e", f"{folder}/error.log"]
    else:
        command = [sys.executable, "-m", "lab.bench.sse", "serve", str(port)]
    process = subprocess.Popen(lab.inside(node, container, *command), cwd=CHECKOUT, stdout=subprocess.DEVNULL)
    stack.callback(process.wait, 10)
    stack.callback(process.terminate)
    deadline = time.monotonic() + 20
    check = lab.inside(node, container, "curl", "-s", "-o", f"{folder}/answer", f"http://127.0.0.1:{port}/health")
    while subprocess.run(check, check=False).returncode:
        if time.monotonic() > deadline or process.poll() is not None:
            raise LabError(f"the bench's {server} did not start")
        time.sleep(0.1)


def wait_answers(command: Sequence[str], seconds: float = 30) -> None:
    """Until a curl command gets a 200."""
    deadline = time.monotonic() + seconds
    while True:
        words = ("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "2")
        done = subprocess.run(
            [*command[: command.index("curl")], *words, *command[command.index("curl") + 1 :]],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.stdout == "200":
            return
        if time.monotonic() > deadline:
            raise LabError(f"no answer: {' '.join(command)}: {done.stdout}")
        time.sleep(0.2)

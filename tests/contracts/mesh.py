"""Both nodes' real proxies in one network namespace, with the addresses of their configurations unchanged.

A stand-in for the hosts: no Docker, and the tailnet's address of a node is its gateway's outside address, where Docker
would publish it. The proxies, their certificates and every hop are real.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from render.envoy import gateway_config, sidecar_config
from render.envoy.parts import ADMIN_PORT, CONFIG_DIR, HEALTH_PORT
from tests.unit.samples import graph_of
from topology.graph import GATEWAY
from topology.model import Instance
from topology.network import NodeNetworks

NETWORKS: Final = {
    "thanos": NodeNetworks(base=IPv4Network("10.231.0.0/16")),
    "oracle1": NodeNetworks(base=IPv4Network("10.232.0.0/16")),
}
GRAPHS: Final = {name: graph_of(name) for name in NETWORKS}
_APP: Final = """
import json, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class App(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        seen = {"app": self.server.app, "path": self.path, "headers": {k.lower(): v for k, v in self.headers.items()}}
        body = json.dumps(seen).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_POST = do_GET
    def log_message(self, *args):
        pass
for app in sys.argv[1:]:
    name, address, port = app.split(":")
    server = ThreadingHTTPServer((address, int(port)), App)
    server.app = name
    threading.Thread(target=server.serve_forever).start()
"""


class Authority:
    """Signs what the mesh's own authority would sign."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mesh authority")])
        self.certificate = self._signed(self._name, self._key.public_key(), authority=True)

    def _signed(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, identity: str = "", *, authority: bool = False
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if identity:
            names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity)])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def issue(self, folder: Path, identity: str) -> Path:
        """Write `certificate.pem`, `key.pem` and `ca.pem` for an identity."""
        folder.mkdir(parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, identity.rpartition("/")[2])])
        certificate = self._signed(subject, key.public_key(), identity)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (folder / "key.pem").write_bytes(private)
        (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        (folder / "ca.pem").write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        return folder


class Mesh:
    """The namespace and the processes in it."""

    def __init__(self, envoy: str, folder: Path) -> None:
        self._envoy, self._folder = envoy, folder
        self._name = f"mesh-test-{os.getpid()}"
        self._port = 20000
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.authority = Authority()

    @contextmanager
    def namespace(self, nameserver: str = "") -> Iterator[None]:
        """Make the namespace, with a name server of its own if need be; end every process and remove it at last."""
        run("ip", "netns", "add", self._name)
        own = Path("/etc/netns") / self._name
        try:
            if nameserver:
                own.mkdir(parents=True)
                (own / "resolv.conf").write_text(f"nameserver {nameserver}\n")
            self._inside("ip", "link", "set", "lo", "up")
            for networks in NETWORKS.values():
                # Every address of the range is this host's own.
                self._inside("ip", "route", "add", "local", str(networks.base), "dev", "lo")
            yield
        finally:
            for name in list(self._processes):
                self.stop(name)
            run("ip", "netns", "del", self._name)
            shutil.rmtree(own, ignore_errors=True)

    def _inside(self, *command: str) -> None:
        run("ip", "netns", "exec", self._name, *command)

    def log(self, name: str) -> str:
        """What a process that was started here has written."""
        return (self._folder / f"{name}.log").read_text(errors="replace")

    def start(self, name: str, *command: str) -> None:
        """Start a process in the namespace."""
        with (self._folder / f"{name}.log").open("wb") as log:
            self._processes[name] = subprocess.Popen(
                ["ip", "netns", "exec", self._name, *command], stdout=log, stderr=subprocess.STDOUT
            )

    def program(self, name: str, instance: Instance, callees: Sequence[str], *command: str) -> None:
        """Start a program that stands for an instance's app: the callees' names lead to the own sidecar."""
        sidecar = NETWORKS[instance.node].pod(GRAPHS[instance.node].service(instance.service).slot).sidecar
        hosts = self._folder / f"{name}.hosts"
        hosts.write_text("".join(f"{sidecar} {callee}\n" for callee in callees))
        # The mounts of `ip netns exec` are its own: no other process sees this one.
        mounted = 'mount --bind "$0" /etc/hosts && exec "$@"'
        self.start(name, "unshare", "--mount", "sh", "-c", mounted, str(hosts), *command)

    def stop(self, name: str) -> None:
        """End a process that was started here."""
        process = self._processes.pop(name)
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=10)

    def apps(self, *apps: tuple[str, str, int]) -> None:
        """Start apps that tell what they were asked: (service, node, port)."""
        places = []
        for service, node, port in apps:
            slot = GRAPHS[node].service(service).slot
            places.append(f"{service}:{NETWORKS[node].pod(slot).app}:{port}")
        self.start("apps", sys.executable, "-c", _APP, *places)

    def proxies(self, *instances: Instance) -> None:
        """Start the real proxies of instances, gateways among them."""
        for instance in instances:
            networks, graph = NETWORKS[instance.node], GRAPHS[instance.node]
            if instance.service == GATEWAY:
                config = gateway_config(graph, networks, instance.node)
            else:
                config = sidecar_config(graph, networks, instance)
            folder = self.authority.issue(self._folder / instance.host / "tls", instance.identity).parent
            self._port += 2
            text = json.dumps(self._placed(config, self._port)).replace(CONFIG_DIR, str(folder))
            (folder / "envoy.json").write_text(text)
            arguments = ["-c", str(folder / "envoy.json"), "--concurrency", "1", "--disable-hot-restart"]
            arguments += ["--file-flush-interval-msec", "200"]
            self.start(instance.host, self._envoy, *arguments, "--log-level", "warning")

    @staticmethod
    def _placed(config: Any, free: int) -> Any:
        """What only containers keep apart: loopback ports, and the tailnet's addresses."""
        tailnet = {node.address: NETWORKS[node.name].gateway_outside for node in GRAPHS["thanos"].nodes}
        ports = {ADMIN_PORT: free, HEALTH_PORT: free + 1}

        def placed(value: Any) -> Any:
            if isinstance(value, list):
                return [placed(item) for item in value]
            if not isinstance(value, dict):
                return value
            if set(value) == {"address", "port_value"}:
                host, port = value["address"], value["port_value"]
                if host == "127.0.0.1":
                    return {"address": host, "port_value": ports[port]}
                return {"address": tailnet.get(host, host), "port_value": port}
            return {key: placed(item) for key, item in value.items()}

        return placed(config)

    def curl(self, *arguments: str) -> tuple[int, str]:
        """(status, body) of a request from inside; status 0 where there was no answer."""
        command = ["ip", "netns", "exec", self._name, "curl", "--silent", "--max-time", "5"]
        done = subprocess.run(
            [*command, "--write-out", "\n%{http_code}", *arguments], capture_output=True, text=True, check=False
        )
        body, _, status = done.stdout.rpartition("\n")
        return int(status or 0), body

    def call(self, caller: Instance, callee: str, port: int, path: str, *arguments: str) -> tuple[int, str]:
        """What the caller's app gets when it asks the callee by its plain name."""
        slot = GRAPHS[caller.node].service(caller.service).slot
        sidecar = NETWORKS[caller.node].pod(slot).sidecar
        return self.curl("--resolve", f"{callee}:{port}:{sidecar}", *arguments, f"http://{callee}:{port}{path}")

    def until(self, wanted: int, caller: Instance, callee: str, port: int, path: str, *arguments: str) -> str:
        """Ask until the status is the wanted one, half a minute at most; returns the body."""
        status, body = 0, ""
        for _ in range(60):
            status, body = self.call(caller, callee, port, path, *arguments)
            if status == wanted:
                return body
            time.sleep(0.5)
        logs = "\n".join(f"{f.name}: {f.read_text()[-600:]}" for f in sorted(self._folder.glob("*.log")))
        pytest.fail(f"{caller.host} -> {callee}:{port}{path}: {status} {body}\n{logs}")


def run(*command: str) -> None:
    """Run a command that must not fail."""
    subprocess.run(command, check=True, capture_output=True)

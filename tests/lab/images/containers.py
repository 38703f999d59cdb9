"""The program's app containers, as it registers them, run on one Docker daemon without engine and sidecars.

All of them are on one internal network, and a callee's name stands for the callee's own address instead of the
sidecar's. Everything else is as the program has it: image, user, command, files, read-only root, capabilities, limits.
"""

import datetime
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import docker
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lab.docker_containers import _possible
from lab.docker_spec import archive, container_spec
from tests.unit.mocks import Registered
from tests.unit.program import Program, uploads
from topology.catalog import SERVICES
from topology.model import Service

NETWORK = "lab-images-test"
SUBNET = "10.213.0.0/24"
GATEWAY = "10.213.0.1"
"""The host, which stands for the world outside."""
BY_NAME: Mapping[str, Service] = {service.name: service for service in SERVICES}


@dataclass
class App:
    """One app container of a node."""

    node: str
    service: Service
    registered: Registered
    address: str

    @property
    def name(self) -> str:
        """Of the container."""
        return f"lab-images-{self.node}-{self.service.name}"


class Apps:
    """Every app of both nodes on one daemon."""

    def __init__(self, host: str, folder: Path, images: Mapping[str, str], programs: Mapping[str, Program]) -> None:
        self.client = docker.APIClient(base_url=host, version="auto", timeout=120)
        self.folder, self.images, self.programs = folder, images, programs
        self.apps: dict[tuple[str, str], App] = {}
        for node, program in programs.items():
            for name in sorted(program.apps):
                address = f"10.213.0.{10 + len(self.apps)}"
                self.apps[node, name] = App(node, BY_NAME[name], program.apps[name], address)

    @cached_property
    def certificate(self) -> tuple[str, str]:
        """(certificate, key) for the edge: those of the recorded program are made up."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "edge.example")])
        now = datetime.datetime.now(datetime.UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(now)
            .not_valid_after(now + datetime.timedelta(days=1))
            .sign(key, hashes.SHA256())
        )
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return made.public_bytes(serialization.Encoding.PEM).decode(), private.decode()

    def prepare(self) -> None:
        """The network that all are on."""
        ipam = docker.types.IPAMConfig(pool_configs=[docker.types.IPAMPool(subnet=SUBNET)])
        self.client.create_network(NETWORK, internal=True, ipam=ipam)

    def start(self, app: App) -> None:
        """Create the container as the program has it, and start it."""
        inputs = self._inputs(app)
        spec = _possible(container_spec(inputs))
        spec["HostConfig"]["Runtime"] = "runc"
        spec["HostConfig"]["NetworkMode"] = NETWORK
        endpoint = self.client.create_endpoint_config(ipv4_address=app.address)
        spec["NetworkingConfig"] = self.client.create_networking_config({NETWORK: endpoint})
        made = self.client.create_container_from_config(spec, app.name)
        self.client.start(made["Id"])

    def _inputs(self, app: App) -> dict[str, Any]:
        program = self.programs[app.node]
        inputs = dict(app.registered.inputs)
        inputs["image"] = self.images[app.service.image]
        inputs["hosts"] = list(self._hosts(app, inputs.get("hosts") or []))
        inputs["volumes"] = [self._volume(app, program, volume) for volume in inputs.get("volumes") or []]
        inputs.pop("networksAdvanced", None)
        return inputs

    def _hosts(self, app: App, entries: list[Mapping[str, str]]) -> Iterator[dict[str, str]]:
        for entry in entries:
            name, _, node = entry["host"].partition(".")
            order = [node] if node in self.programs else [app.node, *self.programs]
            found = next((self.apps[n, name] for n in order if (n, name) in self.apps), None)
            yield {"host": entry["host"], "ip": found.address if found else GATEWAY}

    def _volume(self, app: App, program: Program, volume: Mapping[str, Any]) -> dict[str, Any]:
        name = volume.get("volumeName")
        if name is None:
            source = str(volume["hostPath"])
            own = source if source.startswith(("/proc", "/sys")) else str(self._folder(app.node, source))
            return {**volume, "hostPath": own}
        if name not in program.filled:
            return {
                "hostPath": str(self._folder(app.node, name)),
                **{k: v for k, v in volume.items() if k != "volumeName"},
            }
        return {**volume, "volumeName": self._filled(app, program.filled[name])}

    def _folder(self, node: str, name: str) -> Path:
        """The host's folder behind a data volume, owned as the preflight has it."""
        folder = self.folder / node / name.strip("/").replace("/", "-")
        if not folder.exists():
            folder.mkdir(parents=True)
            folder.chmod(0o700)
            for service in SERVICES:
                for volume in service.volumes:
                    if name == f"agentic-mesh-{service.name}-{volume.name}":
                        os.chown(folder, *volume.owner)
        return folder

    def _filled(self, app: App, loader: Registered) -> str:
        """A config volume with its files in it."""
        name = f"lab-images-{app.node}-{app.service.name}-config"
        self.client.create_volume(name)
        mount = loader.inputs["volumes"][0]["containerPath"]
        busybox = self.images["busybox"]
        made = self.client.create_container(
            busybox, host_config=self.client.create_host_config(binds=[f"{name}:{mount}"]), volumes=[mount]
        )
        contents = uploads(loader)
        for upload in loader.inputs["uploads"]:
            content = self._real(app, str(upload["file"]), contents[upload["file"]])
            self.client.put_archive(made["Id"], "/", archive({**upload, "content": content}))
        self.client.remove_container(made["Id"])
        return name

    def _real(self, app: App, path: str, content: str) -> str:
        """The two recorded programs make up different values for what they share: the same on both here."""
        if app.service.name == "edge" and path.endswith(("certificate.pem", "key.pem")):
            return self.certificate[path.endswith("key.pem")]
        return re.sub(r"Secret(Made|Shared)(?:Mesh|Foundation|Secrets|Shared)*", "Secret", content)

    def healthy(self, app: App, seconds: float) -> str:
        """Empty once the probe is answered, after restarts too; else what happened."""
        end = time.monotonic() + seconds
        said = "?"
        while time.monotonic() < end:
            said = self._ask(app)
            if not said:
                return ""
            time.sleep(0.5)
        return f"{said}\n{self.client.logs(app.name, tail=25).decode(errors='replace')}"

    def _ask(self, app: App) -> str:
        """Asked from inside, where the network need not be reached; every image but busybox has what it takes."""
        probe = app.service.probe
        command = ["bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{probe.port}"]
        if probe.path is not None:
            url = f"http://127.0.0.1:{probe.port}{probe.path}"
            command = ["curl", "-s", "-o", "/dev/null", "-m", "5", "-w", "%{http_code}", url]
        try:
            asked = self.client.exec_create(app.name, command)["Id"]
            said = self.client.exec_start(asked).decode(errors="replace")
        except docker.errors.APIError as error:
            return str(error.explanation)
        well = said == "200" if probe.path else self.client.exec_inspect(asked)["ExitCode"] == 0
        return "" if well else f"{probe}: {said}"

    def remove(self) -> None:
        """Everything that was made."""
        for app in self.apps.values():
            with_out = {c["Names"][0].lstrip("/") for c in self.client.containers(all=True)}
            if app.name in with_out:
                self.client.remove_container(app.name, force=True, v=True)
        for volume in self.client.volumes(filters={"name": "lab-images-"})["Volumes"] or []:
            self.client.remove_volume(volume["Name"])
        if self.client.networks(names=[NETWORK]):
            self.client.remove_network(NETWORK)

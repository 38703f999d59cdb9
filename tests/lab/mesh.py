"""What tests of the platform do with it: operations of the engine, looks at Docker, commands in containers."""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import yaml

from engine.outcome import Outcome
from engine.root import CHECKOUT
from lab import status
from lab.machine import LabError, in_namespace
from lab.places import Node
from lab.session import Session, operate
from lab.stacks import Stacks

PREFIX = "agentic-mesh"


@dataclass
class Mesh:
    """The platform of the lab."""

    session: Session
    stacks: Stacks
    clients: dict[str, docker.APIClient] = field(default_factory=dict)

    def node(self, name: str) -> Node:
        return next(node for node in self.session.nodes if node.name == name)

    def docker(self, node: str) -> docker.APIClient:
        if node not in self.clients:
            self.clients[node] = docker.APIClient(base_url=self.node(node).host, timeout=120)
        return self.clients[node]

    def close(self) -> None:
        for client in self.clients.values():
            client.close()

    def up(self, *names: str) -> dict[str, dict[str, int]]:
        """`up` on the named stacks, or on all; what it did other than nothing, by stack."""
        return {outcome.stack: changes(outcome) for outcome in self.operate("up", *names)}

    def assert_nothing_to_do(self) -> None:
        """An `up` of all stacks changes nothing; what it changed all the same is named."""
        found = {outcome.stack: (changes(outcome), outcome.changed) for outcome in self.operate("up")}
        assert found == {name: ({}, []) for name in self.names()}

    def operate(self, operation: str, *names: str) -> list[Outcome]:
        """An operation that has to go well."""
        order = [node.name for node in self.session.nodes if node.name in (names or self.names())]
        outcomes = operate(self.stacks, operation, order, lambda text: print(f"lab: {text}", flush=True))
        assert all(outcome.passed for outcome in outcomes), [outcome.errors for outcome in outcomes]
        return outcomes

    def names(self) -> tuple[str, ...]:
        return tuple(node.name for node in self.session.nodes)

    def configure(self, stack: str, **settings: Any) -> None:
        """Change settings of a stack; None takes one away."""
        path = self.stacks.work_dir / f"Pulumi.{stack}.yaml"
        content = yaml.safe_load(path.read_text())
        for key, value in settings.items():
            content["config"].pop(f"agentic-mesh:{key}", None)
            if value is not None:
                content["config"][f"agentic-mesh:{key}"] = value
        path.write_text(yaml.safe_dump(content, sort_keys=False))

    def setting(self, stack: str, key: str) -> Any:
        """A setting as the stack has it now; None: its default."""
        content = yaml.safe_load((self.stacks.work_dir / f"Pulumi.{stack}.yaml").read_text())
        return content["config"].get(f"agentic-mesh:{key}")

    def containers(self, node: str) -> dict[str, dict[str, Any]]:
        """All containers of a node by name, as Docker describes them."""
        return {state["Name"].lstrip("/"): state for state in status.containers(self.node(node))}

    def identities(self, node: str) -> dict[str, tuple[str, str]]:
        """Name -> id and start of each container: what was replaced or restarted has another."""
        return {name: (s["Id"], s["State"]["StartedAt"]) for name, s in self.containers(node).items()}

    def unhealthy(self) -> dict[str, list[str]]:
        found = {name: status.unhealthy(self.node(name)) for name in self.names()}
        return {name: containers for name, containers in found.items() if containers}

    def wait_healthy(self, seconds: float = 180) -> float:
        """How long it took until every container that should run did, and was healthy."""
        started = time.monotonic()
        while found := self.unhealthy():
            assert time.monotonic() - started < seconds, f"not healthy after {seconds} s: {found}"
            time.sleep(0.5)
        return time.monotonic() - started

    def execute(self, node: str, container: str, *command: str) -> tuple[int, str]:
        """Exit status and output of a command in a container."""
        client = self.docker(node)
        made = client.exec_create(f"{PREFIX}-{container}", list(command))
        output = bytes(client.exec_start(made)).decode(errors="replace")
        return int(client.exec_inspect(made)["ExitCode"]), output

    def on_node(self, node: str, *command: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
        """A command in a node's network namespace, as a program on that host; what it says may be a sound."""
        return subprocess.run(
            in_namespace(self.node(node).namespace, *command),
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=seconds,
        )

    def audit(self, node: str, container: str) -> list[Mapping[str, Any]]:
        """The access log of a proxy, a mapping for each request."""
        text = bytes(self.docker(node).logs(f"{PREFIX}-{container}", stderr=False)).decode(errors="replace")
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    @contextlib.contextmanager
    def fixing(self, *names: str) -> Iterator[None]:
        """Where what is done inside fails, the stacks are put right all the same."""
        try:
            yield
        except BaseException:
            for name in names:
                with contextlib.suppress(LabError):
                    self.stacks.command("cancel", name, "--yes")
            self.operate("refresh", *names)
            self.up(*names)
            raise

    def strangers(self, node: str) -> set[str]:
        """Names of the mesh's containers and networks on a node that the state does not know."""
        known = {resource.get("id") for resource in self.resources(node)}
        client = self.docker(node)
        found = {item["Id"]: item["Names"][0].lstrip("/") for item in client.containers(all=True)}
        found |= {item["Id"]: item["Name"] for item in client.networks()}
        return {name for identifier, name in found.items() if name.startswith(PREFIX) and identifier not in known}

    def secret(self, stack: str, output: str) -> Any:
        """An output of a stack, decrypted."""
        return json.loads(self.stacks.command("stack", "output", "--stack", stack, "--show-secrets", "--json"))[output]

    def resources(self, stack: str) -> list[dict[str, Any]]:
        """Everything in a stack's state, decrypted."""
        exported = self.stacks.command("stack", "export", "--stack", stack, "--show-secrets")
        found: list[dict[str, Any]] = _opened(json.loads(exported))["deployment"]["resources"]
        return found

    def operator(self, folder: Path) -> Path:
        """The folder of an operator's certificate and key, made as `make operator-cert` does it."""
        subprocess.run(
            [sys.executable, "-m", "scripts.operator_cert", "ann", "--hours", "1", "--folder", str(folder)],
            cwd=CHECKOUT,
            input=json.dumps(self.secret("thanos", "shared")),
            text=True,
            check=True,
        )
        return folder / "ann"

    def declared(self, node: str, kind: str) -> set[str]:
        """Names of all resources of a kind of Docker's, such as `Container`, in a stack's state."""
        return {
            r["inputs"]["name"]
            for r in self.resources(node)
            if r["type"].startswith("docker:") and r["type"].endswith(f":{kind}")
        }

    def passwords(self, stack: str) -> dict[str, str]:
        """All that a stack generated, by the names that the topology gives them."""
        made = [r for r in self.resources(stack) if r["type"].startswith("random:")]
        return {r["urn"].rpartition("-secrets-")[2]: str(r["outputs"]["result"]) for r in made}

    def certificate(self, stack: str, service: str) -> str:
        """The certificate that the public sees."""
        (resource,) = (
            r
            for r in self.resources(stack)
            if r["type"] == "tls:index/selfSignedCert:SelfSignedCert" and f"{service}-" in r["urn"].split("::")[-1]
        )
        return str(resource["outputs"]["certPem"])


def changes(outcome: Outcome) -> dict[str, int]:
    """What an operation did, without what stayed as it was."""
    return {kind: count for kind, count in outcome.operations.items() if kind not in ("same", "read")}


def replaced(before: Mapping[str, tuple[str, str]], after: Mapping[str, tuple[str, str]]) -> set[str]:
    """Containers that are new, or other ones than before."""
    return {name for name, (identifier, _) in after.items() if before.get(name, ("",))[0] != identifier}


def _opened(value: Any) -> Any:
    """A decrypted value in place of what the engine wraps it in."""
    if isinstance(value, dict):
        if "plaintext" in value:
            return json.loads(value["plaintext"])
        return {key: _opened(item) for key, item in value.items()}
    return [_opened(item) for item in value] if isinstance(value, list) else value

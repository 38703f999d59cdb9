"""The program itself, run once for each node against the recording mock."""

import json
import re
import runpy
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import pulumi

from components.platform.shared import OUTPUT
from settings.load import SECRETS as SECRET_KEYS
from tests.unit.authority import AUTHORITY
from tests.unit.mocks import Mocks, Registered, secret
from tests.unit.samples import CLAUDE_KEY, NEEDED, OPENROUTER_KEY, configuration
from topology.catalog import SERVICES
from topology.graph import Graph
from topology.nodes import NODES
from topology.secrets import SECRETS, shared

ROOT: Final = Path(__file__).parents[2]
CONTAINER: Final = "docker:index/container:Container"
NETWORK: Final = "docker:index/network:Network"
VOLUME: Final = "docker:index/volume:Volume"
PASSWORD: Final = "random:index/randomPassword:RandomPassword"
MADE: Final = (
    ("docker:index/remoteImage:RemoteImage", "imageId"),
    ("docker:index/image:Image", "repoDigest"),
    ("tls:index/selfSignedCert:SelfSignedCert", "certPem"),
    ("tls:index/certRequest:CertRequest", "certRequestPem"),
    ("tls:index/locallySignedCert:LocallySignedCert", "certPem"),
    ("tls:index/locallySignedCert:LocallySignedCert", "validityEndTime"),
)
"""Outputs that providers make up and the program goes on with."""
SHARED: Final = {
    "authorityCertificate": AUTHORITY.certificate,
    "authorityKey": AUTHORITY.key,
    "authoritiesTrusted": AUTHORITY.certificate,
    "secrets": {
        name: "SecretShared" + name.title().replace("-", "") for name in sorted(shared(SECRETS, Graph(SERVICES, NODES)))
    },
}
"""What the foundation's stack exports, for the other one."""
SECRET: Final = re.compile(
    rf"SecretShared\w+|{re.escape(AUTHORITY.secret)}|SecretMade\w+|{CLAUDE_KEY}|{OPENROUTER_KEY}"
    r"|[\w-]+\.(?:privateKeyPem|secret|key)\b"
)
"""Every secret value that the mocks and the settings bring into a program."""


class ProgramMocks(Mocks):
    """Answers as deployed providers would, with letters and digits as random secrets, and as the foundation's stack."""

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        """The id and the outputs of a resource."""
        resource_id, outputs = super().new_resource(args)
        if args.typ == PASSWORD:
            outputs["result"] = secret("SecretMade" + re.sub(r"\W", "", args.name.title()))
        for typ, output in MADE:
            if args.typ == typ:
                outputs[output] = f"sha256:{args.name}" if typ.startswith("docker:") else f"{args.name}.{output}"
        if args.name.startswith("foundation-authority-"):
            outputs |= {"certPem": AUTHORITY.certificate, "privateKeyPem": secret(AUTHORITY.key)}
        return resource_id, outputs

    def call(self, args: pulumi.runtime.MockCallArgs) -> Any:
        """The outputs of the foundation's stack; nothing to any other invoke."""
        self.calls.append(args)
        return {"outputs": {OUTPUT: SHARED}} if args.token == "pulumi:pulumi:readStackOutputs" else {}


class Program:
    """What the program of a stack registers and exports."""

    def __init__(self, stack: str, *, preview: bool = False, mocks: Mocks | None = None, **config: Any) -> None:
        self.stack = stack
        self.mocks = mocks or ProgramMocks({"pulumi:pulumi:StackReference": {"outputs": {OUTPUT: secret(SHARED)}}})
        values = configuration(**{**NEEDED, **config})
        self.mocks.install(stack=stack, preview=preview)
        pulumi.runtime.set_all_config(values, [f"agentic-mesh:{key}" for key in SECRET_KEYS])
        pulumi.runtime.test(self._run)()  # type: ignore[no-untyped-call]

    def _run(self) -> None:
        stack: Any = pulumi.runtime.get_root_resource()
        # The SDK's mocks have one stack for all of a process.
        stack.outputs.clear()
        runpy.run_path(str(ROOT / "__main__.py"), run_name="__main__")
        self.outputs: dict[str, Any] = dict(stack.outputs)

    @cached_property
    def containers(self) -> dict[str, Registered]:
        """Containers by their name on the host; two of one name are an error."""
        found = self.mocks.of(CONTAINER)
        by_name = {str(container.inputs["name"]): container for container in found}
        assert len(by_name) == len(found)
        return by_name

    def app(self, service: str) -> Registered:
        """A service's app."""
        return self.containers[f"agentic-mesh-{service}"]

    def proxy(self, service: str) -> Registered:
        """A service's sidecar, or the gateway."""
        return self.containers["agentic-mesh-gateway" if service == "gateway" else f"agentic-mesh-{service}-proxy"]

    @cached_property
    def apps(self) -> dict[str, Registered]:
        """The apps by service."""
        return {labels(c)["service"]: c for c in self.containers.values() if labels(c)["part"] == "app"}

    @cached_property
    def running(self) -> list[Registered]:
        """Every container that is started."""
        return [c for c in self.containers.values() if c.inputs.get("start") is not False]

    @cached_property
    def loaders(self) -> list[Registered]:
        """Every container that only carries files."""
        return [c for c in self.containers.values() if c.inputs.get("start") is False]

    def loader_of(self, consumer: Registered) -> Registered:
        """Whose files the consumer mounts."""
        [mount] = [v for v in consumer.inputs["volumes"] if v.get("volumeName") in self.filled]
        return self.filled[mount["volumeName"]]

    @cached_property
    def filled(self) -> dict[str, Registered]:
        """Config volume -> its loader."""
        return {loader.inputs["volumes"][0]["volumeName"]: loader for loader in self.loaders}


def labels(container: Registered) -> dict[str, str]:
    """A container's labels, without their prefix."""
    return {
        str(entry["label"]).removeprefix("agentic-mesh."): str(entry["value"]) for entry in container.inputs["labels"]
    }


def uploads(loader: Registered) -> Mapping[str, str]:
    """Path -> content."""
    return {entry["file"]: entry["content"] for entry in loader.inputs["uploads"]}


def secrets_in(value: Any) -> Iterator[str]:
    """The secret values that a value holds, at any depth."""
    yield from SECRET.findall(json.dumps(value, default=str))

"""Serves the lab's providers, each on a port of its own, in one process apart from the programs'.

Prints the ports as one line of JSON, then serves until its standard input closes, so that it cannot outlive its owner.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import grpc
from pulumi.runtime.proto import provider_pb2_grpc

from engine.root import CHECKOUT
from lab import aws_provider, docker_provider, random_provider, tailscale_provider, tls_provider
from lab.machine import LabError

PACKAGES: Final = {
    "docker": docker_provider.provider,
    "tls": tls_provider.provider,
    "random": random_provider.provider,
    "aws": aws_provider.provider,
    "tailscale": tailscale_provider.provider,
}
_MAX_MESSAGE_BYTES: Final = 400 * 1024 * 1024
# A container's creation lasts until it is healthy, and those of two stacks go on at a time.
_WORKERS: Final = {"docker": 128}


@contextlib.contextmanager
def lab_providers(
    folder: Path,
    images: Mapping[str, str],
    aws: Mapping[str, str],
    *,
    any_form: bool = False,
    module: str = "lab.providers",
) -> Iterator[Mapping[str, int]]:
    """The providers' ports by package, for as long as the context lasts.

    With `any_form` the docker provider takes values that would be read back in another form. `module` serves them.
    """
    environment = {"folder": str(folder), "images": dict(images), "aws": dict(aws), "anyForm": any_form}
    with (folder / "providers.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module],
            cwd=CHECKOUT,
            env=os.environ | {"AGENTIC_MESH_LAB": json.dumps(environment)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    with process:
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            raise LabError(f"the lab's providers did not start; their log is {folder / 'providers.log'}")
        try:
            yield json.loads(line)
        finally:
            if process.stdin:
                process.stdin.close()


def main() -> None:
    """Serve until standard input closes."""
    environment: dict[str, Any] = json.loads(os.environ["AGENTIC_MESH_LAB"])
    ports, servers = {}, []
    for package, make in PACKAGES.items():
        server = grpc.server(
            ThreadPoolExecutor(max_workers=_WORKERS.get(package, 8)),
            options=[("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES)],
        )
        provider_pb2_grpc.add_ResourceProviderServicer_to_server(make(environment), server)
        ports[package] = server.add_insecure_port("127.0.0.1:0")
        server.start()
        servers.append(server)
    print(json.dumps(ports), flush=True)
    sys.stdin.read()
    # At once, as a plugin ends with its engine: what is being made then is left as it is.
    os._exit(0)


if __name__ == "__main__":
    main()

"""Serves the plan provider of every package, each on a port of its own, in one process.

A process apart from the program's matters: inside it, both compete for one interpreter and a preview takes thrice as
long. Prints the ports as one line of JSON, then serves until its standard input closes, so it cannot outlive its owner.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc
from pulumi.runtime.proto import provider_pb2_grpc

from engine.provider import PlanProvider

PACKAGES = ("docker", "tls", "random", "aws", "tailscale")

_MAX_MESSAGE_BYTES = 400 * 1024 * 1024  # as the engine's own providers


def main() -> None:
    """Serve until standard input closes."""
    ports, servers = {}, []
    for package in PACKAGES:
        server = grpc.server(
            ThreadPoolExecutor(max_workers=4),
            options=[("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES)],
        )
        provider_pb2_grpc.add_ResourceProviderServicer_to_server(PlanProvider(package), server)
        ports[package] = server.add_insecure_port("127.0.0.1:0")
        server.start()
        servers.append(server)
    print(json.dumps(ports), flush=True)
    sys.stdin.read()
    for server in servers:
        server.stop(grace=0)


if __name__ == "__main__":
    main()

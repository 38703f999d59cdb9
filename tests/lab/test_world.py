"""The world outside: every name and every address of it is reached from the nodes, and what arrives is written down."""

import http.client
import json
import smtplib
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import clouds, processes, world
from lab.images.authority import authority
from lab.images.outside import ANTHROPIC
from lab.link import PUBLIC_ADDRESS
from lab.machine import LabError, in_namespace, run
from lab.places import Node
from lab.resolver import names_file

pytestmark = pytest.mark.lab

NOBODY = "192.0.2.77"
CONNECT = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5) as connection:
    connection.sendall(b"GET / HTTP/1.1\\r\\n\\r\\n")
    print(connection.recv(100).decode())
"""
LISTEN = """
import socket, sys
server = socket.create_server((sys.argv[1], int(sys.argv[2])))
print("ready", flush=True)
while True:
    connection, _ = server.accept()
    connection.sendall(b"the edge")
    connection.close()
"""


@pytest.fixture(scope="module")
def outside(lab_nodes: tuple[Node, ...]) -> Path:
    """The folder of what is written down; the servers run."""
    clouds.start_clouds(lab_nodes[0].folder)
    return lab_nodes[0].folder / "outside"


def connect(node: Node, address: str, port: int) -> str:
    return run(*in_namespace(node.namespace, sys.executable, "-c", CONNECT, address, str(port)))


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def reach(outside: Path, host: str, port: int = 443) -> ssl.SSLSocket:
    """A TLS connection to a host of the world, with its certificate checked."""
    context = ssl.create_default_context(cafile=authority(outside.parent).certificate)
    return context.wrap_socket(socket.create_connection((world.names()[host], port), 10), server_hostname=host)


def ask(outside: Path, host: str, method: str, path: str, body: str | None = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(host)
    connection.sock = reach(outside, host)
    connection.request(method, path, body)
    answer = connection.getresponse()
    found = answer.status, json.loads(answer.read())
    connection.close()
    return found


def test_whatever_leaves_a_node_arrives_and_is_noted(lab_nodes: tuple[Node, ...], outside: Path) -> None:
    for number, node in enumerate(lab_nodes):
        assert "the world outside" in connect(node, NOBODY, 8081 + number)
        stray = lines(outside / "strays.jsonl")[-1]
        assert stray == stray | {
            "protocol": "tcp",
            "from": world.NODES[node.name],
            "to": NOBODY,
            "port": 8081 + number,
        }


def test_this_machine_gets_no_way_out_through_the_world(lab_nodes: tuple[Node, ...]) -> None:
    routes = json.loads(run("ip", "-json", "-4", "route", "show", "dev", world.ROOT_INTERFACE))
    assert [route["dst"] for route in routes] == [str(world.NETWORK)]
    forwards = run(*in_namespace(world.NAMESPACE, "sysctl", "-n", "net.ipv4.ip_forward"))
    assert forwards.strip() == "0"


def test_the_nodes_know_the_names(lab_nodes: tuple[Node, ...]) -> None:
    for node in lab_nodes:
        known = json.loads(names_file(node).read_text())
        assert known == world.names()
        assert known[f"agentic-mesh-backup-{node.name}.s3.dualstack.eu-central-1.amazonaws.com"] == world.S3


def test_the_public_address_is_the_control_nodes(lab_nodes: tuple[Node, ...]) -> None:
    gpu, control = sorted(lab_nodes, key=lambda node: node.role == "control")
    command = in_namespace(control.namespace, sys.executable, "-c", LISTEN, PUBLIC_ADDRESS, "18443")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == "ready\n"
            assert "the edge" in connect(gpu, PUBLIC_ADDRESS, 18443)
        finally:
            server.kill()


def test_a_cable_that_is_gone_is_made_again(lab_nodes: tuple[Node, ...], outside: Path) -> None:
    run("ip", "-n", lab_nodes[0].namespace, "link", "delete", world.INTERFACE)
    run("ip", "link", "delete", world.ROOT_INTERFACE)
    for _ in range(2):
        world.make_world(lab_nodes)
    assert "the world outside" in connect(lab_nodes[0], NOBODY, 8090)
    reach(outside, ANTHROPIC).close()


@pytest.fixture
def taken() -> Iterator[str]:
    address = "198.51.100.200"
    run("ip", "route", "add", address, "dev", "lo")
    yield address
    run("ip", "route", "delete", address, "dev", "lo")


def test_a_network_that_is_taken_is_refused(lab_nodes: tuple[Node, ...], taken: str) -> None:
    with pytest.raises(LabError, match=f"{taken} already, through lo"):
        world.make_world(lab_nodes)


def test_the_models_api_has_its_name(outside: Path) -> None:
    assert ask(outside, ANTHROPIC, "GET", "/lab/calls")[0] == 200
    assert ask(outside, ANTHROPIC, "POST", "/v1/messages", "{}")[0] == 401


def test_mail_is_taken_and_written_down_without_the_password(outside: Path) -> None:
    client = smtplib.SMTP()
    client.sock = reach(outside, world.SMTP_HOST, 465)
    assert client.getreply()[0] == 220
    client.ehlo()
    client.login("mesh@example.com", "the password")
    client.sendmail("mesh@example.com", ["you@example.com"], "Subject: GpuHot\r\n\r\n.\r\nGPU 0 is hot\r\n")
    client.quit()
    text = (outside / "mail.jsonl").read_text()
    assert "the password" not in text
    mail = json.loads(text.splitlines()[-1])
    assert (mail["from"], mail["to"], mail["user"]) == ("mesh@example.com", ["you@example.com"], "mesh@example.com")
    assert (mail["subject"], mail["body"].split()) == ("GpuHot", [".", "GPU", "0", "is", "hot"])


def test_the_webhook_is_written_down(outside: Path) -> None:
    assert ask(outside, world.WEBHOOK_HOST, "POST", "/services/T1", '{"status": "firing"}') == (200, {"ok": True})
    call = lines(outside / "webhook.jsonl")[-1]
    assert (call["host"], call["path"], call["body"]["status"]) == (world.WEBHOOK_HOST, "/services/T1", "firing")


def test_a_server_that_died_is_started_again(lab_nodes: tuple[Node, ...], outside: Path) -> None:
    processes.kill([int((clouds.RUNNING / "sinks.pid").read_text())])
    before = lines(outside / "webhook.jsonl")
    clouds.start_clouds(lab_nodes[0].folder)
    assert ask(outside, world.WEBHOOK_HOST, "POST", "/again", "text")[0] == 200
    assert lines(outside / "webhook.jsonl")[:-1] == before

"""Real proxies carry an app's downloads to names below an allowed suffix, and to nothing else.

A stand-in for the hub: one server that answers TLS for every name below it, and a name server that knows no other
names than those and one of a stranger.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from render.envoy.forward import LISTENER, SETTING
from tests.contracts.conftest import Tool, certificate
from tests.contracts.mesh import GRAPHS, NETWORKS, Mesh
from topology.graph import GATEWAY
from topology.model import Instance
from topology.network import EGRESS_PORT, FORWARD_PORT

pytestmark = [
    pytest.mark.contract,
    pytest.mark.skipif(os.getuid() != 0, reason="network namespaces need root: sudo make test"),
    pytest.mark.xdist_group("mesh"),
]

CALLER: Final = Instance("embeddings-cpu", "oracle1")
GATEWAY_HERE: Final = Instance(GATEWAY, "oracle1")
WORLD: Final = "10.232.18.9"
NEW_HOST: Final = "made-up-yesterday.us-north9.aws.cdn.hf.co"
STRANGER: Final = "files.example.com"

_WORLD: Final = """
import socket, ssl, struct, sys, threading
address, folder = sys.argv[1:]
names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
names.bind(("127.0.0.1", 53))
def serve_names():
    while True:
        query, client = names.recvfrom(4096)
        kind = query[query.index(b"\\0", 12) + 1:][:2]
        end = query.index(b"\\0", 12) + 5
        answer = b"\\xc0\\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + socket.inet_aton(address)
        some = kind == b"\\0\\1"
        head = query[:2] + b"\\x81\\x80" + struct.pack(">HHHH", 1, int(some), 0, 0)
        names.sendto(head + query[12:end] + (answer if some else b""), client)
threading.Thread(target=serve_names).start()
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(f"{folder}/certificate.pem", f"{folder}/key.pem")
said = {}
context.sni_callback = lambda connection, name, _: said.__setitem__(connection, name)
server = socket.create_server((address, 443))
def serve(plain):
    try:
        with context.wrap_socket(plain, server_side=True) as peer:
            peer.recv(4096)
            body = f"for {said.get(peer)}".encode()
            head = b"HTTP/1.1 200 OK\\r\\nConnection: close\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body)
            peer.sendall(head + body)
    except OSError:
        plain.close()
while True:
    threading.Thread(target=serve, args=(server.accept()[0],)).start()
"""


@pytest.fixture(scope="module")
def mesh(envoy: str, tool: Tool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    tool("ip")
    tool("curl")
    folder = tmp_path_factory.mktemp("forward")
    certificate(folder / "tls")
    made = Mesh(envoy, folder)
    with made.namespace(nameserver="127.0.0.1"):
        made.start("world", sys.executable, "-c", _WORLD, WORLD, str(folder / "tls"))
        made.proxies(GATEWAY_HERE, CALLER)
        for _ in range(60):
            if through(made, "https://huggingface.co/")[0] == 200:
                break
            time.sleep(0.5)
        yield made


def through(mesh: Mesh, url: str, *arguments: str) -> tuple[int, str]:
    """(status, body) of a request that the caller's app makes through its forward proxy."""
    sidecar = NETWORKS[CALLER.node].pod(GRAPHS[CALLER.node].service(CALLER.service).slot).sidecar
    return mesh.curl("--proxy", f"http://{sidecar}:{FORWARD_PORT}", "--insecure", *arguments, url)


def connected(mesh: Mesh, url: str, *arguments: str) -> int:
    """What the proxy answered to CONNECT."""
    _, said = through(mesh, url, "--write-out", "%{http_connect}\n", *arguments)
    return int(said.split()[-1])


def logged(mesh: Mesh, instance: Instance, **wanted: object) -> dict[str, Any]:
    """The line of a proxy's access log with these fields; it is written some seconds later at most."""
    lines: list[dict[str, Any]] = []
    for _ in range(60):
        lines = [json.loads(line) for line in mesh.log(instance.host).splitlines() if line.startswith("{")]
        for line in lines:
            if all(line.get(key) == value for key, value in wanted.items()):
                return line
        time.sleep(0.5)
    pytest.fail(f"no line with {wanted} in {lines}")


@pytest.mark.parametrize("name", ["huggingface.co", "hf.co", "cas-bridge.xethub.hf.co", NEW_HOST, "CDN.HF.CO"])
def test_a_name_of_the_list_and_any_name_below_a_suffix_is_reached(mesh: Mesh, name: str) -> None:
    assert through(mesh, f"https://{name}/file") == (200, f"for {name.lower()}")


def test_what_passed_is_in_the_gateway_s_log_with_its_caller(mesh: Mesh) -> None:
    assert through(mesh, f"https://audit.{NEW_HOST}/file")[0] == 200
    line = logged(mesh, GATEWAY_HERE, host=f"audit.{NEW_HOST}:443", method="CONNECT")
    assert (line["status"], line["caller"], line["listener"]) == (200, CALLER.identity, LISTENER)


@pytest.mark.parametrize(
    "url",
    [
        f"https://{STRANGER}/",
        "https://hf.co.example.com/",
        "https://nothf.co/",
        "https://api.huggingface.co/",
        f"https://{NEW_HOST}:8443/",
        f"https://{WORLD}/",
    ],
)
def test_any_other_name_port_or_address_is_refused_and_logged_with_the_setting_to_change(mesh: Mesh, url: str) -> None:
    assert connected(mesh, url) == 403
    host = url.removeprefix("https://").rstrip("/")
    host = host if ":" in host else f"{host}:443"
    line = logged(mesh, GATEWAY_HERE, host=host, method="CONNECT", status=403)
    assert (line["setting"], line["caller"]) == (SETTING, CALLER.identity)
    assert SETTING == "agentic-mesh:modelHub"


def test_tls_for_another_name_does_not_pass_behind_an_allowed_one(mesh: Mesh) -> None:
    tunnel = ("--connect-to", f"{STRANGER}:443:{NEW_HOST}:443")
    assert through(mesh, f"https://{STRANGER}/", *tunnel)[0] == 0
    line = logged(mesh, GATEWAY_HERE, sni=STRANGER)
    assert line["setting"] == SETTING


def test_nothing_but_tls_passes(mesh: Mesh) -> None:
    assert through(mesh, f"http://{NEW_HOST}:443/", "--proxytunnel")[0] == 0
    assert through(mesh, f"http://{NEW_HOST}/")[0] == 404


def test_whose_list_is_empty_gets_no_tunnel_at_the_gateway(mesh: Mesh, tmp_path: Path) -> None:
    """By its own valid certificate, past its own proxy."""
    place = NETWORKS["oracle1"].gateway_mesh
    asked = (
        "--resolve",
        f"{GATEWAY_HERE.sni}:{EGRESS_PORT}:{place}",
        "--http2",
        "--insecure",
        f"https://{GATEWAY_HERE.sni}:{EGRESS_PORT}/",
    )
    for who, answered in ((CALLER, 403), (Instance("litellm", "oracle1"), 0)):
        tls = mesh.authority.issue(tmp_path / who.service, who.identity)
        files = ("--cert", f"{tls}/certificate.pem", "--key", f"{tls}/key.pem")
        assert mesh.curl(*files, *asked)[0] == answered, who

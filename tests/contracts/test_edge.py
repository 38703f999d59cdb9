"""The edge's server block in the real nginx, on the loopback: the client's address, the limits and the other names.

Debian's nginx is older than the image's: `http2` is still a word of `listen` there.
"""

import json
import re
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from render.client_errors import FROM_EDGE, text
from render.edge import ERRORS_PORT, LOGS, edge_server, log_rotation
from render.limits import BODY_MIB
from tests.contracts.conftest import Tool, certificate, free_port, servers_folder, serving, write

pytestmark = pytest.mark.contract
DOMAIN = "mesh.example.org"
CLIENT = "203.0.113.7"
MODULE = Path("/usr/lib/nginx/modules/ngx_http_modsecurity_module.so")
HTTP2_DIRECTIVE = (1, 25, 1)


class Backend(BaseHTTPRequestHandler):
    """Stands for Kong: answers with the headers that it was sent."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = str(self.headers).encode()
        asked = self.headers.get("X-Test-Status")
        self.send_response(int(asked or 200))
        if asked:
            self.send_header("Retry-After", "7")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing: pytest's output is for tests."""


@pytest.fixture(scope="module")
def backend() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Backend) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def nginx_version(nginx: str) -> tuple[int, ...]:
    said = subprocess.run([nginx, "-v"], capture_output=True, text=True, check=True).stderr
    return tuple(int(part) for part in re.findall(r"\d+", said)[:3])


def configuration(nginx: str, folder: Path, ports: tuple[int, int], backend: int) -> str:
    """A whole configuration around the rendered block, with the test's own places in it."""
    block = edge_server(DOMAIN, "127.0.0.1")
    public, health = ports
    changes = [
        ("listen 8443 ", f"listen 127.0.0.1:{public} "),
        ("listen 8090;", f"listen 127.0.0.1:{health};"),
        (f"127.0.0.1:{ERRORS_PORT}", f"127.0.0.1:{free_port()}"),
        ("http://kong:8000", f"http://127.0.0.1:{backend}"),
        ("/config/", f"{folder}/"),
        (f"{LOGS}/", f"{folder}/"),
    ]
    if nginx_version(nginx) < HTTP2_DIRECTIVE:
        changes += [("    http2 on;\n", ""), ("ssl proxy_protocol;", "ssl http2 proxy_protocol;")]
    for there, here in changes:
        assert there in block
        block = block.replace(there, here)
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return (
        f"load_module {MODULE};\npid {folder}/pid;\nerror_log {folder}/error.log;\nworker_processes 1;\ndaemon off;\n"
        f"events {{}}\nhttp {{\naccess_log {folder}/access.log;\n{temporary}{block}}}\n"
    )


@pytest.fixture(scope="module")
def edge(tool: Tool, backend: int) -> Iterator[tuple[int, int, Path]]:
    """Its public port, its health port and its folder."""
    nginx = tool("nginx")
    if not MODULE.exists():
        tool("libnginx-mod-http-modsecurity")
    ports = free_port(), free_port()
    with servers_folder() as folder:
        certificate(folder)
        file = write(folder / "nginx.conf", configuration(nginx, folder, ports, backend))
        with serving([nginx, "-c", str(file), "-e", f"{folder}/error.log"], ports[1], folder / "log"):
            yield *ports, folder


def ask(port: int, path: str = "/", host: str = DOMAIN, *headers: str, times: int = 1) -> str:
    """The answers to a client of that address, behind the PROXY protocol and TLS, all on one connection."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    more = "\r\n".join([f"GET {path} HTTP/1.1", f"Host: {host}", *headers, "", ""])
    last = more.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        plain.sendall(f"PROXY TCP4 {CLIENT} 127.0.0.1 50000 {port}\r\n".encode())
        with context.wrap_socket(plain, server_hostname=host) as secure:
            secure.sendall((more * (times - 1) + last).encode())
            answer = b""
            while chunk := secure.recv(65536):
                answer += chunk
    return answer.decode()


def statuses(answers: str) -> list[int]:
    return [int(found) for found in re.findall(r"HTTP/1\.1 (\d+) ", answers)]


def test_the_backend_learns_the_true_client_and_no_forged_one(edge: tuple[int, int, Path]) -> None:
    consumer = [f"X-Consumer-{part}: forged" for part in ("ID", "Username", "Custom-ID")]
    answer = ask(edge[0], "/", DOMAIN, "X-Forwarded-For: 10.0.0.1", "X-Request-ID: forged", *consumer)
    assert statuses(answer) == [200]
    head, _, body = answer.partition("\r\n\r\n")
    assert f"X-Forwarded-For: {CLIENT}\n" in body
    assert "10.0.0.1" not in body
    assert "forged" not in body
    assert "X-Consumer" not in body
    assert f"Host: {DOMAIN}\n" in body
    assert "X-Forwarded-Proto: https\n" in body
    assert "Strict-Transport-Security: max-age=31536000" in head


def test_other_names_are_not_served(edge: tuple[int, int, Path]) -> None:
    assert statuses(ask(edge[0], "/", "other.example.org")) == [421]


def test_it_is_probed_inside_and_outside(edge: tuple[int, int, Path]) -> None:
    assert ask(edge[0], "/healthz").endswith("ok\n")
    with socket.create_connection(("127.0.0.1", edge[1]), timeout=5) as plain:
        plain.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert plain.makefile().read().endswith("ok\n")


def test_a_connection_without_the_gateway_s_word_is_refused(edge: tuple[int, int, Path]) -> None:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", edge[0]), timeout=5) as plain, pytest.raises(OSError):  # noqa: PT011
        context.wrap_socket(plain, server_hostname=DOMAIN)


def test_a_flood_is_refused_beyond_the_burst(edge: tuple[int, int, Path]) -> None:
    answers = ask(edge[0], times=100)
    found = statuses(answers)
    assert set(found) == {200, 429}
    assert found.count(200) >= 30
    assert text(FROM_EDGE[429].openai()) in answers
    assert answers.count("\r\nRetry-After: 1\r\n") == found.count(429)


def error_of(answer: str) -> tuple[str, Any]:
    """Its head and the JSON of its body."""
    head, _, body = answer.partition("\r\n\r\n")
    assert "Content-Type: application/json" in head
    assert "Strict-Transport-Security" in head
    return head, json.loads(body)


def test_what_nginx_refuses_is_told_in_the_client_s_shape(edge: tuple[int, int, Path]) -> None:
    anthropic = "anthropic-version: 2023-06-01"
    large = f"Content-Length: {(BODY_MIB << 20) + 1}"
    for path, headers, shape in (
        ("/v1/files", (), "openai"),
        ("/v1/messages", (), "anthropic"),
        ("/v1/messages?beta=true", (), "anthropic"),
        ("/v1/messagesx", (), "openai"),
        ("/v1/files", (anthropic,), "anthropic"),
    ):
        answer = ask(edge[0], path, DOMAIN, large, *headers)
        assert statuses(answer) == [413]
        assert error_of(answer)[1] == getattr(FROM_EDGE[413], shape)(), path


def test_headers_that_are_too_large_are_a_bad_request(edge: tuple[int, int, Path]) -> None:
    answer = ask(edge[0], "/v1/models", DOMAIN, "X-Large: " + "x" * 40000)
    assert statuses(answer) == [400]
    assert error_of(answer)[1] == FROM_EDGE[400].openai()


@pytest.mark.parametrize("status", [401, 403, 404, 429, 502, 503])
def test_an_error_from_behind_passes_as_it_is(edge: tuple[int, int, Path], status: int) -> None:
    answer = ask(edge[0], "/v1/models", DOMAIN, f"X-Test-Status: {status}")
    assert statuses(answer) == [status]
    assert f"X-Test-Status: {status}" in answer.partition("\r\n\r\n")[2]
    assert answer.count("Retry-After") == 1


def test_without_kong_s_proxy_there_is_an_error_too(tool: Tool) -> None:
    nginx, ports = tool("nginx"), (free_port(), free_port())
    with servers_folder() as folder:
        certificate(folder)
        file = write(folder / "nginx.conf", configuration(nginx, folder, ports, free_port()))
        with serving([nginx, "-c", str(file), "-e", f"{folder}/error.log"], ports[1], folder / "log"):
            answer = ask(ports[0], "/v1/models")
            assert statuses(answer) == [502]
            assert error_of(answer)[1] == FROM_EDGE[502].openai()


def test_logs_give_way_to_new_ones_and_one_older_is_kept(tool: Tool, backend: int) -> None:
    """Started as the component does it: the shell goes on in the background and becomes nginx."""
    nginx = tool("nginx")
    ports = free_port(), free_port()
    with servers_folder() as folder:
        certificate(folder)
        file = write(folder / "nginx.conf", configuration(nginx, folder, ports, backend))
        most = 4000
        start = f"{log_rotation(str(folder), most, 0.2)} && exec {nginx} -c {file} -e {folder}/edge-error.log"
        log, older = folder / "edge-access.log", folder / "edge-access.log.1"
        with serving(["sh", "-c", start], ports[1], folder / "log"):
            rotated, end = set(), time.monotonic() + 60
            while len(rotated) < 3 and time.monotonic() < end:
                ask(ports[0], times=10)
                if older.exists():
                    # An inode number comes back once its file is gone.
                    state = older.stat()
                    rotated.add((state.st_ino, state.st_ctime_ns))
                time.sleep(0.1)
            assert len(rotated) == 3, "nginx goes on into the file that it opened first"
            assert sorted(path.name for path in folder.glob("edge-access*")) == [log.name, older.name]
            assert older.stat().st_size > most


def test_the_image_s_templating_leaves_nginx_s_variables_alone() -> None:
    """It replaces the names of environment variables, which are written in capitals."""
    block = edge_server(DOMAIN, "127.0.0.1")
    names = set(re.findall(r"\$\{?(\w+)", block))
    assert names
    assert {name for name in names if name.lower() != name} == set()

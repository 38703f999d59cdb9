"""The edge as in the image: the rendered server with the image's settings, its own rules and the Core Rule Set.

Everything is as in the lab's image, in a folder of the test's: the same templates, set up by the same code, with the
program's variables over the image's.
"""

import json
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path
from socket import create_connection
from time import monotonic, sleep
from typing import Any

from lab.images import crs
from lab.images.shims.waf_rules import configured
from lab.images.waf import ENVIRONMENT, TEMPLATES
from render.edge import ERRORS_PORT, LOGS, edge_environment, edge_server
from tests.contracts.conftest import certificate, free_port, hand_over, servers_folder, serving, write
from tests.contracts.test_edge import CLIENT, DOMAIN, HTTP2_DIRECTIVE, MODULE, nginx_version

NOT_AUDITED = (404, 405)
"""Not relevant by the image's settings; refused by nginx before ModSecurity sees it."""
UNICODE = Path("/etc/nginx/unicode.mapping")


@dataclass(frozen=True)
class Verdict:
    """The outcome of a request."""

    status: int
    rules: frozenset[int]
    """The rules that matched."""
    body: bytes = b""
    type: str = ""


@dataclass
class Waf:
    """A running edge."""

    port: int
    audit: Path

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None, host: str = DOMAIN
    ) -> Verdict:
        """Send one request as an outside client and read its entry in the audit log."""
        seen = self.audit.stat().st_size
        sent = {"Host": host, "User-Agent": "test", "Accept": "*/*", **(headers or {}), "Connection": "close"}
        if body or method in ("POST", "PUT", "PATCH"):
            sent["Content-Length"] = str(len(body))
        head = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with create_connection(("127.0.0.1", self.port), timeout=120) as plain:
            plain.sendall(f"PROXY TCP4 {CLIENT} 127.0.0.1 50000 {self.port}\r\n".encode())
            with context.wrap_socket(plain, server_hostname=host) as secure:
                secure.sendall(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
                answer = HTTPResponse(secure, method=method)
                answer.begin()
                body_back, kind = answer.read(), answer.getheader("content-type") or ""
        entries: list[Any] = []
        # Written after the answer, for what the program's settings call relevant.
        end = monotonic() + 10
        while not entries and answer.status >= 400 and answer.status not in NOT_AUDITED and monotonic() < end:
            lines = self.audit.read_bytes()[seen:].splitlines(keepends=True)
            entries = [json.loads(line)["transaction"] for line in lines if line.endswith(b"\n")]
            sleep(0.01)
        rules = {int(message["details"]["ruleId"]) for entry in entries for message in entry["messages"]}
        return Verdict(answer.status, frozenset(rules), body_back, kind)


@contextmanager
def running(tool: Callable[[str], str], backend: int, program: Mapping[str, str] | None = None) -> Iterator[Waf]:
    """An edge with the program's variables, or with these in their place."""
    nginx = tool("nginx")
    if not MODULE.exists():
        tool("libnginx-mod-http-modsecurity")
    public, health = free_port(), free_port()
    with servers_folder() as folder:
        certificate(folder)
        audit = write(folder / "audit.json", "")
        own = edge_environment() if program is None else program
        made = {**ENVIRONMENT, **own, "MODSEC_AUDIT_LOG": str(audit)}
        changes = {
            "listen 8443 ": f"listen 127.0.0.1:{public} ",
            "listen 8090;": f"listen 127.0.0.1:{health};",
            f"127.0.0.1:{ERRORS_PORT}": f"127.0.0.1:{free_port()}",
            "http://kong:8000": f"http://127.0.0.1:{backend}",
            "/config/": f"{folder}/",
            LOGS: str(folder),
            "/var/log/nginx": str(folder),
            "/etc/nginx/conf.d": f"{folder}/conf.d",
            "/etc/modsecurity.d": f"{folder}/modsecurity.d",
            "/tmp/modsecurity": f"{folder}/modsecurity",
            "/var/log/modsecurity": f"{folder}/modsecurity",
            "/var/cache/nginx": str(folder),
            "/tmp/nginx.pid": f"{folder}/pid",
            "RESOLVERS": "127.0.0.1",
            "RESOLVER_CONFIG": "valid=5s",
        }
        if nginx_version(nginx) < HTTP2_DIRECTIVE:
            changes |= {"http2 on;": "", "ssl proxy_protocol": "ssl http2 proxy_protocol"}
        for path in sorted(TEMPLATES.rglob("*.template")):
            text = path.read_text() if path.name != "default.conf.template" else edge_server(DOMAIN, "127.0.0.1")
            for name, value in made.items():
                text = text.replace(f"${{{name}}}", value)
            for there, here in changes.items():
                text = text.replace(there, here)
            write(folder / path.relative_to(TEMPLATES).with_suffix(""), text)
        rules = folder / "modsecurity.d"
        crs.install(rules / "owasp-crs")
        setup = rules / "owasp-crs/crs-setup.conf"
        setup.write_text(configured(setup.read_text(), made))
        write(rules / "unicode.mapping", UNICODE.read_text())
        for name in ("modsecurity", *(f"modsecurity/{part}" for part in ("data", "tmp", "upload", "audit"))):
            (folder / name).mkdir()
        hand_over(*folder.rglob("*"))
        command = [
            nginx,
            "-c",
            f"{folder}/nginx.conf",
            "-e",
            f"{folder}/error.log",
            "-g",
            f"daemon off; error_log {folder}/start.log notice;",
        ]
        with serving(command, health, folder / "log"):
            yield Waf(public, audit)


def multipart(name: str, content: bytes, kind: str = "application/pdf") -> tuple[bytes, dict[str, str]]:
    """A form with one file, as clients send it: body and headers."""
    boundary = "------------------------d74496d66958873e"
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        f"Content-Type: {kind}\r\n\r\n"
    )
    body = head.encode() + content + f"\r\n--{boundary}--\r\n".encode()
    return body, {"Content-Type": f"multipart/form-data; boundary={boundary}"}

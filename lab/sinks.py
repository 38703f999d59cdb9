"""Where the lab's letters, calls and strays end: they are taken, written down and go nowhere.

`mail.jsonl` has what came by SMTP over TLS, `webhook.jsonl` what was posted to the webhook's host, `strays.jsonl` who
tried an address of the world that nobody has: a line of JSON each, in the folder `outside` of the lab.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import email
import email.policy
import json
import socket
import socketserver
import ssl
import struct
import threading
import time
from pathlib import Path
from typing import Any, Final

from lab.images.authority import issue
from lab.images.standins.common import Refused, Request, Service, wait
from lab.resolver import answer
from lab.world import GATEWAY, NODES, ROOT, SINKS, SMTP_HOST, STRAYS, WEBHOOK_HOST

SMTPS: Final = 465
HTTPS: Final = 443
_DNS: Final = 53
_MOST: Final = 1 << 20
_PATIENCE: Final = 3
"""Seconds that a stray has to say something."""
_SAID: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 18\r\nConnection: close\r\n\r\nthe world outside\n"
_OTHERS: Final = {*NODES.values(), ROOT}
# Of Linux, which Python's socket module does not name.
_ORIGINAL: Final = 80
_PACKET_INFO: Final = 8


class Record:
    """A file of lines of JSON, written to by threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def add(self, **line: Any) -> None:
        """Write one line."""
        with self._lock, self._path.open("a") as file:
            file.write(json.dumps({"at": time.time(), **line}) + "\n")


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self, address: tuple[str, int], handler: type[socketserver.BaseRequestHandler], record: Record
    ) -> None:
        super().__init__(address, handler)
        self.record = record

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away, or that speaks no TLS, is no error of the server."""


class _Mail(socketserver.StreamRequestHandler):
    """One conversation in SMTP. Whatever is sent is taken; who logs in is noted, the password is not."""

    server: _Server
    timeout = 60

    def handle(self) -> None:
        self._begin()
        self._user = ""
        self._say("220 the lab's mail sink")
        while line := self._line():
            verb, _, rest = line.partition(" ")
            match verb.upper():
                case "EHLO":
                    self._say("250-sink", "250-8BITMIME", "250-AUTH PLAIN LOGIN", f"250 SIZE {_MOST}")
                case "AUTH":
                    self._log_in(rest)
                case "MAIL" | "RCPT":
                    address = rest.partition(":")[2].strip().split(" ")[0].strip("<>")
                    self._begin(address) if verb.upper() == "MAIL" else self._to.append(address)
                    self._say("250 ok")
                case "DATA":
                    self._take()
                case "QUIT":
                    self._say("221 bye")
                    return
                case "HELO" | "NOOP" | "RSET":
                    self._say("250 ok")
                case _:
                    self._say("502 not known here")

    def _begin(self, sender: str = "") -> None:
        self._sender, self._to = sender, list[str]()

    def _log_in(self, how: str) -> None:
        kind, _, first = how.partition(" ")
        try:
            if kind.upper() == "PLAIN":
                self._user = base64.b64decode(first or self._asked("")).split(b"\0")[1].decode()
            else:
                self._user = base64.b64decode(first or self._asked("Username:")).decode()
                self._asked("Password:")
        except (binascii.Error, IndexError, UnicodeDecodeError):
            self._say("535 that is no credential")
        else:
            self._say("235 welcome")

    def _asked(self, question: str) -> str:
        self._say(f"334 {base64.b64encode(question.encode()).decode()}")
        return self._line()

    def _take(self) -> None:
        self._say("354 go on")
        lines, size = [], 0
        while (line := self.rfile.readline(_MOST)) not in (b".\r\n", b".\n", b""):
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
            size += len(line)
            if size > _MOST:
                self._say("552 too large")
                return
        message = email.message_from_bytes(b"".join(lines), policy=email.policy.default)
        parts = [part for part in message.walk() if part.get_content_maintype() == "text"]
        self.server.record.add(
            **{"from": self._sender, "to": self._to, "user": self._user, "subject": str(message["subject"] or "")},
            body="\n".join(part.get_content() for part in parts),
        )
        self._say("250 taken")

    def _line(self) -> str:
        return self.rfile.readline(_MOST).decode("utf-8", "replace").rstrip("\r\n")

    def _say(self, *lines: str) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())


class _Stray(socketserver.BaseRequestHandler):
    """A connection to an address of nobody: noted with the address that was meant, and answered."""

    server: _Server

    def handle(self) -> None:
        connection: socket.socket = self.request
        port, address = struct.unpack_from("!2xH4s", connection.getsockopt(socket.SOL_IP, _ORIGINAL, 16))
        meant = {"to": socket.inet_ntoa(address), "port": port}
        self.server.record.add(protocol="tcp", **{"from": self.client_address[0]}, **meant)
        connection.settimeout(_PATIENCE)
        connection.recv(_MOST)
        connection.sendall(_SAID)


def _serve_names(record: Record) -> None:
    """Every name server of the world: it knows no name."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.setsockopt(socket.SOL_IP, _PACKET_INFO, 1)
    server.bind(("0.0.0.0", _DNS))  # noqa: S104 - every address of the world is meant
    while True:
        question, notes, _, sender = server.recvmsg(4096, socket.CMSG_SPACE(12))
        # Interface, the address here, the address in the packet; the answer has to come from where the question went.
        address = notes[0][2][8:12]
        if sender[0] in _OTHERS:  # the servers here ask for names too
            record.add(protocol="udp", **{"from": sender[0], "to": socket.inet_ntoa(address)}, port=_DNS)
        source = (socket.SOL_IP, _PACKET_INFO, struct.pack("@i4s4s", 0, address, bytes(4)))
        try:
            server.sendmsg([answer(question, {})], [source], 0, sender)
        except (IndexError, OSError, struct.error):
            continue


def _webhook(record: Record) -> Service:
    service = Service("webhook")

    @service.route("POST PUT", "/{path*}")
    def _(request: Request) -> Any:
        try:
            body: Any = request.json()
        except Refused:
            body = request.body.decode("utf-8", "replace")
        record.add(host=request.header("host").partition(":")[0], path=request.path, body=body)
        return {"ok": True}

    return service


def main() -> None:
    """Serve until told to end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    outside: Path = parser.parse_args().folder / "outside"
    found = issue(outside.parent, "sinks", (SMTP_HOST, WEBHOOK_HOST))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(found.certificate, found.key)
    mail = _Server((SINKS, SMTPS), _Mail, Record(outside / "mail.jsonl"))
    # The handshake waits for the first write, in the connection's own thread: a slow client holds up nobody.
    mail.socket = tls.wrap_socket(mail.socket, server_side=True, do_handshake_on_connect=False)
    strays = Record(outside / "strays.jsonl")
    servers = (mail, _Server((GATEWAY, STRAYS), _Stray, strays))
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    threading.Thread(target=_serve_names, args=(strays,), daemon=True).start()
    _webhook(Record(outside / "webhook.jsonl")).start(HTTPS, SINKS, tls)
    wait()


if __name__ == "__main__":
    main()

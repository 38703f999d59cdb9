"""A small HTTP server for the stand-ins: routes, keys, streams and Prometheus metrics."""

from __future__ import annotations

import hmac
import http.client
import json
import os
import re
import signal
import ssl
import sys
import threading
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from pathlib import Path
from typing import Any

JSON = "application/json"
TEXT = "text/plain; version=0.0.4; charset=utf-8"
EVENTS = "text/event-stream"
_BLOCK = 1 << 16


@dataclass(frozen=True)
class Part:
    """One part of a multipart form; a field has no file name."""

    content: bytes
    filename: str | None = None
    type: str = ""

    def text(self) -> str:
        """The value of a field."""
        return self.content.decode(errors="replace")


@dataclass
class Request:
    """What a client asks."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    groups: Mapping[str, str] = field(default_factory=dict)
    """What the route's pattern found in the path."""

    def json(self) -> Any:
        """The body as JSON; an empty one is an empty object."""
        try:
            return json.loads(self.body or b"{}")
        except ValueError as error:
            raise Refused(400, f"the body is not JSON: {error}") from error

    def header(self, name: str) -> str:
        """A header, empty where there is none."""
        return self.headers.get(name.lower(), "")

    def bearer(self) -> str:
        """The token of the Authorization header."""
        scheme, _, token = self.header("authorization").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else ""

    def parts(self) -> dict[str, Part]:
        """The parts of a multipart form by name, files and fields alike."""
        found = re.search(r'boundary="?([^";]+)"?', self.header("content-type"))
        if found is None:
            raise Refused(422, "a multipart form is wanted")
        parts: dict[str, Part] = {}
        for part in self.body.split(b"--" + found[1].encode())[1:-1]:
            head, _, content = part.partition(b"\r\n\r\n")
            name, filename = re.search(rb'\bname="([^"]*)"', head), re.search(rb'filename="([^"]*)"', head)
            kind = re.search(rb"(?i)^content-type:[ \t]*([^\r\n;]*)", head, re.MULTILINE)
            if name is not None:
                parts[name[1].decode()] = Part(
                    content.removesuffix(b"\r\n"),
                    filename[1].decode() if filename else None,
                    kind[1].decode().strip().lower() if kind else "",
                )
        return parts

    def files(self) -> dict[str, bytes]:
        """The contents of the parts of a multipart form by name."""
        return {name: part.content for name, part in self.parts().items()}


@dataclass
class Answer:
    """What it gets: an object (JSON), text, bytes, or blocks that are streamed as they come."""

    body: Any = b""
    status: int = 200
    type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)

    def blocks(self) -> Iterable[bytes] | None:
        """What is streamed; None: the body is one piece."""
        return None if isinstance(self.body, bytes | str | dict | list) or self.body is None else self.body

    def piece(self) -> bytes:
        """The body as bytes."""
        if isinstance(self.body, bytes):
            return self.body
        return self.body.encode() if isinstance(self.body, str) else json.dumps(self.body).encode()


@dataclass
class Upgrade(Answer):
    """A change of protocol: after the answer's head, `talk` has the connection's two ends until it returns."""

    status: int = 101
    talk: Callable[[BufferedIOBase, BufferedIOBase], None] = lambda _, __: None


class Refused(Exception):  # noqa: N818 - it is an answer
    """Ends a request with an error."""

    def __init__(self, status: int, message: str, body: Any = None, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.answer = Answer({"error": message} if body is None else body, status, headers=headers or {})


class CutError(Exception):
    """Ends a stream as a crash of the server would."""


Handler = Callable[[Request], Any]


def same(given: str, wanted: str) -> bool:
    """Whether a key is right; an empty one never is."""
    return bool(wanted) and hmac.compare_digest(given.encode(), wanted.encode())


class Service:
    """Routes of one server. A handler returns an `Answer`, or what its body shall be."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.guard: Callable[[Request], None] = lambda _: None
        self.fallback: Handler | None = None
        self.error_key = "error"
        """Under which a path that is none, and a method that is not its own, are told."""
        self.poll_seconds = 0.5
        """How long it may take to notice that it shall end."""
        self.served: Counter[tuple[str, int]] = Counter()
        self._routes: list[tuple[str, re.Pattern[str], Handler]] = []
        self._lock = threading.Lock()

    def route(self, methods: str, pattern: str) -> Callable[[Handler], Handler]:
        """Register a handler; `{name}` in the pattern is one part of the path, `{name*}` the rest of it."""
        text = re.sub(r"\{(\w+)\*\}", r"(?P<\1>.*)", pattern)
        text = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", text)

        def register(handler: Handler) -> Handler:
            for method in methods.split():
                self._routes.append((method, re.compile(text), handler))
            return handler

        return register

    def answer(self, request: Request) -> Answer:
        """What the route of a request says; errors are answers too."""
        try:
            self.guard(request)
            result = self._find(request)(request)
        except Refused as refused:
            result = refused.answer
        answer = result if isinstance(result, Answer) else Answer(result)
        with self._lock:
            self.served[request.method, answer.status] += 1
        return answer

    def _find(self, request: Request) -> Handler:
        allowed = False
        for method, pattern, handler in self._routes:
            if found := pattern.fullmatch(request.path):
                if method in (request.method, "*") or (method, request.method) == ("GET", "HEAD"):
                    request.groups = {key: urllib.parse.unquote(value) for key, value in found.groupdict().items()}
                    return handler
                allowed = True
        if self.fallback is not None:
            return self.fallback
        status, text = (405, "Method Not Allowed") if allowed else (404, "Not Found")
        raise Refused(status, text, {self.error_key: text})

    def metrics(self) -> str:
        """Requests by method and status."""
        return metric(
            "http_requests_total",
            "counter",
            {f'method="{m}",status="{s}",stand_in="{self.name}"': n for (m, s), n in sorted(self.served.items())},
        )

    def start(self, port: int, host: str = "0.0.0.0", tls: ssl.SSLContext | None = None) -> ThreadingHTTPServer:  # noqa: S104 - alone in its pod
        """Serve in threads of their own."""
        server = Server((host, port), type("Handler", (Connection,), {"service": self}))
        if tls is not None:
            # The handshake waits for the first read, in the connection's own thread: a slow client holds up nobody.
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, args=(self.poll_seconds,), daemon=True).start()
        say(f"{self.name} (stand-in) listens on {server.server_address[1]}")
        return server


class Server(ThreadingHTTPServer):
    """A thread for each connection."""

    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no error of the server."""
        if not isinstance(sys.exc_info()[1], OSError | CutError):
            super().handle_error(request, client_address)


class Connection(BaseHTTPRequestHandler):
    """Answers on one connection."""

    protocol_version = "HTTP/1.1"
    service: Service
    timeout = 3600

    def _serve(self) -> None:
        target = urllib.parse.urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self._body(headers)
        query = {key: values[-1] for key, values in urllib.parse.parse_qs(target.query, keep_blank_values=True).items()}
        request = Request(self.command, target.path, query, headers, body)
        answer = self.service.answer(request)
        try:
            self._send(answer)
        except (OSError, CutError):
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _serve  # noqa: N815 - the base class'

    def _body(self, headers: Mapping[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(headers.get("content-length") or 0))
        parts = []
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(parts)

    def _send(self, answer: Answer) -> None:
        if isinstance(answer, Upgrade):
            self._talk(answer)
            return
        blocks = answer.blocks()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.type)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status in (204, 304):
            # They have no body and tell no length (RFC 9110); Envoy takes another answer for a broken one.
            self.end_headers()
            return
        if blocks is None:
            piece = answer.piece()
            self.send_header("Content-Length", str(len(piece)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(piece)
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for block in blocks:
            if block:
                self.wfile.write(f"{len(block):x}\r\n".encode() + block + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")

    def _talk(self, answer: Upgrade) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.flush()
        self.close_connection = True
        answer.talk(self.rfile, self.wfile)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class'
        """Requests are in the sidecar's log."""


def metric(name: str, kind: str, samples: Mapping[str, float]) -> str:
    """One metric in Prometheus' text format; `samples` by their labels."""
    lines = [f"# TYPE {name} {kind}"]
    lines += [f"{name}{{{labels}}} {value}" if labels else f"{name} {value}" for labels, value in samples.items()]
    return "\n".join(lines) + "\n"


def events(items: Iterable[Any], *, end: bool = True) -> Iterable[bytes]:
    """Server-sent events as OpenAI's API sends them."""
    for item in items:
        yield b"data: " + json.dumps(item).encode() + b"\n\n"
    if end:
        yield b"data: [DONE]\n\n"


def secret(variable: str) -> str:
    """A key that the environment must bring, as the real programs want it here."""
    value = os.environ.get(variable, "")
    if not value:
        sys.exit(f"{variable} is not set")
    return value


def readable(path: str) -> str:
    """A file's text; the process ends with the reason where it may not be read."""
    try:
        return Path(path).read_text()
    except OSError as error:
        sys.exit(f"cannot read the configuration: {error}")


def say(text: str) -> None:
    """A line for the container's log."""
    print(text, flush=True)


def status_text(status: int) -> str:
    """The words of a status."""
    return http.client.responses.get(status, "Error")


def now() -> int:
    """Seconds since 1970."""
    return int(time.time())


def wait() -> None:
    """Serve until told to end."""
    signal.sigwait({signal.SIGTERM, signal.SIGINT})

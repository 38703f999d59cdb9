"""Two routes, for the proxy's probe and for Prometheus. Nothing is started from here: no service has a reason to."""

import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

CLIENT_SECONDS: Final = 10


def serve(port: int, registry: CollectorRegistry, alive: Callable[[], bool]) -> ThreadingHTTPServer:
    """Serve in a thread of its own until `shutdown`."""

    class Handler(BaseHTTPRequestHandler):
        timeout = CLIENT_SECONDS
        server_version = "backup"
        sys_version = ""

        def do_GET(self) -> None:
            """Answer the two routes."""
            if self.path == "/health":
                # A failing backup is an alert. Restarting the container would not fix it.
                ok = alive()
                self._answer(HTTPStatus.OK if ok else HTTPStatus.SERVICE_UNAVAILABLE, b"ok\n" if ok else b"stuck\n")
            elif self.path == "/metrics":
                self._answer(HTTPStatus.OK, generate_latest(registry), CONTENT_TYPE_LATEST)
            else:
                self._answer(HTTPStatus.NOT_FOUND, b"not found\n")

        def _answer(self, status: HTTPStatus, body: bytes, kind: str = "text/plain; charset=utf-8") -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing: probes come every few seconds, and the proxy logs who called."""

    server = ThreadingHTTPServer(("0.0.0.0", port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="web", daemon=True).start()
    return server

"""A stand-in for a service that cannot be had: answers 200 on the right ports, and nothing else.

It runs in containers of the lab, alone, with the standard library. The ports come from the image; on each it takes HTTP
and, where a client speaks another protocol, an open connection. It refuses to start on files that it may not read,
since the real service would, too.
"""

import json
import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SERVICE = os.environ.get("STAND_IN_FOR", "?")
PORTS = [int(port) for port in os.environ.get("STAND_IN_PORTS", "").split(",") if port]


class Handler(BaseHTTPRequestHandler):
    """Says 200 and who answers."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        """One answer for every method and path."""
        length = int(self.headers.get("Content-Length") or 0)
        self.rfile.read(length)
        path = self.path.partition("?")[0]
        body = json.dumps({"stand-in": SERVICE, "path": path}).encode() + b"\n"
        if path.rstrip("/").endswith("metrics"):
            body = f'stand_in{{service="{SERVICE}"}} 1\n'.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain" if body.startswith(b"stand_in") else "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = answer  # noqa: N815 - the names are the base class'

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Requests are in the sidecar's log."""


def unreadable(folder: Path) -> list[str]:
    """Files below a folder that this user may not read."""
    return [str(path) for path in folder.rglob("*") if path.is_file() and not os.access(path, os.R_OK)]


def main() -> None:
    """Serve until told to end."""
    if refused := unreadable(Path("/config")):
        sys.exit(f"stand-in for {SERVICE}: uid {os.getuid()} may not read {', '.join(refused)}")
    print(f"stand-in for {SERVICE} on {', '.join(map(str, PORTS))}: {sys.argv[1:]}", flush=True)
    servers = [ThreadingHTTPServer(("0.0.0.0", port), Handler) for port in PORTS]  # noqa: S104 - alone in its pod
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    main()

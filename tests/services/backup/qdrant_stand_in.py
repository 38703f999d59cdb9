"""Stand-in for Qdrant: its snapshot routes, with bytes for collections.

It has what the program relies on: the key, the result envelope, size and SHA-256 of a snapshot, a multipart upload.
It is no vector database, and says nothing about what a real one makes of a snapshot.
"""

import hashlib
import json
import re
import threading
import time
from email.parser import BytesParser
from email.policy import HTTP
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Self
from urllib.parse import unquote, urlsplit


class QdrantStandIn:
    """Collections as bytes; faults on demand."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.collections: dict[str, bytes] = {}
        self.snapshots: dict[tuple[str, str], bytes] = {}
        self.truncate: set[str] = set()
        """Collections whose downloads break off in the middle."""
        self.corrupt: set[str] = set()
        """Collections whose downloads differ from their checksum."""
        self.pause: float = 0
        """Seconds between pieces of a download."""
        self.downloading = threading.Event()
        self._count = 0

    def __enter__(self) -> Self:
        stand_in = self

        class Handler(_Handler):
            server_state: ClassVar[QdrantStandIn] = stand_in

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def take(self, collection: str) -> dict[str, Any]:
        """A new snapshot of a collection."""
        self._count += 1
        name = f"{collection}-{self._count}.snapshot"
        content = self.collections[collection]
        self.snapshots[collection, name] = content
        return {"name": name, "size": len(content), "checksum": hashlib.sha256(content).hexdigest()}


class _Handler(BaseHTTPRequestHandler):
    server_state: ClassVar[QdrantStandIn]
    protocol_version = "HTTP/1.1"
    timeout = 20

    def do_GET(self) -> None:
        if (parts := self._parts()) is None:
            return
        match parts:
            case ["collections"]:
                self._result({"collections": [{"name": name} for name in self.server_state.collections]})
            case ["collections", name, "exists"]:
                self._result({"exists": name in self.server_state.collections})
            case ["collections", name, "snapshots", snapshot] if (name, snapshot) in self.server_state.snapshots:
                self._download(name, self.server_state.snapshots[name, snapshot])
            case _:
                self._nothing()

    def do_POST(self) -> None:
        if (parts := self._parts()) is None:
            return
        match parts:
            case ["collections", name, "snapshots"] if name in self.server_state.collections:
                self._result(self.server_state.take(name))
            case ["collections", name, "snapshots", "upload"] if "priority=snapshot" in self.path:
                self.server_state.collections[name] = self._uploaded()
                self._result(True)
            case _:
                self._nothing()

    def do_DELETE(self) -> None:
        if (parts := self._parts()) is None:
            return
        gone = self.server_state.snapshots.pop((parts[1], parts[3]), None) if len(parts) == 4 else None
        if gone is None:
            self._nothing()
        else:
            self._result(True)

    def _parts(self) -> list[str] | None:
        if self.headers.get("api-key") != self.server_state.key:
            self._answer(HTTPStatus.UNAUTHORIZED, b"Must provide an API key")
            return None
        return [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]

    def _download(self, name: str, content: bytes) -> None:
        state = self.server_state
        if name in state.corrupt:
            content = content[:-1] + bytes([content[-1] ^ 1])
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if name in state.truncate:
            content = content[: len(content) // 2]
            self.close_connection = True
        try:
            for start in range(0, len(content), 1 << 16):
                self.wfile.write(content[start : start + (1 << 16)])
                state.downloading.set()
                time.sleep(state.pause)
        except OSError:
            self.close_connection = True

    def _uploaded(self) -> bytes:
        raw = bytearray()
        while size := int(self.rfile.readline(), 16):
            raw += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        boundary = re.search("boundary=(.+)", self.headers["Content-Type"])
        assert boundary is not None
        _, part, _ = bytes(raw).split(f"--{boundary[1]}".encode())
        head, _, body = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        disposition = BytesParser(policy=HTTP).parsebytes(head + b"\r\n\r\n")["Content-Disposition"]
        assert disposition.params["name"] == "snapshot"
        return body.removesuffix(b"\r\n")

    def _result(self, result: Any) -> None:
        self._answer(HTTPStatus.OK, json.dumps({"result": result, "status": "ok", "time": 0}).encode())

    def _nothing(self) -> None:
        self._answer(HTTPStatus.NOT_FOUND, b'{"status": {"error": "Not found"}}')

    def _answer(self, status: HTTPStatus, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""

"""A stand-in's server on loopback, and a client that asks it."""

import http.client
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.server import ThreadingHTTPServer
from typing import Any

import pytest

from lab.images.standins.common import Service
from lab.images.switch import chosen


def asks_the_real_one(item: pytest.Item) -> bool:
    """Whether a test starts the large program itself: its fixture is called `real` and so is its parameter."""
    spec = getattr(item, "callspec", None)
    return "real" in getattr(item, "fixturenames", ()) or (spec is not None and "real" in spec.params.values())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Large programs are asked only where `LAB_REAL` names the `LARGE` one of the module.

    Left out and not skipped: under CI=true a skipped test is a failure.
    """
    wanted = chosen()
    left_out = [
        item
        for item in items
        if (key := getattr(getattr(item, "module", None), "LARGE", None))
        and key not in wanted
        and asks_the_real_one(item)
    ]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


@dataclass
class Client:
    """Asks one server."""

    port: int

    def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, key: str = ""
    ) -> tuple[int, Any]:
        """Status, and the body: an object where it is JSON, else text or bytes."""
        status, content, kind = self.raw(method, path, body, headers, key)
        if "json" in kind:
            return status, json.loads(content or b"null")
        return status, content.decode() if kind.startswith("text/") else content

    def raw(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, key: str = ""
    ) -> tuple[int, bytes, str]:
        """Status, body and type as they came."""
        sent = dict(headers or {})
        if key:
            sent["authorization"] = f"Bearer {key}"
        if isinstance(body, dict | list):
            body = json.dumps(body)
            sent.setdefault("content-type", "application/json")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            return response.status, response.read(), response.getheader("content-type") or ""
        finally:
            connection.close()

    def headers(self, method: str, path: str, headers: Mapping[str, str]) -> dict[str, str]:
        """Headers of the answer, in small letters."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, None, dict(headers))
            response = connection.getresponse()
            response.read()
            return {name.lower(): value for name, value in response.getheaders()}
        finally:
            connection.close()


@pytest.fixture
def serve() -> Iterator[Callable[[Service], Client]]:
    """Starts servers, and stops them after the test."""
    servers: list[ThreadingHTTPServer] = []

    def start(service: Service) -> Client:
        service.poll_seconds = 0.01
        server = service.start(0, "127.0.0.1")
        servers.append(server)
        return Client(server.server_address[1])

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()

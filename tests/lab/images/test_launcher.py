"""The stand-in for n8n's launcher of task runners: what it refuses, what a runner gets to see, and the handshake."""

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.images.launcher import launch
from lab.images.launcher.launch import ConfigError, LaunchError, Runner
from lab.images.launcher.websocket import HandshakeError, WebSocket

CONFIG = Path(launch.__file__).with_name("n8n-task-runners.json")
GOOD = {"N8N_RUNNERS_AUTH_TOKEN": "token", "N8N_RUNNERS_CONFIG_PATH": str(CONFIG)}


def test_its_configuration_is_read() -> None:
    found = launch.load(["javascript", "python"], GOOD)
    assert [(runner.type, runner.port) for runner in found.values()] == [("javascript", "5681"), ("python", "5682")]
    assert found["javascript"].command[0] == "/usr/local/bin/node"


@pytest.mark.parametrize(
    ("types", "change", "says"),
    [
        ([], {}, "Missing runner-type"),
        (["ruby"], {}, "does not contain requested runner type: ruby"),
        (["javascript"], {"N8N_RUNNERS_AUTH_TOKEN": ""}, "N8N_RUNNERS_AUTH_TOKEN"),
        (["javascript"], {"N8N_RUNNERS_TASK_BROKER_URI": "n8n-worker:5679"}, "valid URL"),
        (["javascript"], {"N8N_RUNNERS_AUTO_SHUTDOWN_TIMEOUT": "-1"}, "non-negative"),
        (["javascript"], {"N8N_RUNNERS_LAUNCHER_HEALTH_CHECK_PORT": "0"}, "valid port"),
        (["javascript"], {"N8N_RUNNERS_CONFIG_PATH": "/nowhere"}, "failed to read config file"),
    ],
)
def test_what_the_real_one_refuses_is_refused(types: list[str], change: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        launch.load(types, GOOD | change)


@pytest.mark.parametrize(("ports", "says"), [(("5679", "1"), "conflicts"), (("7", "7"), "same"), (("", "7"), "port")])
def test_ports_of_runners_are_their_own(tmp_path: Path, ports: tuple[str, str], says: str) -> None:
    entries = [
        {"runner-type": name, "workdir": "/", "command": "x", "health-check-server-port": port}
        for name, port in zip(("a", "b"), ports, strict=True)
    ]
    (tmp_path / "c.json").write_text(json.dumps({"task-runners": entries}))
    with pytest.raises(ConfigError, match=says):
        launch.load(["a", "b"], GOOD | {"N8N_RUNNERS_CONFIG_PATH": str(tmp_path / "c.json")})


def test_a_secret_may_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from a file\n")
    environment = {"N8N_RUNNERS_AUTH_TOKEN": "no", "N8N_RUNNERS_AUTH_TOKEN_FILE": str(tmp_path / "token")}
    assert launch.variable("N8N_RUNNERS_AUTH_TOKEN", environment) == "from a file"
    assert launch.variable("N8N_RUNNERS_TASK_TIMEOUT", {}) == "60"


def test_a_runner_sees_what_it_may_and_never_the_shared_token() -> None:
    runner = Runner(
        "x", "/", ["x"], "5681", ["HOME", "SECRET_NOT_SET"], {"A": "1", "N8N_RUNNERS_GRANT_TOKEN": "forged"}
    )
    found = launch.environment_of(runner, GOOD | {"HOME": "/home/runner", "PATH": "/bin", "OTHER": "x"})
    assert found == {
        "A": "1",
        "HOME": "/home/runner",
        "PATH": "/bin",
        "N8N_RUNNERS_AUTO_SHUTDOWN_TIMEOUT": "15",
        "N8N_RUNNERS_TASK_TIMEOUT": "60",
        "N8N_RUNNERS_TASK_BROKER_URI": "http://127.0.0.1:5679",
        "N8N_RUNNERS_HEALTH_CHECK_SERVER_ENABLED": "true",
        "N8N_RUNNERS_HEALTH_CHECK_SERVER_PORT": "5681",
    }


def test_a_refused_token_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "RETRY_SECONDS", 0.0)
    with pytest.raises(LaunchError, match="exhausted retries"):
        launch.grant("http://127.0.0.1:1", "token", seconds=0)


class Broker:
    """The server's side of one WebSocket, for a script."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.file = connection.makefile("rb")
        self.asked = self.file.readline().decode()
        self.headers = dict(line.split(": ", 1) for line in iter(lambda: self.file.readline().decode().strip(), ""))

    def upgrade(self) -> None:
        self.connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")

    def frame(self, opcode: int, payload: bytes) -> None:
        size = len(payload)
        head = struct.pack(">BB", 0x80 | opcode, size) if size < 126 else struct.pack(">BBH", 0x80 | opcode, 126, size)
        self.connection.sendall(head + payload)

    def say(self, **message: Any) -> None:
        self.frame(1, json.dumps(message).encode())

    def hear(self) -> tuple[int, bytes]:
        head = self.file.read(2)
        size = head[1] & 0x7F
        if size == 126:
            (size,) = struct.unpack(">H", self.file.read(2))
        mask = self.file.read(4)
        return head[0] & 0xF, bytes(byte ^ mask[i % 4] for i, byte in enumerate(self.file.read(size)))

    def heard(self) -> Any:
        return json.loads(self.hear()[1])


@pytest.fixture
def broker() -> Iterator[Callable[[Callable[[Broker], None]], str]]:
    """Serves one connection by a script; the broker's address."""
    server = socket.create_server(("127.0.0.1", 0))
    threads = []

    def serve(script: Callable[[Broker], None]) -> str:
        def run() -> None:
            connection, _ = server.accept()
            with connection:
                script(Broker(connection))

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        return f"http://127.0.0.1:{server.getsockname()[1]}"

    yield serve
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    server.close()


def test_a_task_is_taken_and_deferred(broker: Callable[[Callable[[Broker], None]], str]) -> None:
    heard: list[Any] = []

    def script(side: Broker) -> None:
        assert side.asked.startswith("GET /runners/_ws?id=")
        heard.append(side.headers["Authorization"])
        side.upgrade()
        side.frame(0x9, b"beat")
        heard.append(side.hear())
        side.say(type="broker:inforequest")
        heard.append(side.heard())
        side.say(type="broker:runnerregistered", note="x" * 300)
        heard.append(side.heard())
        side.say(type="broker:taskofferaccept", taskId="t1")
        heard.append(side.heard())

    assert launch.taken(broker(script), "granted", "javascript")
    # The last message may still be on its way to the broker's thread.
    end = time.monotonic() + 30
    while len(heard) < 5 and time.monotonic() < end:
        time.sleep(0.01)
    authorization, pong, info, offer, deferred = heard
    assert authorization == "Bearer granted"
    assert pong == (0xA, b"beat")
    assert info == {"type": "runner:info", "types": ["javascript"], "name": "launcher-javascript"}
    assert (offer["type"], offer["taskType"], offer["validFor"]) == ("runner:taskoffer", "javascript", -1)
    assert deferred == {"type": "runner:taskdeferred", "taskId": "t1"}


def test_a_broker_that_closes_is_tried_again(broker: Callable[[Callable[[Broker], None]], str]) -> None:
    def script(side: Broker) -> None:
        side.upgrade()
        side.frame(0x8, b"")

    assert not launch.taken(broker(script), "granted", "javascript")


def test_a_broker_that_refuses_the_connection_ends_a_runner(
    broker: Callable[[Callable[[Broker], None]], str],
) -> None:
    def script(side: Broker) -> None:
        side.connection.sendall(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")

    with pytest.raises(LaunchError, match=r"bad handshake: HTTP/1\.1 503"):
        launch.taken(broker(script), "granted", "javascript")
    with pytest.raises(HandshakeError):
        WebSocket("http://127.0.0.1:1/", {})


def test_a_runner_that_stops_answering_is_killed(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(launch, "CHECK_SECONDS", 0.05)
    launch.run(Runner("x", "/", ["sleep", "600"], "1"), {"PATH": "/usr/bin:/bin"})
    assert "the runner ended with -9" in capfd.readouterr().out

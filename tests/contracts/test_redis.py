"""The real Redis starts with what is rendered for it, and each user may do what its client needs and nothing more.

Debian's Redis is 7.0, the image's 8: `CLIENT SETINFO` came in between and is left out where the server is older.
"""

import contextlib
import re
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from render.redis import USERS, redis_acl, redis_config
from tests.contracts.conftest import Tool, free_port, servers_folder, serving, write

pytestmark = pytest.mark.contract
PASSWORDS = {user: f"{user}Password1" for user in USERS}
KNOWS_SETINFO = (7, 2)
Ask = Callable[[str, str], str]


class Client:
    """One connection, with a user or without one."""

    def __init__(self, port: int, user: str | None = None, password: str | None = None) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=5)
        self._file = self._socket.makefile("rb")
        self.greeting = ""
        if user is not None:
            self.greeting = self.ask("AUTH", user, password or PASSWORDS[user])

    def ask(self, *words: str) -> str:
        """The reply's first line, and its text where it is one."""
        parts = b"".join(b"$%d\r\n%s\r\n" % (len(word.encode()), word.encode()) for word in words)
        self._socket.sendall(b"*%d\r\n%s" % (len(words), parts))
        return self._reply()

    def _reply(self) -> str:
        line = self._file.readline().decode().rstrip()
        if line.startswith("$") and line != "$-1":
            return self._file.read(int(line[1:]) + 2).decode().rstrip()
        if line.startswith("*"):
            return " ".join([line, *(self._reply() for _ in range(int(line[1:])))])
        return line

    def close(self) -> None:
        self._file.close()
        self._socket.close()


@contextlib.contextmanager
def prepared(tool: Tool) -> Iterator[tuple[list[str], int, Path]]:
    """The server's command, its port on the loopback and its log; all lie in a folder of the test's own."""
    server = tool("redis-server")
    acl = redis_acl(PASSWORDS)
    if _version(server) < KNOWS_SETINFO:
        acl = acl.replace(" +client|setinfo", "")
    with servers_folder() as folder:
        port = free_port()
        write(folder / "users.acl", acl)
        write(folder / "data" / "empty", "")
        config = redis_config(1024)
        for line, local in (
            ("bind 0.0.0.0", "bind 127.0.0.1"),
            ("port 6379", f"port {port}"),
            ("aclfile /config/users.acl", f"aclfile {folder}/users.acl"),
            ("dir /data", f"dir {folder}/data"),
        ):
            assert f"{line}\n" in config
            config = config.replace(f"{line}\n", f"{local}\n")
        yield [server, str(write(folder / "redis.conf", config))], port, folder / "log"


@pytest.fixture(scope="module")
def redis(tool: Tool) -> Iterator[int]:
    """The port of a server that runs."""
    with prepared(tool) as (command, port, log), serving(command, port, log):
        yield port


def _version(server: str) -> tuple[int, int]:
    said = subprocess.run([server, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"v=(\d+)\.(\d+)", said)
    assert found is not None
    return int(found[1]), int(found[2])


@pytest.fixture
def ask(redis: int) -> Iterator[Ask]:
    """The reply to a command of a user, on a connection of its own for each."""
    clients: dict[str, Client] = {}

    def reply(user: str, command: str) -> str:
        if user not in clients:
            clients[user] = Client(redis, user)
            assert clients[user].greeting == "+OK"
        return clients[user].ask(*command.split())

    yield reply
    for client in clients.values():
        client.close()


MAY = {
    "admin": ("FLUSHALL", "CONFIG GET maxmemory", "ACL LIST", "SET anything 1", "KEYS *"),
    "agents": (
        "SET agents:run:1 state EX 60",
        "GET agents:run:1",
        "XADD agents:queue * task 1",
        "XGROUP CREATE agents:queue workers 0 MKSTREAM",
        "PUBLISH agents:events done",
        "EVAL return(1) 1 agents:run:1",
        "INFO server",
        "PING",
    ),
    "litellm": (
        "SET litellm:answer text EX 2592000",
        "GET litellm:answer",
        "PING",
        "INFO server",
        "CLIENT SETNAME proxy",
        "SCAN 0",
    ),
    "n8n": (
        "LPUSH bull:jobs:wait 1",
        "BRPOPLPUSH bull:jobs:wait bull:jobs:active 1",
        "EVAL return(1) 1 bull:jobs:wait",
        "PUBLISH n8n.commands reload",
        "SUBSCRIBE bull:jobs:events",
        "CLIENT SETNAME worker",
        "INFO server",
    ),
    "kong": ("EVAL return(1) 1 ratelimit:x", "INCRBY ratelimit:x 1", "EXPIRE ratelimit:x 60", "PING", "SELECT 0"),
    "exporter": ("INFO all", "CONFIG GET maxmemory", "SLOWLOG GET 1", "LATENCY LATEST", "CLIENT LIST", "DBSIZE"),
}
MAY_NOT = {
    "agents": (
        "GET litellm:answer",
        "GET bull:jobs:wait",
        "KEYS *",
        "FLUSHALL",
        "CONFIG GET *",
        "ACL LIST",
        "SHUTDOWN",
    ),
    "litellm": ("GET agents:run:1", "DEL bull:jobs:wait", "FLUSHDB", "CONFIG SET maxmemory 1", "CLIENT KILL ID 999"),
    "n8n": ("GET agents:run:1", "GET litellm:answer", "FLUSHALL", "CONFIG GET *", "ACL LIST", "SHUTDOWN"),
    "kong": ("GET agents:run:1", "LRANGE bull:jobs:wait 0 -1", "DEL litellm:answer", "FLUSHALL", "KEYS *", "INFO all"),
    "exporter": ("GET agents:run:1", "SET exporter:x 1", "CONFIG SET maxmemory 1", "FLUSHALL", "CLIENT KILL ID 999"),
}
REFUSED = "-NOPERM"


def rows(table: dict[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    return [(user, command) for user, commands in table.items() for command in commands]


def test_every_user_is_tried() -> None:
    assert MAY.keys() == USERS.keys()
    assert MAY_NOT.keys() == USERS.keys() - {"admin"}


@pytest.mark.parametrize(("user", "command"), rows(MAY))
def test_a_client_may_do_what_it_needs(ask: Ask, user: str, command: str) -> None:
    assert not ask(user, command).startswith(REFUSED)


@pytest.mark.parametrize(("user", "command"), rows(MAY_NOT))
def test_a_client_may_do_nothing_else(ask: Ask, user: str, command: str) -> None:
    assert ask(user, command).startswith(REFUSED)


def test_nobody_comes_in_without_a_name_and_its_password(redis: int) -> None:
    wrong = [(Client(redis, user, "wrong"), "-WRONGPASS") for user in ("agents", "default")]
    for client, greeting in ((Client(redis), None), *wrong):
        assert greeting is None or client.greeting.startswith(greeting)
        assert client.ask("PING").startswith("-NOAUTH")
        client.close()


def test_answers_may_be_evicted_and_queued_jobs_not(ask: Ask) -> None:
    assert "volatile-lru" in ask("admin", "CONFIG GET maxmemory-policy")
    assert "536870912" in ask("admin", "CONFIG GET maxmemory")
    assert "yes" in ask("admin", "CONFIG GET appendonly")


def test_what_was_written_in_one_step_is_there_after_a_restart(tool: Tool) -> None:
    """Queues move jobs by transactions and scripts, which the log keeps as transactions."""
    with prepared(tool) as (command, port, log):
        with serving(command, port, log):
            n8n = Client(port, "n8n")
            for line in ("MULTI", "SET bull:jobs:1 waiting", "LPUSH bull:jobs:wait 1", "EXEC"):
                n8n.ask(*line.split())
            n8n.ask("EVAL", "redis.call('SET',KEYS[1],'moved') redis.call('SET',KEYS[2],'x')", "2", "bull:a", "bull:b")
            n8n.close()
        with serving(command, port, log):
            n8n = Client(port, "n8n")
            found = [n8n.ask("GET", name) for name in ("bull:jobs:1", "bull:a", "bull:b")]
            waiting = n8n.ask("LLEN", "bull:jobs:wait")
            n8n.close()
            admin = Client(port, "admin")
            refused = admin.ask("ACL", "LOG")
            admin.close()
    assert ["waiting" in found[0], "moved" in found[1], "x" in found[2], waiting] == [True, True, True, ":1"], refused

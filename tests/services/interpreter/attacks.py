"""How hostile code is tried: beside a second client whose runs must go on unharmed."""

import ast
import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
from sandboxes import Server

FIRST_UID = 100_000
NEIGHBOUR_SECONDS = 20.0
CLOSING_SECONDS = 20.0


class Neighbour(threading.Thread):
    """A second client: runs small things all the time and notes what comes of it."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.server = server
        self.over = threading.Event()
        self.answers: list[dict[str, Any]] = []
        self.longest = 0.0
        self.failure: Exception | None = None

    def run(self) -> None:
        try:
            while not self.over.is_set():
                began = time.monotonic()
                code = "open('mine.txt', 'w').write('kept')\nsum(range(1000)), open('mine.txt').read()"
                self.answers.append(self.server.run(code))
                self.longest = max(self.longest, time.monotonic() - began)
                self.over.wait(0.05)
        except (AssertionError, httpx.HTTPError) as error:
            self.failure = error

    def __enter__(self) -> "Neighbour":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.join()

    def check(self) -> None:
        assert self.failure is None
        assert self.answers
        for answer in self.answers:
            assert answer["status"] == "ok", answer
            assert answer["result"]["text"] == "(499500, 'kept')"
            assert [file["name"] for file in answer["files"]] == ["mine.txt"]
        assert self.longest < NEIGHBOUR_SECONDS


def attack(server: Server, code: str, **more: Any) -> dict[str, Any]:
    """Run it beside a neighbour; then nothing of it may be left."""
    with Neighbour(server) as neighbour:
        answer = server.run(code, **more)
    neighbour.check()
    assert leftovers(server) == []
    assert server.metric("interpreter_unclean_boxes_total") == 0
    return answer


LEFTOVERS = f"""
import os
found = []
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        status = open(f"/proc/{{pid}}/status").read()
    except OSError:
        continue
    uid = int(status.split("Uid:")[1].split()[0])
    if uid >= {FIRST_UID} and uid not in (os.getuid(), os.getuid() + 1):
        found.append((pid, uid))
for uid in range({FIRST_UID}, os.getuid(), 2):
    if os.path.exists(f"/tmp/boxes/{{uid}}"):
        found.append(uid)
found
"""


def leftovers(server: Server) -> list[Any]:
    """Processes and folders of boxes that are closed; a box closes after its answer."""
    deadline = time.monotonic() + CLOSING_SECONDS * server.slow
    while True:
        answer = server.run(LEFTOVERS)
        assert answer["status"] == "ok", answer
        left = list(ast.literal_eval(answer["result"]["text"]))
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.1)


@contextlib.contextmanager
def open_session(client: httpx.Client) -> Iterator[str]:
    opened = client.post("/v1/sessions", json={})
    assert opened.status_code == 201, opened.text
    name = str(opened.json()["id"])
    try:
        yield name
    finally:
        assert client.delete(f"/v1/sessions/{name}").status_code in (204, 404)

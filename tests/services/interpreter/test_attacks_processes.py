"""Processes that outlive their run, signal others or answer for them."""

import time

import httpx
import pytest
from attacks import Neighbour, attack, leftovers, open_session
from sandboxes import Server

COUNTING = """
import threading, time
count = 0
def work():
    global count
    while True:
        count += 1
        with open("next", "w") as file: file.write(str(count))
        __import__("os").replace("next", "count")
        time.sleep(0.01)
threading.Thread(target=work, daemon=True).start()
"""


def counting(client: httpx.Client, session: str) -> int:
    body = {"code": f"{COUNTING}\ntime.sleep(0.2)\ncount", "session_id": session}
    return int(client.post("/v1/execute", json=body).json()["result"]["text"])


def wait_for_its_end(client: httpx.Client, session: str) -> None:
    deadline = time.monotonic() + 20
    while client.get(f"/v1/sessions/{session}").status_code == 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)


class TestProcesses:
    def test_signals_reach_neither_server_nor_warden(self, any_server: Server) -> None:
        code = """
import os, signal
reached = []
for pid in [int(p) for p in os.listdir("/proc") if p.isdigit()]:
    if pid == os.getpid():
        continue
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP, 0):
        try:
            os.kill(pid, number); reached.append((pid, number))
        except (PermissionError, ProcessLookupError):
            pass
for group in {os.getpgid(int(p)) for p in os.listdir("/proc") if p.isdigit()} - {0, os.getpgid(0)}:
    try:
        os.killpg(group, signal.SIGCONT); reached.append(("group", group))
    except (PermissionError, ProcessLookupError):
        pass
reached
"""
        assert attack(any_server, code)["result"]["text"] == "[]"

    def test_a_kill_to_all_ends_nobody_else(self, any_server: Server) -> None:
        code = "import os\nif os.fork() == 0:\n    while True:\n        try: os.kill(-1, 9)\n"
        code += "        except OSError: pass\n"
        answer = attack(any_server, code + "while True: pass", timeout_seconds=2)
        assert answer["status"] in ("crashed", "timeout")

    @pytest.mark.parametrize("ending", ["1", "while True: pass", "import ctypes; ctypes.string_at(0)"])
    def test_daemons_do_not_outlive_their_run(self, any_server: Server, ending: str) -> None:
        code = f"""
import os, signal, time
for _ in range(2):
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        for fd in range(64):
            try: os.close(fd)
            except OSError: pass
        while True:
            time.sleep(0.01)
            try: open("beat", "w")
            except OSError: pass
time.sleep(0.1)
{ending}
"""
        answer = attack(any_server, code, timeout_seconds=2 if "while" in ending else 60)
        assert answer["status"] == {"1": "ok", "while True: pass": "timeout"}.get(ending, "crashed")

    def test_a_caller_that_goes_away_leaves_nothing(self, any_server: Server) -> None:
        code = "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(100)\ntime.sleep(100)"
        with any_server.client() as client, pytest.raises(httpx.ReadTimeout):
            client.post("/v1/execute", json={"code": code, "timeout_seconds": 100}, timeout=2 * any_server.slow)
        assert leftovers(any_server) == []

    def test_a_false_answer_is_no_more_than_a_false_answer(self, any_server: Server) -> None:
        for false in (
            "b'\\xff' * 100",
            "b'\\0\\0\\0\\2[]'",
            "b'\\0\\0\\0\\4null'",
            "b'\\0\\0\\0\\x11' + b'{\"result\": [1, 2]}'[:17]",
        ):
            answer = attack(any_server, f"import os\nos.write(4, {false})\nos._exit(0)")
            assert answer["status"] in ("crashed", "error")

    def test_a_session_left_running_is_watched(self, any_server: Server) -> None:
        with any_server.client() as client, open_session(client) as session:
            code = "import threading, time\ndef f():\n    time.sleep(0.5)\n    x = []\n    while True:\n"
            code += "        x.append(bytearray(4_000_000))\nthreading.Thread(target=f).start()"
            first = client.post("/v1/execute", json={"code": code, "session_id": session}).json()
            assert first["status"] == "ok"
            time.sleep(2)
            body = {"code": "time.sleep(20)", "session_id": session}
            with Neighbour(any_server) as neighbour:
                second = client.post("/v1/execute", json=body).json()
            neighbour.check()
            assert (second["status"], second["session_ended"]) == ("memory_limit", True)
        assert leftovers(any_server) == []

    def test_between_runs_a_session_rests(self, any_server: Server) -> None:
        with any_server.client() as client, open_session(client) as session:
            first = counting(client, session)
            time.sleep(3)
            second = client.post("/v1/execute", json={"code": "time.sleep(0.5)\ncount", "session_id": session}).json()
            # Three seconds would be some 300; half a second of its own is some 50.
            assert first < int(second["result"]["text"]) < first + 150

    def test_a_timer_that_ends_the_rest_ends_the_session(self, any_server: Server) -> None:
        timer = """
import ctypes, signal
class Event(ctypes.Structure):
    _fields_ = [("value", ctypes.c_void_p), ("signal", ctypes.c_int), ("rest", ctypes.c_char * 52)]
signal.signal(signal.SIGCONT, lambda *_: None)  # or a timer stops when its signal is ignored
libc = ctypes.CDLL(None)
for number in range(40):  # one alone may be lost: a stop takes away the signal that waits
    timer = ctypes.c_void_p()
    assert libc.timer_create(1, ctypes.byref(Event(None, signal.SIGCONT)), ctypes.byref(timer)) == 0
    every = (ctypes.c_long * 4)(0, 200_000_000, 0, 5_000_000 * (number + 1))
    assert libc.timer_settime(timer, 0, ctypes.byref(every), None) == 0
"""
        with any_server.client() as client, open_session(client) as session:
            body = {"code": COUNTING + timer, "session_id": session}
            assert client.post("/v1/execute", json=body).json()["status"] == "ok"
            wait_for_its_end(client, session)
        assert leftovers(any_server) == []

    def test_what_a_session_left_running_ends_with_it(self, any_server: Server) -> None:
        with any_server.client() as client:
            session = client.post("/v1/sessions", json={"ttl_seconds": 1}).json()["id"]
            code = "import os, time\nif os.fork() == 0:\n    os.setsid()\n    while True: time.sleep(1)"
            body = {"code": code, "session_id": session}
            assert client.post("/v1/execute", json=body).json()["status"] == "ok"
            wait_for_its_end(client, session)
        assert leftovers(any_server) == []

    def test_a_false_answer_gives_a_session_no_time(self, any_server: Server) -> None:
        code = (
            COUNTING
            + """
import json, os
answer = json.dumps({"exit_code": 0, "result": {"type": "int", "text": "7"}}).encode()
os.write(4, len(answer).to_bytes(4, "big") + answer)
while True: time.sleep(0.01)
"""
        )
        with any_server.client() as client, open_session(client) as session:
            body = {"code": code, "session_id": session, "timeout_seconds": 20}
            first = client.post("/v1/execute", json=body).json()
            assert (first["status"], first["result"]["text"]) == ("ok", "7")
            time.sleep(3)
            look = {"code": "cat count", "language": "bash", "session_id": session}
            assert int(client.post("/v1/execute", json=look).json()["stdout"]["text"]) < 100

"""The interface, on a real server."""

import base64
import contextlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import sandboxes
from sandboxes import KEY, Server, encoded


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


def session(client: httpx.Client, **body: Any) -> str:
    answer = client.post("/v1/sessions", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def check_error(answer: httpx.Response, status: int, code: str | None = None) -> dict[str, Any]:
    """An error in OpenAI's shape."""
    assert answer.status_code == status, answer.text
    error: dict[str, Any] = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    assert error["type"]
    if code:
        assert error["code"] == code
    return error


class TestRuns:
    def test_output_result_and_exit_code(self, server: Server) -> None:
        answer = server.run("import sys\nprint('out')\nprint('err', file=sys.stderr)\nx = 20\nx + 1")
        assert answer["status"] == "ok"
        assert answer["stdout"] == {"text": "out\n", "truncated": False}
        assert answer["stderr"]["text"] == "err\n"
        assert answer["result"] == {"type": "int", "text": "21"}
        assert answer["exit_code"] == 0
        assert answer["error"] is None

    @pytest.mark.parametrize("code", ["", "x = 1", "None", "for i in range(3): pass", "# nothing"])
    def test_without_a_result(self, server: Server, code: str) -> None:
        answer = server.run(code)
        assert (answer["status"], answer["result"]) == ("ok", None)

    def test_exception(self, server: Server) -> None:
        answer = server.run("def f():\n    return 1 / 0\nf()")
        assert answer["status"] == "error"
        assert answer["error"]["type"] == "ZeroDivisionError"
        assert "return 1 / 0" in answer["error"]["traceback"]
        assert "interpreter/sandbox" not in answer["error"]["traceback"]

    @pytest.mark.parametrize("code", ["1 +", "\0", "def", "'\N{BOM}"])
    def test_code_that_is_no_python(self, server: Server, code: str) -> None:
        answer = server.run(code)
        assert (answer["status"], answer["error"]["type"]) == ("error", "SyntaxError")

    @pytest.mark.parametrize(
        ("code", "status", "exit_code"),
        [("exit()", "ok", 0), ("exit(3)", "error", 3), ("import sys; sys.exit('so')", "error", 1)],
    )
    def test_exit(self, server: Server, code: str, status: str, exit_code: int) -> None:
        answer = server.run(code)
        assert (answer["status"], answer["exit_code"]) == (status, exit_code)

    def test_a_crash_is_told(self, server: Server) -> None:
        answer = server.run("import os, signal\nprint('before', flush=True)\nos.kill(os.getpid(), signal.SIGSEGV)")
        assert (answer["status"], answer["exit_code"]) == ("crashed", 139)
        assert answer["stdout"]["text"] == "before\n"

    def test_standard_input(self, server: Server) -> None:
        assert server.run("input() + input()", stdin="one\ntwo\n")["result"]["text"] == "'onetwo'"
        assert server.run("tr a-z A-Z", language="bash", stdin="up")["stdout"]["text"] == "UP"

    def test_bash(self, server: Server) -> None:
        answer = server.run("echo $((6 * 7)); echo no >&2; echo made > f; exit 4", language="bash")
        assert (answer["status"], answer["exit_code"]) == ("error", 4)
        assert (answer["stdout"]["text"], answer["stderr"]["text"]) == ("42\n", "no\n")
        assert [(file["name"], base64.b64decode(file["content"])) for file in answer["files"]] == [("f", b"made\n")]

    def test_files_in_and_out(self, server: Server) -> None:
        code = "data = open('in/data.bin', 'rb').read()\nimport os\nos.mkdir('out')\n"
        code += "open('out/twice', 'wb').write(data * 2)"
        files = [{"name": "in/data.bin", "content": encoded(bytes(range(256)))}, {"name": "kept", "content": ""}]
        answer = server.run(code, files=files)
        assert [file["name"] for file in answer["files"]] == ["out/twice"]
        assert base64.b64decode(answer["files"][0]["content"]) == bytes(range(256)) * 2
        assert answer["files"][0]["size"] == 512

    def test_more_files_than_come_out(self, server: Server) -> None:
        answer = server.run("for n in range(70): open(f'{n:02}', 'w').write('x')")
        assert len(answer["files"]) == 64
        assert {skipped["reason"] for skipped in answer["skipped"]} == {"more than 64 files"}

    def test_plots(self, server: Server) -> None:
        code = "import matplotlib.pyplot as plt\nplt.plot([1, 2]); plt.show()\nplt.hist([1, 1, 2]); None"
        answer = server.run(code)
        assert answer["status"] == "ok", answer
        assert [plot["name"] for plot in answer["plots"]] == ["plot-1.png", "plot-2.png"]
        for plot in answer["plots"]:
            assert base64.b64decode(plot["content"]).startswith(b"\x89PNG\r\n")
        assert answer["files"] == []

    def test_numpy_and_pandas(self, server: Server) -> None:
        code = "import numpy as np, pandas as pd\npd.DataFrame({'a': np.arange(4)}).a.sum() + np.linalg.norm([3, 4])"
        assert server.run(code)["result"]["text"] == "np.float64(11.0)"

    def test_random_numbers_differ_between_runs(self, server: Server) -> None:
        code = "import random, uuid, numpy\nrandom.random(), numpy.random.rand(), uuid.uuid4()"
        assert len({server.run(code)["result"]["text"] for _ in range(3)}) == 3

    def test_output_is_cut(self, server: Server) -> None:
        answer = server.run("print('x' * 1_000_000)\n'y' * 1_000_000")
        assert answer["status"] == "ok"
        assert answer["stdout"]["truncated"]
        assert len(answer["stdout"]["text"]) == 256 * 1024
        assert len(answer["result"]["text"]) == 64 * 1024

    def test_text_that_is_no_unicode(self, server: Server) -> None:
        answer = server.run("import os\nos.write(1, b'\\xff\\n')\nprint('\\ud800')\n'\\udcff'")
        assert answer["stdout"]["text"] == "\N{REPLACEMENT CHARACTER}\n\\ud800\n"
        assert answer["result"]["text"] == "'\\udcff'"

    @pytest.mark.parametrize(
        "code", ["raise ValueError('\\ud800')", "class A:\n    def __repr__(self): return '\\ud800'\nA()"]
    )
    def test_half_a_character_is_told_as_its_escape(self, server: Server, code: str) -> None:
        answer = server.run(code)
        assert "\\ud800" in (answer["error"] or {}).get("message", "") + (answer["result"] or {}).get("text", "")

    def test_threads_and_children_work(self, server: Server) -> None:
        code = "import concurrent.futures as c, subprocess, sys\n"
        code += "r = list(c.ThreadPoolExecutor(4).map(lambda x: x * x, range(4)))\n"
        code += "r, subprocess.check_output([sys.executable, '-c', 'import numpy; print(numpy.ones(2).sum())'])"
        assert server.run(code)["result"]["text"] == "([0, 1, 4, 9], b'2.0\\n')"


class TestSessions:
    def test_state_is_kept(self, client: httpx.Client) -> None:
        name = session(client)

        def run(code: str, **more: Any) -> dict[str, Any]:
            body = {"code": code, "session_id": name, **more}
            return dict(client.post("/v1/execute", json=body).raise_for_status().json())

        assert run("x = 41\nopen('f', 'w').write('1')\nimport matplotlib.pyplot as plt")["status"] == "ok"
        second = run("plt.plot([1])\nx + int(open('f').read())")
        assert second["result"]["text"] == "42"
        assert (second["session_id"], second["session_ended"], second["files"]) == (name, False, [])
        assert len(second["plots"]) == 1
        assert run("cat f", language="bash")["stdout"]["text"] == "1"
        assert run("1 / 0")["status"] == "error"
        assert run("x")["result"]["text"] == "41"
        assert run("open('f', 'w').write('22')")["files"][0]["name"] == "f"
        assert client.get(f"/v1/sessions/{name}").json()["busy"] is False
        assert client.delete(f"/v1/sessions/{name}").status_code == 204
        check_error(client.get(f"/v1/sessions/{name}"), 404, "session_not_found")
        check_error(client.post("/v1/execute", json={"code": "x", "session_id": name}), 404)

    def test_sessions_are_apart(self, client: httpx.Client) -> None:
        one, two = session(client), session(client)
        for name in (one, two):
            client.post("/v1/execute", json={"code": f"x = {name!r}", "session_id": name}).raise_for_status()
        answer = client.post("/v1/execute", json={"code": "x", "session_id": one})
        assert answer.json()["result"]["text"] == repr(one)
        for name in (one, two):
            client.delete(f"/v1/sessions/{name}")

    def test_a_limit_ends_the_session(self, client: httpx.Client) -> None:
        name = session(client)
        body = {"code": "while True: pass", "session_id": name, "timeout_seconds": 0.5}
        answer = client.post("/v1/execute", json=body).json()
        assert (answer["status"], answer["session_ended"]) == ("timeout", True)
        check_error(client.get(f"/v1/sessions/{name}"), 404)

    def test_it_expires_when_idle(self, client: httpx.Client) -> None:
        name = session(client, ttl_seconds=1)
        wait_until(lambda: client.get(f"/v1/sessions/{name}").status_code == 404)

    def test_one_run_at_a_time(self, client: httpx.Client, server: Server) -> None:
        name = session(client)
        with background(server, {"code": "import time; time.sleep(30)", "session_id": name}):
            wait_until(lambda: client.get(f"/v1/sessions/{name}").json()["busy"])
            check_error(client.post("/v1/execute", json={"code": "1", "session_id": name}), 409, "session_busy")
            # To close it ends what runs in it.
            assert client.delete(f"/v1/sessions/{name}").status_code == 204

    def test_there_is_a_limit(self, client: httpx.Client) -> None:
        names = [session(client) for _ in range(3)]
        refused = client.post("/v1/sessions", json={})
        check_error(refused, 429, "sessions_full")
        assert int(refused.headers["retry-after"]) > 0
        for name in names:
            assert client.delete(f"/v1/sessions/{name}").status_code == 204
        client.delete(f"/v1/sessions/{session(client)}")


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@contextlib.contextmanager
def background(server: Server, body: dict[str, Any], count: int = 1) -> Iterator[list[int]]:
    """Requests that go on meanwhile, and their statuses at the end."""
    statuses: list[int] = []

    def call() -> None:
        with server.client() as client:
            statuses.append(client.post("/v1/execute", json=body).status_code)

    threads = [threading.Thread(target=call) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield statuses
    finally:
        for thread in threads:
            thread.join()


class TestKey:
    @pytest.mark.parametrize(
        "header",
        [None, "", "Bearer", "Bearer wrong", f"Basic {KEY}", KEY, f"Bearer {KEY}x", f"Bearer {KEY[:-1]}"],
    )
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("POST", "/v1/execute"),
            ("POST", "/v1/sessions"),
            ("GET", f"/v1/sessions/{'0' * 32}"),
            ("DELETE", f"/v1/sessions/{'0' * 32}"),
            ("GET", "/nothing"),
            ("GET", "/docs"),
            ("POST", "//v1/execute"),
            ("GET", "/metrics/"),
        ],
    )
    def test_wrong_or_missing(self, server: Server, header: str | None, method: str, path: str) -> None:
        headers = {} if header is None else {"Authorization": header}
        answer = httpx.request(method, server.url + path, headers=headers)
        assert check_error(answer, 401, "invalid_api_key")["type"] == "authentication_error"
        assert answer.headers["www-authenticate"] == "Bearer"

    @pytest.mark.parametrize("path", ["/health", "/ready", "/metrics", "/openapi.json"])
    def test_open_without(self, server: Server, path: str) -> None:
        assert httpx.get(server.url + path).status_code == 200

    def test_the_body_of_a_stranger_is_not_read(self, server: Server) -> None:
        with httpx.Client() as client:
            answer = client.post(f"{server.url}/v1/execute", content=b"{" * 100)
        check_error(answer, 401)


BAD_BODIES: list[tuple[Any, str | None]] = [
    ({}, "code"),
    ([], None),
    ("text", None),
    (None, None),
    (1, None),
    ({"code": 1}, "code"),
    ({"code": None}, "code"),
    ({"code": ["1"]}, "code"),
    ({"code": "x" * 1_000_001}, "code"),
    ({"code": "\ud800"}, "code"),
    ({"code": "1", "language": "ruby"}, "language"),
    ({"code": "1", "language": None}, "language"),
    ({"code": "1", "unknown": 1}, "unknown"),
    ({"code": "1", "timeout_seconds": 0}, "timeout_seconds"),
    ({"code": "1", "timeout_seconds": -1}, "timeout_seconds"),
    ({"code": "1", "timeout_seconds": 121}, "timeout_seconds"),
    ({"code": "1", "timeout_seconds": "10"}, "timeout_seconds"),
    ({"code": "1", "timeout_seconds": True}, "timeout_seconds"),
    ({"code": "1", "timeout_seconds": 10**400}, "timeout_seconds"),
    ({"code": "1", "stdin": 1}, "stdin"),
    ({"code": "1", "stdin": "x" * 1_000_001}, "stdin"),
    ({"code": "1", "session_id": "../x"}, "session_id"),
    ({"code": "1", "session_id": 1}, "session_id"),
    ({"code": "1", "files": {}}, "files"),
    ({"code": "1", "files": [1]}, "files.0"),
    ({"code": "1", "files": [{"name": "a"}]}, "files.0.content"),
    ({"code": "1", "files": [{"name": "a", "content": "?"}]}, "files.0.content"),
    ({"code": "1", "files": [{"name": "a", "content": "YQ"}]}, "files.0.content"),
    ({"code": "1", "files": [{"name": "a", "content": "", "mode": 511}]}, "files.0.mode"),
    ({"code": "1", "files": [{"name": "a", "content": ""}] * 2}, None),
    ({"code": "1", "files": [{"name": "a", "content": ""}, {"name": "a/b", "content": ""}]}, None),
    ({"code": "1", "files": [{"name": f"{n}", "content": ""} for n in range(65)]}, "files"),
]
BAD_NAMES = [
    "",
    "/etc/passwd",
    "../up",
    "a/../../up",
    "a/..",
    ".",
    "./a",
    "a//b",
    "a/",
    "a\\b",
    "a\0b",
    "a\nb",
    "\x7f",
    "x" * 513,
    "x" * 256,
    "ä" * 200,
    "a/b/c/d/e/f/g/h/i",
    "\ud800",
]


class TestBadInput:
    @pytest.mark.parametrize(("body", "param"), BAD_BODIES, ids=lambda value: repr(value)[:60])
    def test_bodies(self, client: httpx.Client, body: Any, param: str | None) -> None:
        headers = {"Content-Type": "application/json"}
        answer = client.post("/v1/execute", content=json.dumps(body).encode(), headers=headers)
        assert check_error(answer, 400)["param"] == param

    @pytest.mark.parametrize("name", BAD_NAMES, ids=lambda name: repr(name)[:30])
    def test_names(self, client: httpx.Client, name: str) -> None:
        body = json.dumps({"code": "1", "files": [{"name": name, "content": ""}]}).encode()
        answer = client.post("/v1/execute", content=body, headers={"Content-Type": "application/json"})
        assert check_error(answer, 400)["param"] == "files.0.name"

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b"{'code': 1}",
            b'{"code": "1"} {',
            b"\xff\xfe",
            b"\0" * 10,
            b'{"code": "\xff"}',
            b"[" * 100_000,
            b'{"code": "1", "timeout_seconds": NaN}',
            b'{"code": "1", "timeout_seconds": Infinity}',
            b'{"code": "1", "ttl_seconds": 1' + b"0" * 5000 + b"}",
        ],
        ids=lambda body: repr(body)[:30],
    )
    @pytest.mark.parametrize("path", ["/v1/execute", "/v1/sessions"])
    def test_what_is_no_json(self, client: httpx.Client, path: str, body: bytes) -> None:
        check_error(client.post(path, content=body, headers={"Content-Type": "application/json"}), 400)

    def test_other_media_types(self, client: httpx.Client) -> None:
        for kind in ("text/plain", "application/x-www-form-urlencoded"):
            answer = client.post("/v1/execute", content=b'{"code": "1"}', headers={"Content-Type": kind})
            check_error(answer, 415, "unsupported_media_type")

    def test_bodies_that_are_too_large(self, client: httpx.Client) -> None:
        headers = {"Content-Type": "application/json"}
        body = b'{"code": "' + b"x" * (25 * 1024 * 1024)
        check_error(client.post("/v1/execute", content=body, headers=headers), 413)
        pieces = (b"x" * 65536 for _ in range(400))
        check_error(client.post("/v1/execute", content=pieces, headers=headers), 413)

    def test_files_that_are_too_large(self, client: httpx.Client) -> None:
        body = {"code": "1", "files": [{"name": "a", "content": "A" * (12 * 1024 * 1024)}]}
        check_error(client.post("/v1/execute", json=body), 400, "string_too_long")

    def test_other_paths_and_methods(self, client: httpx.Client) -> None:
        check_error(client.get("/nothing"), 404)
        answer = client.get("/v1/execute")
        check_error(answer, 405)
        assert answer.headers["allow"] == "POST"
        check_error(client.get("/v1/sessions/short"), 400)

    @pytest.mark.parametrize("ttl", [0, -1, 3601, 1.5, "10", None, True])
    def test_times_to_live(self, client: httpx.Client, ttl: Any) -> None:
        assert check_error(client.post("/v1/sessions", json={"ttl_seconds": ttl}), 400)["param"] == "ttl_seconds"


class TestOperation:
    def test_request_ids(self, client: httpx.Client, server: Server) -> None:
        assert client.get("/health", headers={"x-request-id": "mine-1"}).headers["x-request-id"] == "mine-1"
        made = client.get("/health", headers={"x-request-id": "not good!"}).headers["x-request-id"]
        assert re.fullmatch("[0-9a-f]{32}", made)
        body = {"code": "print('not-in-the-log-5d2')"}
        client.post("/v1/execute", json=body, headers={"x-request-id": "mine-2"}).raise_for_status()
        text = server.log.read_text()
        lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        line = next(line for line in lines if line.get("request_id") == "mine-2")
        assert (line["route"], line["status"], line["run_status"]) == ("/v1/execute", 200, "ok")
        assert "not-in-the-log-5d2" not in text
        assert KEY not in text
        # Every line is one of the log, whatever was run.
        assert len(lines) == len(text.splitlines())

    def test_metrics(self, server: Server) -> None:
        before = server.metric('interpreter_runs_total{language="python",status="ok"}')
        server.run("1")
        text = httpx.get(f"{server.url}/metrics").text
        assert 'interpreter_runs_total{language="python",status="ok"}' in text
        assert server.metric("interpreter_runs_total") > before
        assert "process_resident_memory_bytes" in text

    def test_routes_are_not_labelled_by_path(self, client: httpx.Client, server: Server) -> None:
        for n in range(3):
            client.get(f"/nothing/{n}")
            client.get(f"/v1/sessions/{n:032x}")
        text = httpx.get(f"{server.url}/metrics").text
        assert "nothing" not in text
        assert 'route="/v1/sessions/{session_id}"' in text


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with sandboxes.start_native(tmp_path_factory.mktemp("narrow"), runs=1, queue=1, queue_seconds=2) as (server, _):
        yield server


class TestQueue:
    def test_full_and_waiting_too_long(self, narrow: Server) -> None:
        body = {"code": "import time; time.sleep(6)"}
        with background(narrow, body, count=2) as statuses, narrow.client() as client:
            wait_until(lambda: narrow.metric("interpreter_waiting") == 1)
            refused = client.post("/v1/execute", json={"code": "1"})
            check_error(refused, 429, "queue_full")
            assert refused.json()["error"]["type"] == "rate_limit_error"
            assert "retry-after" in refused.headers
        assert sorted(statuses) == [200, 429]
        assert 'interpreter_refused_total{reason="queue_timeout"} 1.0' in httpx.get(f"{narrow.url}/metrics").text


class TestStart:
    def test_it_ends_when_told_and_takes_runs_with_it(self, tmp_path: Path) -> None:
        with sandboxes.start_native(tmp_path) as (server, process):
            body = {"code": "import time; time.sleep(60)", "timeout_seconds": 100}
            with contextlib.suppress(httpx.HTTPError), server.client() as client:
                client.post("/v1/execute", json=body, timeout=1)
            began = time.monotonic()
        assert process.returncode == 0, server.log.read_text()
        assert time.monotonic() - began < 30

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"port": "x"}, "INTERPRETER_PORT='x'"),
            ({"runs": 0}, "INTERPRETER_RUNS='0'"),
            ({"api_key_file": "/nothing"}, "INTERPRETER_API_KEY_FILE='/nothing'"),
            ({"api_key_file": "/dev/null"}, "16 or more"),
        ],
    )
    def test_settings_that_are_wrong(self, tmp_path: Path, settings: dict[str, Any], message: str) -> None:
        with pytest.raises(AssertionError, match="did not start") as failure:
            with sandboxes.start_native(tmp_path, **settings):
                pass
        assert message in str(failure.value)
        assert "Traceback" not in str(failure.value)

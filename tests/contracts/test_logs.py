"""The rendered flags in the real VictoriaLogs and vlagent, over log files as Docker writes and rotates them.

The file form is Docker's `json-file` driver's (moby, `daemon/logger/jsonfilelog`): a line of JSON for each line of
output, with the labels that `log_opts` asks for under `attrs`; a full file is renamed and a new one begun.
"""

import json
import re
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.root import CHECKOUT
from engine.toolchain import VICTORIA_LOGS, VLAGENT, Tool, tool_path
from render.envoy.parts import access_log
from render.logs import FILES, shipper_command, store_command
from settings.model import LogStore
from tests.contracts.conftest import _absent, as_unprivileged, free_port, hand_over, servers_folder, serving

pytestmark = pytest.mark.contract
RUNBOOK = CHECKOUT / "docs/runbooks/reading-logs.md"
PATIENCE = 60
REQUEST = "3f0c8a52-7f7d-4a39-9a0e-6e8f6f3c1b77"


def program(tool: Tool) -> str:
    path = tool_path(tool)
    if not path.exists():
        _absent(tool.name)
    return str(path)


class Container:
    """A container's log, as Docker keeps it."""

    def __init__(self, folder: Path, identifier: str, service: str, part: str = "app") -> None:
        self.file = folder / "containers" / identifier / f"{identifier}-json.log"
        self.file.parent.mkdir(parents=True)
        self.labels = {"agentic-mesh.service": service, "agentic-mesh.part": part}
        self.time = datetime.now(UTC) - timedelta(hours=1)

    def says(self, *lines: str, stream: str = "stdout") -> None:
        with self.file.open("a") as file:
            for line in lines:
                self.time += timedelta(milliseconds=1)
                at = self.time.isoformat().replace("+00:00", "Z")
                entry = {"log": f"{line}\n", "stream": stream, "attrs": self.labels, "time": at}
                file.write(json.dumps(entry, separators=(",", ":")) + "\n")

    def rotate(self) -> None:
        """The driver keeps two older files beside the one that it writes."""
        older = self.file.with_name(f"{self.file.name}.1")
        if older.exists():
            older.rename(self.file.with_name(f"{self.file.name}.2"))
        self.file.rename(older)
        self.file.touch()


class Logs:
    """Store and shipper with the rendered flags, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.shipper_port = free_port(), free_port()
        self.running: dict[str, tuple[ExitStack, subprocess.Popen[str]]] = {}

    def start(self, name: str) -> None:
        """`store` or `shipper`."""
        if name == "store":
            command = [program(VICTORIA_LOGS), *store_command(LogStore())]
            changes = {"/victoria-logs-data": f"{self.folder}/store", "0.0.0.0:9428": f"127.0.0.1:{self.port}"}
        else:
            command = [program(VLAGENT), *shipper_command("oracle1", f"http://127.0.0.1:{self.port}")]
            files = f"{self.folder}/containers/*/*-json.log"
            changes = {"/vlagent-data": f"{self.folder}/queue", FILES: files}
            changes["0.0.0.0:9429"] = f"127.0.0.1:{self.shipper_port}"
        for there, here in changes.items():
            assert any(there in argument for argument in command), there
            command = [argument.replace(there, here) for argument in command]
        port = self.port if name == "store" else self.shipper_port
        stack = ExitStack()
        self.running[name] = stack, stack.enter_context(serving(command, port, self.folder / f"{name}.log"))

    def stop(self, name: str, *, kill: bool = False) -> None:
        stack, process = self.running.pop(name)
        if kill:
            process.send_signal(signal.SIGKILL)
        stack.close()

    def ask(self, path: str, **parameters: str) -> str:
        data = urllib.parse.urlencode(parameters).encode()
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", data, timeout=30) as answer:
            return str(answer.read().decode())

    def find(self, query: str) -> list[dict[str, Any]]:
        self.ask("/internal/force_flush")
        return [json.loads(line) for line in self.ask("/select/logsql/query", query=query).splitlines()]

    def messages(self, query: str, count: int) -> list[str]:
        """The lines of a query, in order, once there are at least as many as expected."""
        end = time.monotonic() + PATIENCE
        while True:
            found = [row["_msg"].rstrip("\n") for row in self.find(f"{query} | sort by (_time)")]
            if len(found) >= count or time.monotonic() > end:
                return found
            time.sleep(0.2)


@pytest.fixture
def logs() -> Iterator[Logs]:
    with servers_folder() as folder:
        found = Logs(folder)
        (folder / "containers").mkdir()
        try:
            yield found
        finally:
            for name in list(found.running):
                found.stop(name)


@pytest.fixture
def both(logs: Logs) -> Logs:
    logs.start("store")
    logs.start("shipper")
    return logs


@pytest.fixture
def container(logs: Logs) -> Callable[..., Container]:
    def make(identifier: str, service: str, part: str = "app") -> Container:
        return Container(logs.folder, identifier, service, part)

    return make


def refusal(url: str) -> tuple[int, str]:
    """Status and text of an answer that is an error."""
    try:
        with urllib.request.urlopen(url, b"query=*", timeout=30):  # noqa: S310 - of our own servers
            pytest.fail(f"{url} is not refused")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def access(**fields: Any) -> str:
    """A line of a proxy's access log, with the names that the proxies are told to use."""
    [found] = access_log("in-8000", http=True)
    written: dict[str, Any] = dict(found["typed_config"]["log_format"]["json_format"])
    assert fields.keys() <= written.keys()
    constant = {name: None if "%" in value else value for name, value in written.items()}
    return json.dumps(constant | fields, separators=(",", ":"))


def numbered(first: int, last: int) -> list[str]:
    return [f"line {number}" for number in range(first, last)]


def test_logs_of_a_service_are_one_query_whatever_its_container(
    both: Logs, container: Callable[..., Container]
) -> None:
    container("aaa", "vllm").says("of the first")
    container("bbb", "vllm").says("of the one that took its place", stream="stderr")
    container("ccc", "kong").says("of another service")
    assert both.messages('{attrs.agentic-mesh.service="vllm"}', 2) == ["of the first", "of the one that took its place"]
    [row] = both.find('{attrs.agentic-mesh.service="kong"}')
    assert {name: value for name, value in row.items() if not name.startswith("_")} == {
        "node": "oracle1",
        "attrs.agentic-mesh.service": "kong",
        "attrs.agentic-mesh.part": "app",
        "stream": "stdout",
    }
    streams = json.loads(both.ask("/select/logsql/stream_field_names", query="*"))["values"]
    assert {field["value"] for field in streams} == {
        "node", "attrs.agentic-mesh.service", "attrs.agentic-mesh.part", "stream",
    }  # fmt: skip


def test_a_program_cannot_pass_its_lines_off_as_another_s(both: Logs, container: Callable[..., Container]) -> None:
    forged = {"node": "thanos", "attrs": {"agentic-mesh.service": "kong"}, "attrs.agentic-mesh.service": "kong"}
    lines = [json.dumps({"msg": "x", **forged}), json.dumps({"_msg": "y", "_time": "2020-01-01T00:00:00Z", **forged})]
    container("aaa", "n8n").says(*lines)
    assert both.messages('{node="oracle1",attrs.agentic-mesh.service="n8n"}', 2) == lines
    assert both.find('{attrs.agentic-mesh.service="kong"}') == both.find('{node="thanos"}') == []


def test_colours_are_taken_out(both: Logs, container: Callable[..., Container]) -> None:
    container("aaa", "n8n").says("\x1b[31mred\x1b[0m")
    assert both.messages("*", 1) == ["red"]


def test_each_query_of_the_runbook_finds_something(both: Logs, container: Callable[..., Container]) -> None:
    queries = re.findall(r"```logsql\n(.*?)\n```", RUNBOOK.read_text(), re.DOTALL)
    assert len(queries) >= 7
    container("aaa", "vllm").says("INFO 11-28 started", "ERROR: out of memory", '"GET /health" 200')
    seen = {"caller": "spiffe://agentic-mesh/oracle1/kong", "method": "POST", "path": "/v1/chat", "duration_ms": 12}
    for identifier, service in (("bbb", "vllm"), ("ccc", "litellm")):
        proxy = container(identifier, service, "proxy")
        proxy.says(access(**seen, status=200, request_id=REQUEST), access(**seen, status=403, request_id="another"))
        proxy.says("[2026-11-28 18:00:00.000][1][warning][config] something")
    # The lines are an hour old.
    container("ddd", "vllm").says('{"level":"error","msg":"of n8n\'s kind"}')
    # On the node that the query names.
    both.messages("*", 10)
    for query in queries:
        rows = both.find(query.replace('node="thanos"', 'node="oracle1"'))
        assert rows, query
        assert all(value != "" for row in rows for value in row.values()), (query, rows)


def test_an_access_log_s_fields_are_found(both: Logs, container: Callable[..., Container]) -> None:
    seen = {"caller": "spiffe://agentic-mesh/oracle1/edge", "method": "POST", "path": "/v1/chat", "status": 403}
    container("aaa", "kong", "proxy").says(access(**seen, duration_ms=12, request_id=REQUEST), access(status=200))
    both.messages("*", 2)
    query = '{attrs.agentic-mesh.part="proxy"} | unpack_json | filter status:=403 | fields '
    [row] = both.find(f"{query} caller, method, path, status, duration_ms, request_id")
    assert row == {**seen, "status": "403", "duration_ms": "12", "request_id": REQUEST}
    # One direction of it, by the listener's name.
    query = f'"{REQUEST}" | unpack_json fields (listener) | filter listener:"in-"* | fields listener'
    assert both.find(query) == [{"listener": "in-8000"}]


def test_a_restarted_shipper_loses_and_doubles_nothing(both: Logs, container: Callable[..., Container]) -> None:
    log = container("aaa", "vllm")
    log.says(*numbered(0, 1000))
    assert both.messages("*", 1000) == numbered(0, 1000)
    both.stop("shipper")
    log.says(*numbered(1000, 1500))
    log.rotate()
    log.says(*numbered(1500, 2000))
    both.start("shipper")
    assert both.messages("*", 2000) == numbered(0, 2000)
    time.sleep(2)
    assert len(both.find("*")) == 2000


def test_a_killed_one_loses_nothing_and_a_query_takes_out_what_came_twice(
    both: Logs, container: Callable[..., Container]
) -> None:
    log = container("aaa", "vllm")
    log.says(*numbered(0, 500))
    assert both.messages("*", 500) == numbered(0, 500)
    both.stop("shipper", kill=True)
    log.says(*numbered(500, 600))
    both.start("shipper")
    assert both.messages("* | uniq by (_time, _msg)", 600) == numbered(0, 600)


def test_rotation_is_followed(both: Logs, container: Callable[..., Container]) -> None:
    log = container("aaa", "vllm")
    for turn in range(4):
        log.says(*numbered(turn * 300, turn * 300 + 300))
        assert both.messages("*", turn * 300 + 300) == numbered(0, turn * 300 + 300)
        log.rotate()
    log.says(*numbered(1200, 1210))
    assert both.messages("*", 1210) == numbered(0, 1210)


def test_nothing_is_lost_while_the_store_is_away(both: Logs, container: Callable[..., Container]) -> None:
    log = container("aaa", "vllm")
    log.says(*numbered(0, 100))
    assert both.messages("*", 100) == numbered(0, 100)
    both.stop("store")
    log.says(*numbered(100, 200))
    time.sleep(3)  # by now it has read them and tries to send
    both.stop("shipper")
    log.says(*numbered(200, 300))
    both.start("shipper")
    time.sleep(1)
    both.start("store")
    assert both.messages("*", 300) == numbered(0, 300)


def test_a_container_that_is_gone_at_once_has_its_log_kept(both: Logs, container: Callable[..., Container]) -> None:
    """Its file is open until it is read to its end."""
    log = container("aaa", "vllm")
    log.says("I start")
    assert both.messages("*", 1) == ["I start"]
    log.says("I fail")
    for file in sorted(log.file.parent.iterdir()):
        file.unlink()
    assert both.messages("*", 2) == ["I start", "I fail"]


@pytest.mark.parametrize("path", ["/delete/run_task?filter=*", "/internal/select/query", "/internal/insert"])
def test_the_store_refuses_what_a_single_one_does_not_need(logs: Logs, path: str) -> None:
    logs.start("store")
    status, said = refusal(f"http://127.0.0.1:{logs.port}{path}")
    assert status == 400
    assert "disable" in said


def test_no_other_web_page_reads_the_store(logs: Logs) -> None:
    logs.start("store")
    for path in ("/select/vmui/", "/select/logsql/query?query=*"):
        with urllib.request.urlopen(f"http://127.0.0.1:{logs.port}{path}", timeout=30) as answer:
            assert answer.status == 200
            assert answer.headers["Access-Control-Allow-Origin"] is None


def test_the_shipper_takes_no_logs_over_the_network(logs: Logs) -> None:
    logs.start("shipper")
    status, said = refusal(f"http://127.0.0.1:{logs.shipper_port}/insert/jsonline")
    assert status == 400
    assert "insert.disable" in said


def test_a_flag_that_is_misspelt_ends_the_start(logs: Logs) -> None:
    hand_over(logs.folder)
    for tool, flags in ((VICTORIA_LOGS, store_command(LogStore())), (VLAGENT, shipper_command("x", "http://x"))):
        command = [program(tool), *flags, "-retentionperiod=31d"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **as_unprivileged())
        assert done.returncode != 0
        assert "retentionperiod" in done.stdout + done.stderr

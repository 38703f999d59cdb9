"""The container's own command: it backs up by itself, tells its health and its figures, and ends in order."""

import json
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from subprocess import Popen

import pytest
from backup_program import Program
from loopback import free_ports, wait_until
from prometheus_client.parser import text_string_to_metric_families


@pytest.fixture
def port() -> int:
    return free_ports(1)[0]


@pytest.fixture
def serving(program: Program, port: int) -> Iterator["Popen[bytes]"]:
    (program.cache / "state.json").unlink()
    process = program.start("serve", BACKUP_PORT=str(port), BACKUP_SETTLE_SECONDS="0")
    yield process
    process.kill()
    process.communicate()


def _get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, ""
    except OSError:
        return 0, ""


def _figures(port: int) -> dict[str, float]:
    families = text_string_to_metric_families(_get(port, "/metrics")[1])
    return {
        s.name + (f"[{s.labels['part']}]" if "part" in s.labels else ""): s.value for f in families for s in f.samples
    }


def test_it_backs_up_by_itself_and_tells(program: Program, port: int, serving: "Popen[bytes]") -> None:
    wait_until(lambda: _get(port, "/health")[0] == 200, 20, "health")
    wait_until(lambda: _figures(port).get("backup_last_run_success") == 1, 90, "the first run")
    figures = _figures(port)
    now = time.time()
    assert now - 120 < figures["backup_last_success_timestamp_seconds[files/n8n-data]"] <= now
    assert now - 120 < figures["backup_last_verified_timestamp_seconds"] <= now
    assert figures["backup_snapshots[files/n8n-data]"] == 1
    assert figures["backup_size_bytes[files/n8n-data]"] > 70_000
    assert figures["backup_duration_seconds[files/n8n-data]"] > 0
    assert figures["backup_failed[files/n8n-data]"] == figures["backup_running"] == 0
    assert now < figures["backup_next_run_timestamp_seconds"] <= now + 86_400
    assert _get(port, "/elsewhere")[0] == 404

    # A command's run shows in the figures too; a failing one leaves the container healthy.
    program.give("passphrase", "wrong")
    assert program.run("now").returncode == 1
    assert _figures(port)["backup_last_run_success"] == 0
    assert _figures(port)["backup_failed[repository]"] == 1
    assert _get(port, "/health") == (200, "ok\n")

    serving.send_signal(signal.SIGTERM)
    printed, complained = serving.communicate(timeout=10)
    assert serving.returncode == 0
    assert complained == b""
    events = [json.loads(line)["event"] for line in printed.splitlines()]
    assert events[0] == "started"
    assert events[-1] == "stopped"

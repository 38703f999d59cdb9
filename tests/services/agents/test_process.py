"""The service as its container runs it: one command, an API and a worker below it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.services.agents.conftest import KEY, SERVICE
from tests.services.agents.servers import free_port, wait_until
from tests.services.agents.stand_in import StandIn
from tests.services.agents.team import create, ended


def _children(pid: int) -> dict[str, set[int]]:
    """Role -> processes below `pid`."""
    found: dict[str, set[int]] = {}
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with contextlib.suppress(FileNotFoundError):  # it ended in between
            *_, role, _end = [b"", b"", *Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")]
            found.setdefault(role.decode(), set()).add(int(child))
    return found


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ready").status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def _served(environment: dict[str, str], log: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    port = free_port()
    told = {**os.environ, **environment, "AGENTS_PORT": str(port), "AGENTS_WORKERS": "1"}
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-m", "mesh_agents"], cwd=SERVICE, env=told, stdout=output)
    try:
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait(10)


def test_one_command_runs_watches_and_stops_everything(
    environment: dict[str, str], upstream: StandIn, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with _served(environment, log) as (process, url):
        wait_until(lambda: _ready(url), what="readiness")
        headers = {"authorization": f"Bearer {KEY}", "x-request-id": "id-of-this-request"}
        with httpx.Client(base_url=url, headers=headers) as http:
            assert ended(http, create(http, route="simple"))["status"] == "succeeded"
            assert 'agents_runs_total{reason="done",status="succeeded"} 1.0' in http.get("/metrics").text, (
                "the API tells what the worker counted"
            )
            first = _children(process.pid)
            for role in ("worker", "api"):
                victim = min(first[role])
                os.kill(victim, signal.SIGKILL)
                wait_until(
                    lambda role=role, victim=victim: (
                        len(now := _children(process.pid).get(role, set())) == len(first[role]) and victim not in now
                    ),
                    what=f"a new {role}",
                )
                with httpx.Client(base_url=url, headers=headers) as again:  # its connection may have died with the API
                    assert ended(again, create(again, route="simple"))["status"] == "succeeded"
            assert len(first["api"]) == 2
            assert len(_children(process.pid)["api"] & first["api"]) == 1, "the other was left alone"
        below = set().union(*_children(process.pid).values())
        process.terminate()
        assert process.wait(60) == 0
        assert not [pid for pid in below if Path(f"/proc/{pid}").exists()]
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert all({"time", "level", "logger", "message", "request_id"} <= set(line) for line in lines)
    posted = [line for line in lines if line["message"] == "request" and line["method"] == "POST"]
    assert {line["request_id"] for line in posted} == {"id-of-this-request"}
    assert "secret-of" not in log.read_text()


def test_a_wrong_setting_or_role_stops_the_start(environment: dict[str, str]) -> None:
    def start(*command: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "mesh_agents", *command],
            cwd=SERVICE,
            env={**os.environ, **environment, **more},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    wrong = start("serve", AGENTS_CONFIG_DIR="/nowhere")
    assert (wrong.returncode, wrong.stderr) == (
        78,
        "cannot start: cannot read the secret 'api-key' in AGENTS_CONFIG_DIR: No such file or directory\n",
    )
    priceless = start("serve", AGENTS_PRICES='{"claude_opus": [5, 25]}')
    assert priceless.returncode == 78
    assert "AGENTS_PRICES names no price of vllm_local, claude_sonnet, claude_small" in priceless.stderr
    assert start("dance").returncode == 2

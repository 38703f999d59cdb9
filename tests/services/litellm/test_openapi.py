"""The routes that the mesh lets callers reach, fuzzed from the real proxy's own description of its API."""

import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.services.litellm.conftest import World
from tests.services.litellm.openapi import reachable
from tests.services.litellm.servers import MASTER_KEY, Proxy


@pytest.mark.parametrize(
    "chosen",
    [
        # Every edge of the description; that of a chat is so large that it takes minutes.
        ["--phases=coverage,fuzzing", "--max-examples=10", "--exclude-path=/v1/chat/completions"],
        ["--phases=examples,fuzzing", "--max-examples=100", "--include-path=/v1/chat/completions"],
    ],
    ids=["edges", "chat"],
)
def test_fuzzed_from_its_description(world: World, proxy: Proxy, tmp_path: Path, chosen: list[str]) -> None:
    """Whatever is sent, nothing is a 5xx, a wait or an error of another shape, and the proxy is well afterwards."""
    described = reachable(httpx.get(f"{proxy.url}/openapi.json", timeout=60).json())
    (tmp_path / "openapi.json").write_text(json.dumps(described))
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")),
            "run",
            "openapi.json",
            f"--url={proxy.url}",
            f"--header=Authorization: Bearer {MASTER_KEY}",
            "--checks=not_a_server_error,status_code_conformance,response_schema_conformance",
            "--generation-deterministic",
            "--request-timeout=20",
            "--workers=1",
            "--no-color",
            *chosen,
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, proxy.log()[-9000:] + done.stdout[-5000:] + done.stderr[-2000:]
    with world.redis.admin() as redis:
        assert redis.acl_log() == []
    given = {"model": "vllm_local", "messages": [{"role": "user", "content": str(tmp_path)}]}
    answer = httpx.post(
        f"{proxy.url}/v1/chat/completions", json=given, headers={"authorization": f"Bearer {MASTER_KEY}"}, timeout=30
    )
    assert answer.status_code == 200

"""The committed OpenAPI description: up to date, and held to by the service under a fuzzer."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.services.agents.conftest import KEY, SERVICE
from tests.services.agents.stand_in import StandIn

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant")

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "ignored_auth",
)
COMMITTED = SERVICE / "openapi.json"


def test_the_description_is_up_to_date(config_dir: Path) -> None:
    made = subprocess.run(
        [sys.executable, "-m", "mesh_agents", "openapi"],
        cwd=SERVICE,
        env={**os.environ, "AGENTS_CONFIG_DIR": str(config_dir)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(made.stdout) == json.loads(COMMITTED.read_text()), (
        "run in services/agents: AGENTS_CONFIG_DIR=<a folder with secrets> python -m mesh_agents openapi > openapi.json"
    )


def test_every_route_but_health_wants_a_key() -> None:
    paths = json.loads(COMMITTED.read_text())["paths"]
    for path, methods in paths.items():
        for operation in methods.values():
            assert bool(operation.get("security")) == path.startswith("/v1/"), path


def test_fuzzed_from_its_description(base_url: str, upstream: StandIn, tmp_path: Path) -> None:
    """Whatever is sent, no answer is a 5xx of ours or of a shape that is not described."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli"),
            "run",
            str(COMMITTED),
            f"--url={base_url}",
            f"--header=Authorization: Bearer {KEY}",
            f"--checks={','.join(CHECKS)}",
            "--phases=examples,coverage,fuzzing",
            "--max-examples=40",
            "--generation-deterministic",
            "--request-timeout=60",
            "--workers=1",
            "--no-color",
            "--continue-on-failure",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]

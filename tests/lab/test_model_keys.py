"""The model proxy's callers: each with a key of its own, what it spent in Postgres, nobody with the master key."""

import json
import time
from collections.abc import Callable

import pytest

from tests.lab.mesh import Mesh
from tests.lab.user import User, question
from topology.secrets import MODEL_CALLERS

pytestmark = [pytest.mark.lab, pytest.mark.engine]


def rows(mesh: Mesh, statement: str) -> list[list[str]]:
    command = ("psql", "--no-psqlrc", "-qtA", "-h", "/var/run/postgresql", "-U", "postgres", "-d", "litellm")
    code, said = mesh.execute("oracle1", "postgres", *command, "-c", statement)
    assert code == 0, said
    return [line.split("|") for line in said.splitlines()]


def wait_until(holds: Callable[[], bool], what: str, seconds: float = 120) -> None:
    """Spending is written each minute."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(2)


def calls(mesh: Mesh) -> dict[tuple[str, str], tuple[int, float]]:
    """By caller and model: how many were recorded and what they cost, in US dollars."""
    statement = """SELECT key_alias, model_group, count(*), sum(l.spend) FROM "LiteLLM_SpendLogs" l
        JOIN "LiteLLM_VerificationToken" t ON t.token = l.api_key WHERE status = 'success' GROUP BY 1, 2"""
    return {(key, model): (int(number), float(cost)) for key, model, number, cost in rows(mesh, statement)}


def test_each_caller_has_a_key_with_a_budget_that_asks_models_alone(mesh: Mesh) -> None:
    found = rows(mesh, 'SELECT key_alias, max_budget, allowed_routes FROM "LiteLLM_VerificationToken"')
    assert sorted(found) == [[caller, "25", "{llm_api_routes}"] for caller in sorted(MODEL_CALLERS)]


@pytest.mark.parametrize(
    ("path", "caller"), [("/v1/chat/completions", "agents"), ("/models/v1/chat/completions", "kong")]
)
def test_what_a_user_asks_is_recorded_under_the_callers_key(user: User, mesh: Mesh, path: str, caller: str) -> None:
    place = (caller, "claude_sonnet")
    before = calls(mesh).get(place, (0, 0.0))
    status, _, body = user.ask(path, question("claude_sonnet"))
    assert status == 200, body
    assert json.loads(body)["choices"][0]["message"]["content"]
    wait_until(lambda: calls(mesh).get(place, (0, 0.0))[0] == before[0] + 1, "the record")
    assert calls(mesh)[place][1] > before[1]


def test_nobody_but_the_proxy_holds_the_master_key(mesh: Mesh) -> None:
    master = mesh.passwords("oracle1")["litellm-master-key"]
    docker = mesh.docker("oracle1")
    holders = set()
    for name, container in mesh.containers("oracle1").items():
        if any(mount["Destination"] == "/config" for mount in container["Mounts"]):
            files, _ = docker.get_archive(name, "/config")
            if master.encode() in b"".join(files):
                holders.add(name)
    # The loader carries the files into the volume and never starts.
    assert holders == {"agentic-mesh-litellm", "agentic-mesh-litellm-pod-config-loader"}

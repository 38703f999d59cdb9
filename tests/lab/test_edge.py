"""The public edge in the platform: what it refuses and by which rule, what ordinary use passes, and what is written.

The whole table of requests is in `tests/contracts/test_waf.py`; here a few of them meet the image, the program's
configuration of it and what stands behind it.
"""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from render.edge import JSON_MIB
from tests.lab.mesh import Mesh
from tests.lab.user import User, question

pytestmark = [pytest.mark.lab, pytest.mark.engine]

APP = "agentic-mesh-edge"
TOOL = {
    "type": "function",
    "function": {"name": "clock", "description": "The time", "parameters": {"type": "object", "properties": {}}},
}


def rules(mesh: Mesh, since: float) -> set[int]:
    """The rules in the edge's audit log since then, which has an entry for each refusal a moment after it."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        log = mesh.docker("oracle1").logs(APP, since=since, stdout=True, stderr=False)
        entries = [json.loads(line)["transaction"] for line in log.splitlines() if line.startswith(b'{"transaction"')]
        if entries:
            return {int(message["details"]["ruleId"]) for entry in entries for message in entry["messages"]}
        time.sleep(0.5)
    return set()


@pytest.mark.parametrize(
    ("path", "body", "kind", "status", "rule"),
    [
        ("/v1/embeddings", json.dumps({"input": [1] * 1001}), "application/json", 400, 200007),
        ("/v1/chat/completions", "{not json", "application/json", 400, 200002),
        ("/webhook/lab", "hello", "text/plain", 403, 920420),
        ("/webhook/lab", json.dumps({"text": "' OR 1=1 --"}), "application/json", 403, 942100),
        ("/webhook/lab", json.dumps({"url": "http://192.168.1.1/x"}), "application/json", 403, 931100),
    ],
    ids=["1001 values", "no JSON", "text", "SQL", "an inner address"],
)
def test_a_refusal_names_its_rule(
    user: User, mesh: Mesh, tmp_path: Path, path: str, body: str, kind: str, status: int, rule: int
) -> None:
    file = tmp_path / "body"
    file.write_text(body)
    began = time.time()
    assert user.ask(path, None, "-H", f"Content-Type: {kind}", "--data-binary", f"@{file}", key=False)[0] == status
    assert rule in rules(mesh, began)


def test_a_file_with_an_apostrophe_in_its_name_is_refused(user: User, mesh: Mesh, tmp_path: Path) -> None:
    file = tmp_path / "O'Brien contract.pdf"
    file.write_bytes(b"%PDF-1.7")
    began = time.time()
    options = ("-F", f"file=@{file}")
    assert user.ask("/ocr/v1/convert/file", None, *options, key=False)[0] == 403
    assert 920120 in rules(mesh, began)


@pytest.mark.parametrize("more", [{}, {"tools": [TOOL] * 3}, {"stream": True}], ids=["plain", "tools", "streamed"])
def test_ordinary_requests_reach_the_model(user: User, more: dict[str, Any]) -> None:
    status, _, body = user.ask("/v1/chat/completions", question() | more)
    assert status == 200, body


def test_bodies_up_to_the_services_limit_reach_them(user: User, tmp_path: Path) -> None:
    """Without a key, Kong's rejection shows that the edge passed the body, and ModSecurity's that it did not."""
    for mib, status in ((JSON_MIB - 1, 401), (JSON_MIB + 1, 400)):
        file = tmp_path / f"{mib}"
        file.write_text(json.dumps({"model": "m", "input": "x" * (mib << 20)}))
        options = ("-H", "Content-Type: application/json", "--data-binary", f"@{file}")
        assert user.ask("/v1/embeddings", None, *options, key=False, seconds=120)[0] == status


def test_its_logs_are_its_own_and_hold_the_client_s_address(mesh: Mesh, user: User) -> None:
    user.ask("/v1/models?edge-test", key=False)
    code, text = mesh.execute("oracle1", "edge", "sh", "-c", "ls -ldn /var/log/edge; grep edge-test /var/log/edge/*")
    assert code == 0, text
    assert text.split()[2] == "101"
    address = text.splitlines()[-1].partition(":")[2].split()[0]
    assert not address.startswith(("10.", "172."))


def test_it_holds_a_document_of_the_largest_size(mesh: Mesh, user: User, tmp_path: Path) -> None:
    """ModSecurity needs ten times the body: a memory limit below that gets the worker killed."""
    file = tmp_path / "large.pdf"
    file.write_bytes(b"%PDF-1.7" + bytes(range(256)) * 4096 * 63)
    options = ("-F", f"file=@{file}")
    assert user.ask("/ocr/v1/convert/file", None, *options, key=False, seconds=300)[0] == 401
    assert not mesh.docker("oracle1").inspect_container(APP)["State"]["OOMKilled"]

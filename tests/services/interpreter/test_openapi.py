"""The description of the interface: as committed, and true for whatever a fuzzer makes of it."""

import json
from typing import Any

import schemathesis
from hypothesis import HealthCheck, settings
from interpreter.api.describe import text
from sandboxes import KEY, SOURCE, Server
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

COMMITTED = SOURCE / "openapi.json"
SCHEMA = schemathesis.openapi.from_dict(json.loads(COMMITTED.read_text()))
EXAMPLES = 25


def test_the_committed_description_is_current() -> None:
    message = "write it again: cd services/interpreter && python -m interpreter.api.describe > openapi.json"
    assert COMMITTED.read_text() == text(), message


@SCHEMA.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_every_answer_is_a_described_one(case: Any, server: Server) -> None:
    if case.method == "POST" and isinstance(case.body, dict) and "timeout_seconds" in case.body:
        # Valid times may be two minutes; the code is whatever the fuzzer wrote.
        case.body["timeout_seconds"] = 0.2 if case.meta is None or case.meta.generation.mode.is_positive else -1
    headers = {"Authorization": f"Bearer {KEY}"}
    response = case.call(base_url=server.url, headers=headers, timeout=60)
    case.validate_response(
        response, checks=[not_a_server_error, status_code_conformance, response_schema_conformance], headers=headers
    )
    if case.path == "/v1/sessions" and response.status_code == 201:
        with server.client() as client:
            client.delete(f"/v1/sessions/{response.json()['id']}")

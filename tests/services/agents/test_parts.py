"""Small things that need no server."""

import hashlib
import json
import logging
import sys
from datetime import datetime, time
from pathlib import Path
from typing import Any

import pytest

from tests.services.agents.conftest import SERVICE
from tests.services.agents.servers import PRICES

sys.path.insert(0, str(SERVICE))

from mesh_agents.auth import Keys
from mesh_agents.config import SECRETS, ConfigError, Settings
from mesh_agents.errors import ApiError
from mesh_agents.graph.monitor import LOOP, fingerprint, verdict
from mesh_agents.graph.prompts import MAX_PLAN, parse_plan
from mesh_agents.llm.prices import Prices
from mesh_agents.logs import JsonFormatter, request_id
from mesh_agents.rag.answer import cited
from mesh_agents.routing.routes import CHAT_MODELS
from mesh_agents.runs.window import opens
from mesh_agents.tools.attachments import attachments

NIGHT = (time(22), time(6))


@pytest.mark.parametrize(
    ("now", "window", "expected"),
    [
        ("2026-03-01T12:00", NIGHT, "2026-03-01T22:00"),
        ("2026-03-01T23:00", NIGHT, None),
        ("2026-03-01T05:59", NIGHT, None),
        ("2026-03-01T06:00", NIGHT, "2026-03-01T22:00"),
        ("2026-03-01T12:00", (time(1), time(2)), "2026-03-02T01:00"),
        ("2026-03-01T01:30", (time(1), time(2)), None),
        ("2026-03-01T01:30", (time(3), time(3)), None),
    ],
)
def test_the_off_peak_window(now: str, window: tuple[time, time], expected: str | None) -> None:
    at = datetime.fromisoformat(f"{now}+00:00")
    assert opens(at, *window) == (None if expected is None else datetime.fromisoformat(f"{expected}+00:00"))


@pytest.mark.parametrize(
    "text",
    ["", "no json", "{}", '{"steps": []}', '{"steps": [{"worker": "boss", "task": "x"}]}', '{"steps": [1]}', "{" * 50],
)
def test_a_senseless_plan_becomes_one_step(text: str) -> None:
    assert parse_plan(text, "do it") == [{"worker": "analyzer", "task": "do it"}]


def test_a_plan_is_cut_to_size_and_found_in_prose() -> None:
    steps = json.dumps({"steps": [{"worker": "coder", "task": str(n)} for n in range(50)]})
    assert len(parse_plan(f"Here is it:\n```json\n{steps}\n```", "x")) == MAX_PLAN


def _state(**changed: Any) -> Any:
    return {
        "usage": {"steps": 1, "tokens": 10, "usd": 0.1},
        "limits": {"steps": 5, "tokens": 100, "seconds": 60.0, "usd": 1.0},
        "started": 1000.0,
        "seen": [],
        **changed,
    }


@pytest.mark.parametrize(
    ("changed", "now", "expected"),
    [
        ({}, 1001, None),
        ({}, 1060, "limit_seconds"),
        ({"usage": {"steps": 5, "tokens": 0, "usd": 0}}, 1001, "limit_steps"),
        ({"usage": {"steps": 1, "tokens": 100, "usd": 0}}, 1001, "limit_tokens"),
        ({"usage": {"steps": 1, "tokens": 0, "usd": 1.0}}, 1001, "limit_usd"),
        ({"seen": ["a"] * LOOP}, 1001, "loop"),
        ({"seen": ["a", "a", "b"]}, 1001, None),
    ],
)
def test_the_monitors_verdict(changed: dict[str, Any], now: float, expected: str | None) -> None:
    assert verdict(_state(**changed), now) == expected


def test_fingerprints_ignore_ids_only() -> None:
    def call(name: str, identity: str) -> dict[str, Any]:
        return {"content": None, "tool_calls": [{"id": identity, "function": {"name": name, "arguments": "{}"}}]}

    assert fingerprint(0, call("a", "1")) == fingerprint(0, call("a", "2"))
    assert fingerprint(0, call("a", "1")) != fingerprint(0, call("b", "1"))
    assert fingerprint(0, call("a", "1")) != fingerprint(1, call("a", "1"))


def test_prices() -> None:
    prices = Prices.parse(json.dumps({**json.loads(PRICES), "claude_opus": [10, 20]}))
    assert prices.cost("claude_opus", 1_000_000, 1_000_000) == 30
    assert prices.cost("vllm_local", 10**9, 10**9) == 0
    assert prices.cost("unknown", 1_000_000, 0) == 10, "the dearest"


@pytest.mark.parametrize("model", CHAT_MODELS)
def test_no_models_price_is_assumed(model: str) -> None:
    given = {name: pair for name, pair in json.loads(PRICES).items() if name != model}
    with pytest.raises(ValueError, match=f"no price of {model}$"):
        Prices.parse(json.dumps(given))


@pytest.mark.parametrize("pair", [[1], [1, 2, 3], ["a", 1], None, 3, [-1, 1], [float("nan"), 1], [1, float("inf")]])
def test_what_is_no_price_is_refused(pair: object) -> None:
    with pytest.raises(ValueError, match="AGENTS_PRICES must be JSON"):
        Prices.parse(json.dumps({**json.loads(PRICES), "claude_opus": pair}))


def test_citations() -> None:
    assert cited("a [1] b [3][1] c [12]", 3) == ([1, 3], [12])


def test_attachments_are_numbered_and_nothing_is_fetched() -> None:
    content = [
        {"type": "text", "text": "x"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
        {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}},
        {"type": "file", "file": {"file_data": "data:text/plain;base64,aGk=", "filename": "a\r\n.txt"}},
        {"type": "file", "file": {"file_data": "aGk="}},
        {"type": "file", "file": {"file_id": "file-1"}},
    ]
    found = attachments([{"role": "user", "content": content}])
    assert [file.name for file in found] == ["image-1.png", "audio-2.wav", "a_.txt", "file-4"]
    assert {file.content for file in found} == {b"hi"}
    with pytest.raises(ApiError):
        attachments([{"content": [{"type": "input_audio", "input_audio": {"data": "?", "format": "wav"}}]}])


def _settings(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in SECRETS:
        (folder / name).write_text(f"secret-of-{name}")
    monkeypatch.setenv("AGENTS_CONFIG_DIR", str(folder))
    return Settings()


def test_a_missing_or_empty_secret_stops_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = _settings(tmp_path, monkeypatch)
    (tmp_path / "ocr-key").write_text(" \n")
    with pytest.raises(ConfigError, match=r"ocr-key.*empty"):
        settings.check_secrets()
    (tmp_path / "ocr-key").unlink()
    with pytest.raises(ConfigError, match="ocr-key"):
        settings.check_secrets()


@pytest.mark.parametrize(
    ("name", "value"), [("OFF_PEAK", "25:00-06:00"), ("PRICES", "[]"), ("PRICES", ""), ("WORKERS", "0")]
)
def test_wrong_values_are_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"AGENTS_{name}", value)
    with pytest.raises(ValueError, match=r"."):
        Settings()


def test_a_tenants_key_is_bound_to_its_tenant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = _settings(tmp_path, monkeypatch)
    digest = hashlib.sha256(b"key-of-anna").hexdigest()
    (tmp_path / "tenants.json").write_text(json.dumps({"anna": digest}))
    keys = Keys.load(settings)
    assert keys.tenant("Bearer key-of-anna", "bert") == "anna", "it cannot act for another"
    assert keys.tenant("Bearer secret-of-api-key", None) == "default"
    assert keys.tenant("Bearer secret-of-api-key", "bert") == "bert"
    with pytest.raises(ApiError):
        keys.tenant("Bearer secret-of-api-key", "be rt")
    (tmp_path / "tenants.json").write_text("[1]")
    with pytest.raises(ConfigError, match=r"tenants\.json"):
        Keys.load(settings)


def test_a_log_line_is_json_with_the_request_id() -> None:
    token = request_id.set("r-1")
    try:
        record = logging.LogRecord("x", logging.INFO, "f", 1, "hello %s", ("you",), None)
        record.tenant = "anna"
        line = json.loads(JsonFormatter().format(record))
    finally:
        request_id.reset(token)
    assert (line["message"], line["request_id"], line["tenant"], line["level"]) == ("hello you", "r-1", "anna", "info")


def test_nothing_secret_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = _settings(tmp_path, monkeypatch)
    assert "secret-of" not in repr(settings) + repr(settings.secret("api-key")) + str(settings.model_dump())

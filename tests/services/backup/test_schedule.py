"""When runs and checks are due, and how the store is named."""

from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
from backup.logs import Log
from backup.schedule import check_due, check_slice, due, slot
from backup.settings import Settings, from_environment
from backup.state import PartState, State, Store

DAY = 86_400
BASE = {
    "BACKUP_NODE": "oracle1",
    "BACKUP_BUCKET": "agentic-mesh-backup-oracle1",
    "BACKUP_REGION": "eu-central-1",
    "BACKUP_HOST": "agentic-mesh-backup-oracle1.s3.eu-central-1.amazonaws.com",
    "BACKUP_JITTER_MINUTES": "0",
}


def _at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.fixture
def settings() -> Settings:
    return from_environment(BASE)


@pytest.mark.parametrize(
    "host",
    [
        "agentic-mesh-backup-oracle1.s3.eu-central-1.amazonaws.com",
        "agentic-mesh-backup-oracle1.s3.dualstack.eu-central-1.amazonaws.com",
    ],
)
def test_a_bucket_with_a_host_name_of_its_own(host: str) -> None:
    settings = from_environment(BASE | {"BACKUP_HOST": host})
    assert settings.repository == "s3:https://s3.eu-central-1.amazonaws.com/agentic-mesh-backup-oracle1"
    assert settings.bucket_lookup == "dns"


def test_a_bucket_in_the_path() -> None:
    settings = from_environment(BASE | {"BACKUP_HOST": "s3.example.net"})
    assert settings.repository == "s3:https://s3.example.net/agentic-mesh-backup-oracle1"
    assert settings.bucket_lookup == "path"


@pytest.mark.parametrize(
    ("started", "ended", "ok", "now", "expected"),
    [
        pytest.param(0, 0, False, "2026-03-02T12:00", ("2026-03-02T12:05", False), id="never: once settled"),
        pytest.param("2026-03-02T02:30", "2026-03-02T02:40", True, "2026-03-02T12:00", ("2026-03-03T02:30", False)),
        pytest.param("2026-03-01T02:30", "2026-03-01T02:40", True, "2026-03-02T12:00", ("2026-03-02T12:05", False)),
        pytest.param("2026-03-02T02:30", "2026-03-02T02:40", False, "2026-03-02T12:00", ("2026-03-02T12:05", True)),
        pytest.param("2026-03-02T02:30", "2026-03-01T02:40", False, "2026-03-02T12:00", ("2026-03-02T12:05", False)),
        pytest.param("2026-03-02T11:30", "2026-03-02T11:40", False, "2026-03-02T12:00", ("2026-03-02T12:40", True)),
        pytest.param("2026-03-02T02:00", "2026-03-02T02:05", False, "2026-03-02T02:10", ("2026-03-02T02:30", False)),
    ],
)
def test_when_a_run_is_due(
    settings: Settings, started: str, ended: str, ok: bool, now: str, expected: tuple[str, bool]
) -> None:
    state = State(started=_at(started) if started else 0, ended=_at(ended) if ended else 0, ok=ok)
    when, only_failed = due(settings, state, _at(now), up_since=_at(now))
    assert (datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%dT%H:%M"), only_failed) == expected


def test_nodes_are_spread_and_each_keeps_its_time() -> None:
    def minutes(node: str, now: str) -> float:
        settings = from_environment(BASE | {"BACKUP_NODE": node, "BACKUP_JITTER_MINUTES": "30"})
        return (slot(settings, _at(now)) % DAY) / 60 - 150

    spread = {minutes(node, "2026-03-02T12:00") for node in ("thanos", "oracle1", "oracle2")}
    assert len(spread) == 3
    assert all(0 <= m < 30 for m in spread)
    assert minutes("thanos", "2026-03-02T12:00") == minutes("thanos", "2026-07-09T01:00")


def test_checks_are_weekly_and_read_everything_in_time(settings: Settings) -> None:
    sunday, monday = _at("2026-03-01T02:40"), _at("2026-03-02T02:40")
    assert check_due(settings, 0, monday)
    assert not check_due(settings, sunday, monday)
    assert check_due(settings, sunday - 7 * DAY, sunday)
    assert not check_due(settings, sunday - 3600, sunday)
    assert check_due(settings, monday - 9 * DAY, monday), "missed on its day"
    assert {check_slice(settings, sunday + week * 7 * DAY) for week in range(12)} == set(range(1, 13))


def test_state_outlives_and_a_spoilt_file_does_not_stop_anything(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.load() == State()
    state = State(repository="abc", parts={"files/a": PartState(success=5, error=None)})
    store.save(state)
    assert store.load() == state
    (tmp_path / "state.json").write_text('{"parts": {"files/a": {"success": 5, "new": 1}}, "also_new": 2}')
    assert store.load().parts["files/a"].success == 5
    (tmp_path / "state.json").write_text('{"parts"')
    assert store.load() == State()


def test_logs_leave_secrets_out() -> None:
    stream = StringIO()
    Log(stream, secrets=['pass"word\\1', "abc"]).info("failed", error='with pass"word\\1 and abc')
    printed = stream.getvalue()
    assert 'pass\\"word' not in printed
    assert "[secret] and abc" in printed

"""Long jobs: a real worker process on real Redis and Postgres."""

import base64
import time
import uuid
from typing import Any

import httpx
import pytest

from tests.services.agents.conftest import KEY, Worker, serving
from tests.services.agents.servers import Postgres, wait_until
from tests.services.agents.stand_in import PNG, Say, StandIn
from tests.services.agents.team import PLAN, create, ended, events, get, system, team


def test_a_run_from_plan_to_answer(http: httpx.Client, upstream: StandIn, worker: Worker) -> None:
    upstream.script = team
    run = ended(http, create(http))
    assert (run["status"], run["error"]) == ("succeeded", None)
    assert run["result"]["output"] == "The answer is 42, six times seven."
    assert [step["worker"] for step in run["result"]["plan"]] == ["coder", "analyzer"]
    assert run["result"]["usage"]["steps"] == 5
    assert run["result"]["usage"]["tokens"] == 5 * 150
    assert upstream.executed == ["print(6 * 7)"]
    nodes = [event["node"] for event in events(http, run) if event["type"] == "step"]
    assert nodes == [
        "router", "planner", "monitor", "coder", "monitor", "tools", "monitor", "coder", "monitor", "analyzer",
        "monitor", "conclude",
    ]  # fmt: skip


def test_events_go_on_behind_the_last_one_seen(http: httpx.Client, upstream: StandIn, worker: Worker) -> None:
    upstream.script = lambda payload: team(payload) if "planner" in system(payload) else Say("done", delay=0.3)
    run = create(http)
    everything = events(http, run)
    assert everything[0]["type"] == "started"
    assert everything[-1]["type"] == "succeeded"
    with http.stream("GET", f"/v1/runs/{run['id']}/events") as stream:
        first = next(line for line in stream.iter_lines() if line.startswith("id:"))
    assert events(http, run, **{"Last-Event-ID": first[3:].strip()}) == everything[1:]


@pytest.mark.parametrize(
    ("limits", "code"),
    [({"steps": 1}, "limit_steps"), ({"tokens": 160}, "limit_tokens"), ({"usd": 0.0001}, "limit_usd")],
)
def test_the_monitor_ends_a_run_at_its_limit(
    http: httpx.Client, upstream: StandIn, worker: Worker, limits: dict[str, Any], code: str
) -> None:
    upstream.script = team
    run = ended(http, create(http, limits=limits))
    assert (run["status"], run["error"]["code"]) == ("failed", code)


def test_the_monitor_ends_a_run_that_takes_too_long(http: httpx.Client, upstream: StandIn, worker: Worker) -> None:
    upstream.script = lambda payload: Say(team(payload).text, team(payload).tool_calls, delay=0.7)
    run = ended(http, create(http, limits={"seconds": 1}))
    assert (run["status"], run["error"]["code"]) == ("failed", "limit_seconds")


def test_the_monitor_ends_a_loop(http: httpx.Client, upstream: StandIn, worker: Worker) -> None:
    again = Say("", tool_calls=[("run_code", {"code": "print(1)"})])
    upstream.script = lambda payload: Say(PLAN) if "planner" in system(payload) else again
    run = ended(http, create(http))
    assert (run["status"], run["error"]["code"]) == ("failed", "loop")
    assert len(upstream.executed) == 2


def test_attachments_are_read_by_the_tools(http: httpx.Client, upstream: StandIn, worker: Worker) -> None:
    asked = [
        ("read_image", {"attachment": 1}),
        ("transcribe_audio", {"attachment": 2}),
        ("read_image", {"attachment": 7}),
    ]
    upstream.script = lambda payload: (
        Say("chairs and a lighthouse") if payload["messages"][-1]["role"] == "tool" else Say("", tool_calls=asked)
    )
    content = [
        {"type": "text", "text": "What do the picture and the recording say?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{base64.b64encode(PNG).decode()}"}},
        {"type": "input_audio", "input_audio": {"data": "UklGRiBoaQ==", "format": "wav"}},
    ]
    body = {"messages": [{"role": "user", "content": content}], "route": "complex"}
    run = ended(http, http.post("/v1/runs", json=body).json())
    assert run["result"]["output"] == "chairs and a lighthouse"
    assert upstream.docling.converted == [PNG]
    image, audio, missing = (m["content"] for m in upstream.chats[-1]["messages"] if m["role"] == "tool")
    assert "1871" in image
    assert "forty chairs" in audio
    assert "there is no attachment 7" in missing


def test_a_run_that_is_worked_on_can_be_cancelled(http: httpx.Client, upstream: StandIn, worker: Worker) -> None:
    upstream.script = lambda _: Say(delay=20)
    run = create(http, route="simple")
    wait_until(lambda: bool(upstream.chats), what="the model's call")
    assert http.post(f"/v1/runs/{run['id']}/cancel").json()["cancel_requested"]
    assert ended(http, run)["status"] == "cancelled"
    assert http.post(f"/v1/runs/{run['id']}/cancel").json()["status"] == "cancelled"


def test_a_run_that_waits_ends_with_an_event_when_it_is_cancelled(http: httpx.Client, worker: Worker) -> None:
    run = create(http, heavy=True)
    assert http.post(f"/v1/runs/{run['id']}/cancel").json()["status"] == "cancelled"
    assert [event["type"] for event in events(http, run)] == ["cancelled"]
    http.post(f"/v1/runs/{run['id']}/cancel")
    assert len(events(http, run)) == 1, "once"


@pytest.mark.parametrize("way", ["", "/events", "/images/1", "/cancel"])
def test_another_tenant_has_no_such_run(http: httpx.Client, way: str) -> None:
    run = create(http, heavy=True)
    method = "POST" if way == "/cancel" else "GET"
    answer = http.request(method, f"/v1/runs/{run['id']}{way}", headers={"x-consumer-username": "somebody"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "run_not_found")
    assert not get(http, run)["cancel_requested"]
    http.post(f"/v1/runs/{run['id']}/cancel")


def test_the_same_idempotency_key_is_one_run(http: httpx.Client) -> None:
    headers = {"idempotency-key": uuid.uuid4().hex}
    first, second = (http.post("/v1/runs", json={"input": "x"}, headers=headers).json() for _ in range(2))
    assert first["id"] == second["id"]
    other = {**headers, "x-consumer-username": "somebody"}
    assert http.post("/v1/runs", json={"input": "x"}, headers=other).json()["id"] != first["id"]
    assert http.get(f"/v1/runs/{first['id']}", headers=other).status_code == 404
    for name in (headers, other):
        run = http.post("/v1/runs", json={"input": "x"}, headers=name).json()
        http.post(f"/v1/runs/{run['id']}/cancel", headers=name)


def test_heavy_jobs_wait_for_the_window(
    http: httpx.Client, upstream: StandIn, worker: Worker, postgres: Postgres, environment: dict[str, str]
) -> None:
    waiting = create(http, heavy=True, route="simple")
    assert waiting["status"] == "waiting"
    assert waiting["not_before"]
    assert ended(http, create(http, heavy=True, run_now=True, route="simple"))["status"] == "succeeded"
    assert get(http, waiting)["status"] == "waiting"
    # It has missed its window: every worker was away.
    postgres.psql(f"UPDATE runs SET not_before = now() WHERE id = '{waiting['id']}'")  # noqa: S608 - ours
    time.sleep(3)
    assert get(http, waiting)["status"] == "waiting", "the window is closed"
    other = Worker({**environment, "AGENTS_OFF_PEAK": "00:00-00:00"})
    try:
        assert ended(http, waiting)["status"] == "succeeded"
    finally:
        other.stop()


def test_a_heavy_job_starts_at_once_within_the_window(
    environment: dict[str, str], upstream: StandIn, worker: Worker
) -> None:
    with serving({**environment, "AGENTS_OFF_PEAK": "00:00-00:00"}) as url:
        with httpx.Client(base_url=url, headers={"authorization": f"Bearer {KEY}"}) as http:
            wait_until(lambda: http.get("/ready").status_code == 200, what="readiness")
            assert ended(http, create(http, heavy=True, route="simple"))["status"] == "succeeded"


def test_a_model_that_is_away_for_a_moment_ends_no_run(http: httpx.Client, upstream: StandIn, worker: Worker) -> None:
    upstream.script = lambda _: Say("back again") if len(upstream.chats) > 2 else Say(fault="status:503")
    run = ended(http, create(http, route="simple"))
    assert run["result"]["output"] == "back again"


def test_a_model_that_stays_away_ends_it_with_a_clear_error(
    http: httpx.Client, upstream: StandIn, worker: Worker
) -> None:
    upstream.script = lambda _: Say(fault="status:503")
    run = ended(http, create(http, route="simple"), 40)
    assert (run["status"], run["error"]["code"]) == ("failed", "dependency_unavailable")


BAD: list[tuple[dict[str, Any], str]] = [
    ({}, "invalid_value"),
    ({"input": "a", "messages": [{"role": "user", "content": "b"}]}, "invalid_value"),
    ({"input": ""}, "invalid_value"),
    ({"input": "a", "route": "up"}, "route_not_found"),
    ({"input": "a", "limits": {"steps": 0}}, "invalid_value"),
    ({"input": "a", "limits": {"usd": -1}}, "invalid_value"),
    ({"input": "a", "unknown": 1}, "invalid_value"),
    ({"input": "a\u0000b"}, "invalid_value"),
]


@pytest.mark.parametrize(("body", "code"), BAD)
def test_bad_runs(http: httpx.Client, body: dict[str, Any], code: str) -> None:
    answer = http.post("/v1/runs", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)


def test_what_ended_long_ago_is_forgotten(
    http: httpx.Client, upstream: StandIn, postgres: Postgres, worker: Worker
) -> None:
    upstream.script = team
    old, new = create(http), create(http)
    for run in (old, new):
        assert ended(http, run)["status"] == "succeeded"

    def kept(run: dict[str, Any]) -> list[int]:
        tables = {"runs": "id", "run_events": "run", "effects": "run"} | {
            f"checkpoint{of}": "thread_id" for of in ("s", "_blobs", "_writes")
        }
        return [
            int(postgres.psql(f"SELECT count(*) FROM {table} WHERE {column}::text = '{run['id']}'"))  # noqa: S608 - ours
            for table, column in tables.items()
        ]

    assert all(kept(old))
    for run, days in ((old, 31), (new, 29)):
        postgres.psql(f"UPDATE runs SET ended_at = now() - interval '{days} days' WHERE id = '{run['id']}'")  # noqa: S608 - ours
    wait_until(lambda: http.get(f"/v1/runs/{old['id']}").status_code == 404, what="the old run's end")
    assert not any(kept(old))
    assert all(kept(new))

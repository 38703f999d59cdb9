"""What dies under a run: workers, killed for real, the queue and the database; and runs that no worker is there for."""

import time
from pathlib import Path
from typing import Any

import httpx

from tests.services.agents.conftest import Worker
from tests.services.agents.servers import Postgres, Redis, wait_until
from tests.services.agents.stand_in import Say, StandIn
from tests.services.agents.team import ASKED, PROMPT, create, ended, events, get, painter, system, team


def test_a_run_that_waits_can_be_cancelled(http: httpx.Client, upstream: StandIn) -> None:
    run = create(http)
    assert http.post(f"/v1/runs/{run['id']}/cancel").json()["status"] == "cancelled"


def test_too_many_are_refused_and_one_tenant_leaves_the_others_room(http: httpx.Client, upstream: StandIn) -> None:
    tenants = [{"x-consumer-username": name} for name in ("greedy", "modest", "late")]
    runs = []

    def fill(tenant: dict[str, str]) -> httpx.Response:
        for _ in range(21):
            answer = http.post("/v1/runs", json={"input": "x"}, headers=tenant)
            if answer.status_code != 202:
                break
            runs.append((answer.json()["id"], tenant))
        return answer

    try:
        full = [fill(tenant) for tenant in tenants]
        assert [sum(tenant is owner for _, owner in runs) for tenant in tenants] == [15, 5, 0]
        for answer, told in zip(full, ("15 of your runs", "20 runs", "20 runs"), strict=True):
            assert (answer.status_code, answer.json()["error"]["code"]) == (429, "queue_full")
            assert told in answer.json()["error"]["message"]
            assert int(answer.headers["retry-after"]) > 0
    finally:
        for run, tenant in runs:
            http.post(f"/v1/runs/{run}/cancel", headers=tenant)


def test_a_killed_worker_is_replaced_and_effects_are_not_repeated(
    http: httpx.Client, upstream: StandIn, environment: dict[str, str]
) -> None:
    def slow_after_code(payload: dict[str, Any]) -> Say:
        say = team(payload)
        if payload["messages"][-1]["role"] == "tool":
            say.delay = 3
        return say

    upstream.script = slow_after_code
    first = Worker(environment)
    run = create(http)
    wait_until(lambda: bool(upstream.executed), what="the code's run")
    wait_until(lambda: any(m["role"] == "tool" for m in upstream.chats[-1]["messages"]), what="the step behind it")
    first.kill()
    plans = sum("planner" in system(chat) for chat in upstream.chats)
    second = Worker(environment)
    try:
        done = ended(http, run)
    finally:
        second.stop()
    assert done["status"] == "succeeded"
    assert upstream.executed == ["print(6 * 7)"], "the effect happened once"
    assert sum("planner" in system(chat) for chat in upstream.chats) == plans == 1, "no finished step was repeated"
    assert "resumed" in [event["type"] for event in events(http, run)]


def test_killed_in_the_middle_of_an_effect_it_is_not_done_again(
    http: httpx.Client, upstream: StandIn, environment: dict[str, str]
) -> None:
    upstream.script = team
    upstream.execute_delay = 5
    first = Worker(environment)
    run = create(http)
    wait_until(lambda: bool(upstream.executed), what="the code's run")
    first.kill()
    upstream.execute_delay = 0
    second = Worker(environment)
    try:
        assert ended(http, run)["status"] == "succeeded"
    finally:
        second.stop()
    assert len(upstream.executed) == 1
    told = [m["content"] for chat in upstream.chats for m in chat["messages"] if m["role"] == "tool"]
    assert any("interrupted before its outcome was known" in text for text in told)


def test_a_killed_worker_makes_no_second_picture(
    http: httpx.Client, upstream: StandIn, environment: dict[str, str]
) -> None:
    upstream.script = painter
    upstream.comfyui.polls = 1000
    first = Worker(environment)
    run = create(http, input=ASKED, route="simple", limits={"seconds": 120})
    wait_until(lambda: bool(upstream.comfyui.prompts), what="the prompt")
    first.kill()
    second = Worker(environment)
    try:
        assert ended(http, run)["status"] == "succeeded"
    finally:
        second.stop()
    assert upstream.comfyui.prompts == [PROMPT]
    assert "interrupted before its outcome was known" in str(upstream.chats[-1]["messages"][-1]["content"])


def test_many_runs_and_a_killed_worker_none_is_lost(
    http: httpx.Client, upstream: StandIn, environment: dict[str, str]
) -> None:
    upstream.script = lambda _: Say("done", delay=0.2)
    workers = [Worker(environment), Worker(environment)]
    runs = [create(http, route="simple") for _ in range(12)]
    wait_until(lambda: any(get(http, run)["status"] == "running" for run in runs), what="the first start")
    workers[0].kill()
    try:
        assert {ended(http, run)["status"] for run in runs} == {"succeeded"}
    finally:
        workers[1].stop()


def test_a_worker_that_is_stopped_gives_its_run_back(
    http: httpx.Client, upstream: StandIn, environment: dict[str, str]
) -> None:
    upstream.script = lambda _: Say("done", delay=2)
    first = Worker(environment)
    run = create(http, route="simple")
    wait_until(lambda: bool(upstream.chats), what="the model's call")
    assert first.stop() == 0
    upstream.script = lambda _: Say("done")
    second = Worker(environment)
    try:
        assert ended(http, run)["status"] == "succeeded"
    finally:
        second.stop()


def test_without_the_queue_runs_are_accepted_and_begin_later(
    http: httpx.Client, upstream: StandIn, redis: Redis, postgres: Postgres, environment: dict[str, str]
) -> None:
    redis.stop()
    try:
        run = create(http, route="simple")
        assert http.get("/ready").status_code == 503
        body = {"model": "simple", "messages": [{"role": "user", "content": "hi"}]}
        assert http.post("/v1/chat/completions", json=body).status_code == 200, "chat needs no queue"
    finally:
        redis.start()
    # As if the five minutes had passed after which the sweep queues it again.
    postgres.psql(f"UPDATE runs SET queued_at = now() - interval '10 minutes' WHERE id = '{run['id']}'")  # noqa: S608 - ours
    worker = Worker(environment)
    try:
        assert ended(http, run)["status"] == "succeeded"
    finally:
        worker.stop()


def test_a_worker_without_the_queue_waits_between_its_tries(
    http: httpx.Client, upstream: StandIn, redis: Redis, environment: dict[str, str], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    worker = Worker(environment, log)

    def tries() -> int:
        return log.read_text().count("while listening to the broker")

    try:
        wait_until(lambda: "Listening started" in log.read_text(), what="the worker's start")
        redis.stop()
        try:
            wait_until(lambda: tries() >= 2, what="a second try")
            first = tries()
            time.sleep(6)
            assert tries() - first <= 3
        finally:
            redis.start()
        assert ended(http, create(http, route="simple"))["status"] == "succeeded"
    finally:
        worker.stop()


def test_without_the_database_runs_are_refused_and_chat_goes_on(
    http: httpx.Client, upstream: StandIn, postgres: Postgres
) -> None:
    postgres.stop()
    try:
        answer = http.post("/v1/runs", json={"input": "x"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "dependency_unavailable")
        assert int(answer.headers["retry-after"]) > 0
        body = {"model": "simple", "messages": [{"role": "user", "content": "hi"}]}
        assert http.post("/v1/chat/completions", json=body).status_code == 200
        assert http.get("/health").status_code == 200
        assert http.get("/ready").status_code == 503
    finally:
        postgres.start()
    wait_until(lambda: http.get("/ready").status_code == 200, what="readiness")


def test_a_run_outlives_the_database(http: httpx.Client, upstream: StandIn, postgres: Postgres, worker: Worker) -> None:
    upstream.script = lambda payload: Say(team(payload).text, delay=1.5)
    run = create(http)
    wait_until(lambda: bool(upstream.chats), what="the model's call")
    postgres.stop()
    time.sleep(3)
    postgres.start()
    wait_until(lambda: http.get("/ready").status_code == 200, what="readiness")
    assert ended(http, run)["status"] == "succeeded"

"""What is lost on the way: the database for longer than anybody waits for it, the queue under a worker, and workers."""

import time
from typing import Any

import httpx

from tests.services.agents.conftest import Worker
from tests.services.agents.servers import Postgres, Redis, wait_until
from tests.services.agents.stand_in import Say, StandIn
from tests.services.agents.team import create, ended, events, get, team


def test_without_the_queue_a_run_begins_soon_after_it_is_back(
    http: httpx.Client, upstream: StandIn, redis: Redis, environment: dict[str, str]
) -> None:
    redis.stop()
    try:
        run = create(http, route="simple")
    finally:
        redis.start()
    worker = Worker(environment)
    try:
        assert ended(http, run, 30)["status"] == "succeeded"
    finally:
        worker.stop()


def test_a_run_that_kills_its_workers_is_given_up(
    http: httpx.Client, upstream: StandIn, postgres: Postgres, environment: dict[str, str]
) -> None:
    """As if five had died with it: the sixth does not try."""
    upstream.script = lambda _: Say(delay=60)
    first = Worker(environment)
    run = create(http, route="simple")
    wait_until(lambda: bool(upstream.chats), what="the model's call")
    first.kill()
    assert postgres.psql(f"UPDATE runs SET attempts = 5 WHERE id = '{run['id']}' RETURNING attempts")  # noqa: S608 - ours
    second = Worker(environment)
    try:
        done = ended(http, run)
    finally:
        second.stop()
    assert (done["status"], done["error"]["code"]) == ("failed", "workers_lost")
    assert len(upstream.chats) == 1
    assert events(http, run)[-1]["type"] == "failed"


def test_each_death_counts_and_a_goodbye_does_not(
    http: httpx.Client, upstream: StandIn, postgres: Postgres, environment: dict[str, str]
) -> None:
    def attempts(run: dict[str, Any]) -> int:
        return int(postgres.psql(f"SELECT attempts FROM runs WHERE id = '{run['id']}'"))  # noqa: S608 - ours

    upstream.script = lambda _: Say(delay=60)
    worker = Worker(environment)
    run = create(http, route="simple")
    wait_until(lambda: len(upstream.chats) == 1, what="the model's call")
    assert attempts(run) == 1
    assert worker.stop() == 0
    assert attempts(run) == 0
    worker = Worker(environment)
    wait_until(lambda: len(upstream.chats) == 2, what="the next worker's call")
    worker.kill()
    assert attempts(run) == 1
    assert get(http, run)["status"] == "running"
    http.post(f"/v1/runs/{run['id']}/cancel")
    worker = Worker(environment)
    try:
        assert ended(http, run)["status"] == "cancelled"
    finally:
        worker.stop()


# From here on a worker of all the tests is there.


def ended_after_an_outage(http: httpx.Client, postgres: Postgres, run: Any, seconds: float) -> tuple[str, object]:
    """How a run ended whose database was away for so long."""
    postgres.stop()
    time.sleep(seconds)
    postgres.start()
    wait_until(lambda: http.get("/ready").status_code == 200, what="readiness")
    done = ended(http, run)
    return done["status"], done["error"]


def test_a_run_outlives_a_database_that_is_long_away(
    http: httpx.Client, upstream: StandIn, postgres: Postgres, worker: Worker
) -> None:
    """Longer than the lease and than anybody waits for a connection; nobody cancelled the run, and it did not fail."""
    upstream.script = lambda payload: Say(team(payload).text, delay=1)
    run = create(http)
    wait_until(lambda: bool(upstream.chats), what="the model's call")
    assert ended_after_an_outage(http, postgres, run, 13) == ("succeeded", None)


def test_a_run_outlives_a_database_that_goes_away_under_a_tool(
    http: httpx.Client, upstream: StandIn, postgres: Postgres, worker: Worker
) -> None:
    """What the tool did is not known then, and it is not done again."""
    upstream.script = team
    upstream.execute_delay = 2
    run = create(http)
    wait_until(lambda: bool(upstream.executed), what="the code's run")
    assert ended_after_an_outage(http, postgres, run, 9) == ("succeeded", None)
    assert len(upstream.executed) == 1

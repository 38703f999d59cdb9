"""Keys, budgets and the record of spending, in a real Postgres."""

import hashlib
import time
import uuid
from collections.abc import Iterator

import httpx
import pytest

from tests.services.agents.servers import wait_until
from tests.services.litellm.conftest import World
from tests.services.litellm.servers import CALLERS, MASTER_KEY, Proxy, on_loopback, rendered, shortened

COST = 0.0045
"""Of an answer of the stand-in for Sonnet, in US dollars: 1,000 tokens in and 100 out."""


def asked(proxy: Proxy, key: str, model: str = "claude_sonnet", **body: object) -> httpx.Response:
    question = [{"role": "user", "content": f"A question of {uuid.uuid4()}"}]
    return httpx.post(
        f"{proxy.url}/v1/chat/completions",
        json={"model": model, "messages": question, **body},
        headers={"authorization": f"Bearer {key}"},
        timeout=60,
    )


def managed(proxy: Proxy, path: str, **body: object) -> dict[str, object]:
    """What a call that only the master key may make answers."""
    headers = {"authorization": f"Bearer {MASTER_KEY}"}
    answer = httpx.post(f"{proxy.url}{path}", json=body, headers=headers, timeout=60)
    answer.raise_for_status()
    made: dict[str, object] = answer.json()
    return made


def error(answer: httpx.Response) -> dict[str, str]:
    found: dict[str, str] = answer.json()["error"]
    return found


def key_made(proxy: Proxy, **body: object) -> str:
    return str(managed(proxy, "/key/generate", key_alias=str(uuid.uuid4()), **body)["key"])


def spent(world: World, alias: str, database: str = "proxy") -> float:
    """US dollars of a key; -1: there is none of this name."""
    rows = world.database.rows('SELECT key_alias, spend FROM "LiteLLM_VerificationToken"', database)
    return next((float(spend) for name, spend in rows if name == alias), -1.0)


@pytest.mark.parametrize("caller", sorted(CALLERS))
def test_each_caller_of_the_platform_has_a_key_that_asks_models_and_does_nothing_else(
    proxy: Proxy, caller: str
) -> None:
    assert asked(proxy, CALLERS[caller]).status_code == 200
    for path in ("/key/generate", "/key/list", "/user/new", "/config/update", "/model/new"):
        method = "GET" if path == "/key/list" else "POST"
        answer = httpx.request(
            method, f"{proxy.url}{path}", headers={"authorization": f"Bearer {CALLERS[caller]}"}, json={}, timeout=60
        )
        assert answer.status_code in (401, 403), (path, answer.text)


def test_an_unknown_key_is_refused_in_one_clear_error(proxy: Proxy) -> None:
    answer = asked(proxy, "sk-nobody")
    assert answer.status_code == 401
    assert (error(answer)["type"], error(answer)["code"]) == ("invalid_request_error", "invalid_api_key")
    assert error(answer)["message"] == "the API key is missing or not valid"


def test_a_key_stops_at_its_budget_and_others_go_on(proxy: Proxy) -> None:
    key = key_made(proxy, max_budget=0.006)
    assert asked(proxy, key).status_code == 200
    # What a call cost is counted behind its answer: the next one or two may be faster.
    refused = next(answer for answer in (asked(proxy, key) for _ in range(10)) if answer.status_code != 200)
    assert refused.status_code == 429
    assert error(refused)["type"] == "budget_exceeded"
    assert "0.006" in error(refused)["message"], "it names the limit"
    assert asked(proxy, CALLERS["agents"]).status_code == 200
    # Raised by who may: it goes on.
    managed(proxy, "/key/update", key=key, max_budget=20 * COST)
    assert asked(proxy, key).status_code == 200


def test_a_key_that_is_made_without_a_budget_gets_the_settings_and_none_gets_more(proxy: Proxy) -> None:
    made = managed(proxy, "/key/generate", key_alias=str(uuid.uuid4()))
    assert (made["max_budget"], made["budget_duration"]) == (25, "30d")
    headers = {"authorization": f"Bearer {MASTER_KEY}"}
    answer = httpx.post(f"{proxy.url}/key/generate", json={"max_budget": 1000}, headers=headers, timeout=60)
    assert answer.status_code == 400
    assert "25" in answer.text


def test_spending_is_recorded_by_key_and_model(proxy: Proxy, world: World) -> None:
    alias = str(uuid.uuid4())
    key = str(managed(proxy, "/key/generate", key_alias=alias)["key"])
    assert asked(proxy, key).status_code == 200
    assert asked(proxy, key, "claude_opus").status_code == 200
    assert asked(proxy, key, "vllm_local").status_code == 200
    with httpx.stream(
        "POST",
        f"{proxy.url}/v1/chat/completions",
        json={"model": "claude_sonnet", "stream": True, "messages": [{"role": "user", "content": alias}]},
        headers={"authorization": f"Bearer {key}"},
        timeout=60,
    ) as stream:
        assert b"[DONE]" in stream.read()

    def recorded() -> dict[str, tuple[int, float]]:
        found = world.database.rows(
            """SELECT key_alias, model_group, count(*), sum(l.spend) FROM "LiteLLM_SpendLogs" l
            JOIN "LiteLLM_VerificationToken" t ON t.token = l.api_key GROUP BY 1, 2""",
            "proxy",
        )
        return {model: (int(calls), float(cost)) for name, model, calls, cost in found if name == alias}

    wait_until(lambda: sum(calls for calls, _ in recorded().values()) == 4, seconds=60, what="the record")
    costs = recorded()
    assert costs["claude_sonnet"] == (2, pytest.approx(2 * COST))
    assert costs["claude_opus"] == (1, pytest.approx(0.0075))
    assert costs["vllm_local"] == (1, 0.0)
    total = sum(cost for _, cost in costs.values())
    wait_until(lambda: spent(world, alias) == pytest.approx(total), seconds=90, what="the key's sum")


def test_no_question_and_no_key_is_in_the_record(proxy: Proxy, world: World) -> None:
    key = key_made(proxy)
    marker = uuid.uuid4().hex
    body = {"model": "claude_sonnet", "messages": [{"role": "user", "content": marker}], "user": "somebody"}
    answer = httpx.post(
        f"{proxy.url}/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}"}, timeout=60
    )
    assert answer.status_code == 200
    wait_until(
        lambda: world.database.rows("""SELECT 1 FROM "LiteLLM_SpendLogs" WHERE end_user = 'somebody'""", "proxy") != [],
        seconds=60,
        what="the record",
    )
    for statement in ('SELECT * FROM "LiteLLM_SpendLogs"', 'SELECT * FROM "LiteLLM_VerificationToken"'):
        everything = "\n".join("|".join(row) for row in world.database.rows(statement, "proxy"))
        assert everything
        for secret in (marker, key, *CALLERS.values(), MASTER_KEY):
            assert secret not in everything


@pytest.fixture
def own(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Proxy, str]]:
    """A proxy that a test may restart and whose database it may end, and that database's name."""
    name = f"own_{uuid.uuid4().hex[:8]}"
    settings = shortened(on_loopback(rendered(), world.local, world.cloud, world.redis.port))
    # Or another proxy of these tests would take its sums from Redis into another database.
    settings["litellm_settings"]["cache_params"]["namespace"] = f"litellm_{name}"
    made = Proxy(tmp_path_factory.mktemp(name), settings, world.database.made(name))
    try:
        made.start()
        yield made, name
    finally:
        made.stop()


def test_a_new_secret_replaces_the_old_and_keeps_what_was_spent(own: tuple[Proxy, str], world: World) -> None:
    proxy, database = own
    assert asked(proxy, CALLERS["agents"]).status_code == 200
    wait_until(lambda: spent(world, "agents", database) == pytest.approx(COST), seconds=90, what="the key's sum")
    proxy.stop()
    proxy.lay({"agents": "sk-the-new-secret"}, budget={"monthlyUsd": 40, "perKeyUsd": 7})
    proxy.start()
    wait_until(lambda: asked(proxy, "sk-the-new-secret").status_code == 200, what="the new key")
    assert asked(proxy, CALLERS["agents"]).status_code == 401
    assert asked(proxy, CALLERS["kong"]).status_code == 401, "a caller that is no more has no key"
    rows = world.database.rows('SELECT key_alias, max_budget FROM "LiteLLM_VerificationToken"', database)
    assert rows == [["agents", "7"]]
    assert spent(world, "agents", database) >= COST - 1e-9


def test_while_the_database_is_away_known_keys_go_on_others_are_refused_and_nothing_is_forgotten(
    own: tuple[Proxy, str], world: World
) -> None:
    proxy, database = own
    assert asked(proxy, CALLERS["agents"]).status_code == 200
    world.database.stop()
    began = time.monotonic()
    assert [asked(proxy, CALLERS["agents"]).status_code for _ in range(3)] == [200, 200, 200]
    assert time.monotonic() - began < 15
    refused = asked(proxy, "sk-nobody")
    assert (refused.status_code, error(refused)["type"]) == (503, "api_error")
    # Longer than anything is tried again.
    time.sleep(40)
    world.database.start()
    wait_until(lambda: asked(proxy, CALLERS["kong"]).status_code == 200, seconds=60, what="a key that was not known")
    wait_until(lambda: spent(world, "agents", database) == pytest.approx(4 * COST), seconds=120, what="the key's sum")
    hashed = hashlib.sha256(CALLERS["agents"].encode()).hexdigest()
    record = f"""SELECT 1 FROM "LiteLLM_SpendLogs" WHERE api_key = '{hashed}'"""  # noqa: S608 - ours
    wait_until(lambda: len(world.database.rows(record, database)) == 4, seconds=120, what="the record of each call")


def test_a_proxy_that_starts_without_its_database_ends_and_comes_up_with_it(
    world: World, tmp_path_factory: pytest.TempPathFactory
) -> None:
    name = f"late_{uuid.uuid4().hex[:8]}"
    settings = shortened(on_loopback(rendered(), world.local, world.cloud, world.redis.port))
    proxy = Proxy(tmp_path_factory.mktemp(name), settings, world.database.made(name))
    world.database.stop()
    try:
        proxy.launch()
        # Docker starts it again, until the database is there.
        wait_until(proxy.ended, seconds=120, what="its end")
        assert "database" in proxy.log().lower()
        world.database.start()
        proxy.start()
        wait_until(lambda: asked(proxy, CALLERS["agents"]).status_code == 200, what="the callers' keys")
    finally:
        proxy.stop()

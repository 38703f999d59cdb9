"""What can be seen of the real proxy: costs, metrics, health and the request's id."""

import re
from collections.abc import Callable

import httpx
import litellm
import pytest

from settings import prices
from tests.services.litellm.conftest import World
from tests.services.litellm.servers import BGE, MIXTRAL, OPUS, SMALL, SONNET, VLLM, Proxy, wait_until

Ask = Callable[..., httpx.Response]
# 1,000 tokens in and 100 out, as the stand-in says, by hand.
COSTS = {
    "vllm_local": 0.0,
    "claude_small": 0.0015,
    "claude_sonnet": 0.0045,
    "claude_opus": 0.0075,
    "openrouter_mixtral": 0.0026,
}
UPSTREAM = {
    "vllm_local": VLLM,
    "claude_small": SMALL,
    "claude_sonnet": SONNET,
    "claude_opus": OPUS,
    "openrouter_mixtral": MIXTRAL,
}


def spent(http: httpx.Client, model: str) -> float:
    """What the metrics say that a model has cost so far."""
    lines = http.get("/metrics/").text.splitlines()
    found = [line for line in lines if line.startswith("litellm_spend_metric_total{") and f'model="{model}"' in line]
    return sum(float(line.rpartition(" ")[2]) for line in found)


@pytest.mark.parametrize("name", COSTS)
def test_a_call_costs_what_the_settings_say(world: World, ask: Ask, http: httpx.Client, name: str) -> None:
    before = spent(http, UPSTREAM[name])
    answer = ask(name)
    assert float(answer.headers.get("x-litellm-response-cost", 0)) == pytest.approx(COSTS[name])
    cost = pytest.approx(COSTS[name])
    wait_until(lambda: spent(http, UPSTREAM[name]) - before == cost, seconds=20, what="the record of spending")


def test_a_cached_answer_costs_nothing(world: World, ask: Ask, http: httpx.Client) -> None:
    before = spent(http, SONNET)
    ask("claude_sonnet")
    wait_until(lambda: spent(http, SONNET) > before, seconds=20, what="the record of spending")
    once = spent(http, SONNET)
    ask("claude_sonnet")
    ask("claude_opus")
    opus = spent(http, OPUS)
    wait_until(lambda: spent(http, OPUS) >= opus, seconds=20)
    assert spent(http, SONNET) == once
    assert len(world.script.calls(SONNET)) == 1


def test_known_prices_are_those_of_litellm_s_own_list() -> None:
    for name, price in prices.KNOWN.items():
        listed = litellm.model_cost.get(name) or litellm.model_cost[f"openrouter/{name}"]
        assert listed["input_cost_per_token"] * 1e6 == pytest.approx(price.input_usd)
        assert listed["output_cost_per_token"] * 1e6 == pytest.approx(price.output_usd)


def test_metrics_need_no_key_and_name_key_and_model(world: World, ask: Ask, proxy: Proxy) -> None:
    ask("claude_sonnet")
    wait_until(lambda: "litellm_total_tokens" in httpx.get(f"{proxy.url}/metrics/").text, seconds=20)
    text = httpx.get(f"{proxy.url}/metrics/").text
    assert re.search(
        r'litellm_spend_metric_total\{[^}]*hashed_api_key="[^"]+"[^}]*requested_model="claude_sonnet"', text
    )
    assert "sk-master" not in text


@pytest.mark.parametrize("path", ["/health/liveliness", "/health/readiness"])
def test_health_needs_no_key_and_no_model(world: World, proxy: Proxy, path: str) -> None:
    world.local.stop()
    assert httpx.get(f"{proxy.url}{path}", timeout=10).status_code == 200
    assert world.script.asked == []


@pytest.mark.parametrize("name", COSTS)
@pytest.mark.parametrize("stream", [False, True])
def test_the_request_s_id_goes_on_to_the_model(world: World, ask: Ask, name: str, stream: bool) -> None:
    headers = {"x-request-id": "id-of-the-test", "x-consumer-username": "alice", "x-forwarded-client-cert": "URI=u"}
    assert ask(name, headers=headers, stream=stream).status_code == 200
    [call] = world.script.asked
    assert call["headers"]["x-request-id"] == "id-of-the-test"
    # Who called is no business of a model in the cloud.
    assert not {"x-consumer-username", "x-forwarded-client-cert"} & set(call["headers"])


def test_the_id_goes_to_the_embedding_server_and_to_the_fallback(
    world: World, ask: Ask, http: httpx.Client, prompt: str
) -> None:
    headers = {"x-request-id": "id-of-the-test"}
    http.post("/v1/embeddings", json={"model": "local_bge", "input": prompt}, headers=headers)
    world.script.faults[SONNET] = 401
    assert ask("claude_sonnet", headers=headers).status_code == 200
    assert world.script.order() == [BGE, SONNET, MIXTRAL]
    assert {call["headers"]["x-request-id"] for call in world.script.asked} == {"id-of-the-test"}


def test_neither_keys_nor_prompts_are_in_the_log(world: World, ask: Ask, proxy: Proxy, prompt: str) -> None:
    world.script.faults[SONNET] = 500
    ask("claude_sonnet")
    for secret in ("of-the-tests", prompt):
        assert secret not in proxy.log()

"""Whose answers the cache gives to whom, in the real proxy and a real Redis with the platform's rights."""

import hashlib
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from render.litellm import CACHE_SECONDS
from tests.services.litellm.conftest import World
from tests.services.litellm.servers import BGE, MIXTRAL, SONNET, VLLM, wait_until
from tests.services.litellm.test_streams import streamed

Ask = Callable[..., httpx.Response]
KONG = {"x-forwarded-client-cert": "By=spiffe://m/litellm;Hash=aa;URI=spiffe://m/kong", "x-consumer-username": "alice"}


def said(response: httpx.Response) -> str:
    assert response.status_code == 200, response.text
    content: str = response.json()["choices"][0]["message"]["content"]
    return content


def test_the_same_question_is_answered_from_the_cache(world: World, ask: Ask) -> None:
    first, second = ask("claude_sonnet"), ask("claude_sonnet")
    assert said(first) == said(second)
    assert len(world.script.calls(SONNET)) == 1
    assert "x-litellm-cache-key" not in first.headers
    assert second.headers["x-litellm-cache-key"].startswith("litellm:answers:")


def test_a_stream_is_cached_and_given_as_a_stream(world: World, http: httpx.Client, prompt: str) -> None:
    first = streamed(http, "claude_sonnet", prompt)
    assert first.whole(SONNET)

    def cached() -> bool:
        # It is kept just after its end.
        world.script.asked.clear()
        again = streamed(http, "claude_sonnet", prompt)
        return again.whole(SONNET) and again.text == first.text and not world.script.asked

    wait_until(cached, seconds=10, what="the cached stream")


def test_vectors_are_cached(world: World, http: httpx.Client, prompt: str) -> None:
    for _ in range(2):
        assert http.post("/v1/embeddings", json={"model": "local_bge", "input": [prompt]}).status_code == 200
    assert len(world.script.calls(BGE)) == 1


def test_an_answer_is_kept_for_thirty_days_below_the_proxy_s_own_keys(world: World, ask: Ask) -> None:
    assert ask("claude_sonnet").status_code == 200
    key = ask("claude_sonnet").headers["x-litellm-cache-key"]
    with world.redis.admin() as redis:
        assert CACHE_SECONDS - 60 < int(redis.ttl(key)) <= CACHE_SECONDS
        # All that LiteLLM does in Redis is allowed to its user.
        assert redis.acl_log() == []


@pytest.mark.parametrize(
    "other",
    [
        {"headers": {**KONG, "x-consumer-username": "bob"}},
        {"headers": {**KONG, "x-forwarded-client-cert": "By=spiffe://m/litellm;Hash=aa;URI=spiffe://m/agents"}},
        {"headers": KONG, "user": "bob"},
        {"headers": {}},
    ],
    ids=["consumer", "caller", "user", "nobody"],
)
def test_nobody_sees_another_s_answer(world: World, ask: Ask, other: dict[str, Any]) -> None:
    first = ask("claude_sonnet", headers=KONG)
    second = ask("claude_sonnet", **other)
    assert said(first) != said(second)
    assert len(world.script.calls(SONNET)) == 2
    # To each its own, again.
    assert said(ask("claude_sonnet", headers=KONG)) == said(first)


def test_a_renewed_certificate_keeps_the_cache(world: World, ask: Ask) -> None:
    renewed = {**KONG, "x-forwarded-client-cert": "By=spiffe://m/litellm;Hash=bb;URI=spiffe://m/kong"}
    assert said(ask("claude_sonnet", headers=KONG)) == said(ask("claude_sonnet", headers=renewed))
    assert len(world.script.calls(SONNET)) == 1


@pytest.mark.parametrize("way", ["cache", "cache_key", "metadata", "preset", "ttl"])
def test_a_client_cannot_name_the_place_of_another_s_answer(world: World, ask: Ask, way: str) -> None:
    first = ask("claude_sonnet", headers=KONG)
    key = ask("claude_sonnet", headers=KONG).headers["x-litellm-cache-key"]
    namespace = key.rpartition(":")[0]
    forged: dict[str, Any] = {
        "cache": {"cache": {"namespace": namespace, "use-cache": True}},
        "cache_key": {"cache_key": key},
        "metadata": {"metadata": {"redis_namespace": namespace}},
        "preset": {"litellm_params": {"preset_cache_key": key}, "preset_cache_key": key},
        "ttl": {"cache": {"namespace": namespace, "ttl": 10**9, "s-maxage": 10**9}},
    }[way]
    thief = ask("claude_sonnet", headers={**KONG, "x-consumer-username": "mallory"}, **forged)
    assert thief.status_code != 200 or said(thief) != said(first)
    # Nor did the answer to the forged request take the other's place.
    assert said(ask("claude_sonnet", headers=KONG)) == said(first)
    with world.redis.admin() as redis:
        assert all(int(redis.ttl(kept)) <= CACHE_SECONDS for kept in redis.keys("litellm:answers:*"))


def test_a_client_may_refuse_the_cache(world: World, ask: Ask) -> None:
    ask("claude_sonnet")
    ask("claude_sonnet", cache={"no-cache": True})
    assert len(world.script.calls(SONNET)) == 2


def test_where_the_cache_is_shared_one_sees_the_other_s_answer(
    world: World, other_http: httpx.Client, prompt: str
) -> None:
    given = {"model": "claude_sonnet", "messages": [{"role": "user", "content": prompt}]}
    answers = [
        said(other_http.post("/v1/chat/completions", json=given, headers={"x-consumer-username": who}))
        for who in ("alice", "bob")
    ]
    assert answers[0] == answers[1]
    assert len(world.script.calls(SONNET)) == 1


@pytest.mark.parametrize(
    "change",
    [{"temperature": 0.1}, {"max_tokens": 5}, {"guided_json": {"type": "object"}}, {"top_k": 3}],
    ids=lambda change: next(iter(change)),
)
def test_another_request_has_another_answer(world: World, ask: Ask, change: dict[str, Any]) -> None:
    assert said(ask("vllm_local")) != said(ask("vllm_local", **change))
    assert len(world.script.calls(VLLM)) == 2


def test_the_request_s_id_is_no_part_of_the_question(world: World, ask: Ask) -> None:
    ask("claude_sonnet", headers={"x-request-id": "one"})
    ask("claude_sonnet", headers={"x-request-id": "two"})
    assert len(world.script.calls(SONNET)) == 1


def test_the_answer_of_a_fallback_does_not_take_the_model_s_place(world: World, ask: Ask) -> None:
    world.script.faults[SONNET] = 401
    assert MIXTRAL in ask("claude_sonnet").text
    world.script.faults.clear()
    assert SONNET in said(ask("claude_sonnet"))


def test_without_redis_questions_are_answered(world: World, ask: Ask) -> None:
    world.redis.stop()
    answer = ask("claude_sonnet")
    assert answer.status_code == 200
    world.redis.start()
    wait_until(lambda: said(ask("claude_sonnet")) == said(ask("claude_sonnet")), seconds=30, what="the cache's return")


def test_prompts_are_not_in_redis(world: World, ask: Ask, prompt: str) -> None:
    world.script.answers[SONNET] = "an answer without the question"
    ask("claude_sonnet")
    time.sleep(0.2)
    with world.redis.admin() as redis:
        kept = [redis.get(key) for key in redis.keys("litellm:answers:*")]
        assert not [text for text in kept if text and prompt in str(text)]
        assert not [key for key in redis.keys("*") if hashlib.sha256(prompt.encode()).hexdigest() in key]

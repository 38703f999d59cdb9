"""Which model is asked, and which instead of it, by the real proxy."""

import time
from collections.abc import Callable

import httpx
import openai
import pytest

from tests.services.litellm.conftest import World
from tests.services.litellm.servers import BGE, KEYS, MIXTRAL, OPUS, SMALL, SONNET, VLLM, wait_until

Ask = Callable[..., httpx.Response]
CHAT = {
    "vllm_local": VLLM,
    "claude_sonnet": SONNET,
    "claude_opus": OPUS,
    "claude_small": SMALL,
    "openrouter_mixtral": MIXTRAL,
}
# Opus is spelled out: Claude, OpenRouter, vLLM, the smaller cloud model.
CHAINS = {
    "claude_opus": [OPUS, SONNET, MIXTRAL, VLLM, SMALL],
    "claude_sonnet": [SONNET, MIXTRAL, VLLM, SMALL],
    "openrouter_mixtral": [MIXTRAL, VLLM, SMALL],
    "vllm_local": [VLLM, MIXTRAL, SONNET, SMALL],
}


def text(response: httpx.Response) -> str:
    assert response.status_code == 200, response.text
    content: str = response.json()["choices"][0]["message"]["content"]
    return content


@pytest.mark.parametrize("name", CHAT)
def test_a_name_leads_to_its_model_with_its_provider_s_key(world: World, ask: Ask, name: str) -> None:
    assert text(ask(name)).startswith(f"{CHAT[name]} answers")
    [call] = world.script.asked
    key = call["headers"].get("x-api-key") or call["headers"]["authorization"].removeprefix("Bearer ")
    provider = {"vllm_local": "vllm_api_key", "openrouter_mixtral": "openrouter_api_key"}.get(name, "claude_api_key")
    assert key == KEYS[provider]


def test_the_official_client_works_plain_and_streaming(world: World, client: openai.OpenAI, prompt: str) -> None:
    messages: list[openai.types.chat.ChatCompletionMessageParam] = [{"role": "user", "content": prompt}]
    whole = client.chat.completions.create(model="claude_sonnet", messages=messages)
    assert (whole.choices[0].message.content or "").startswith(SONNET)
    stream = client.chat.completions.create(model="vllm_local", messages=messages, stream=True)
    parts = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
    assert "".join(parts).split()[0] == VLLM
    assert len(parts) > 3
    assert {model.id for model in client.models.list()} == {*CHAT, "local_bge"}


def test_anthropic_s_own_protocol_is_spoken_too(world: World, http: httpx.Client, prompt: str) -> None:
    body = {"model": "claude_sonnet", "max_tokens": 9, "messages": [{"role": "user", "content": prompt}]}
    answer = http.post("/v1/messages", json=body)
    assert answer.status_code == 200
    assert answer.json()["content"][0]["text"].startswith(SONNET)


@pytest.mark.parametrize("name", CHAINS)
def test_the_chain_is_walked_in_order_to_its_end(world: World, ask: Ask, name: str) -> None:
    *failing, last = CHAINS[name]
    world.script.faults = dict.fromkeys(failing, 503)
    assert text(ask(name)).startswith(f"{last} answers")
    assert world.script.order() == CHAINS[name]


def test_a_chain_that_fails_to_its_end_is_one_error_in_openai_s_shape(world: World, ask: Ask) -> None:
    world.script.faults = dict.fromkeys(CHAT.values(), 500)
    answer = ask("claude_opus")
    assert answer.status_code == 500
    assert set(answer.json()) == {"error"}
    assert {"message", "type", "code"} <= set(answer.json()["error"])
    assert world.script.order()[0] == OPUS
    assert set(world.script.order()) == set(CHAT.values())


@pytest.mark.parametrize(("fault", "tries"), [(500, 2), (503, 2), (429, 2), (401, 1)])
def test_what_a_second_try_may_fix_is_tried_twice(world: World, ask: Ask, fault: int, tries: int) -> None:
    world.script.faults[SONNET] = fault
    assert text(ask("claude_sonnet")).startswith(MIXTRAL)
    assert len(world.script.calls(SONNET)) == tries


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", ["claude_sonnet", "vllm_local"])
def test_a_model_that_does_not_answer_is_given_up_after_its_timeout(
    world: World, ask: Ask, name: str, stream: bool
) -> None:
    world.script.faults[CHAT[name]] = "hang"
    answer = ask(name, stream=stream)
    assert answer.status_code == 200
    assert MIXTRAL in answer.text
    # Waited for once: a second wait would only double the time.
    assert world.script.order() == [CHAT[name], MIXTRAL]
    assert len(world.script.calls(CHAT[name])) == 1


def test_a_prompt_too_long_for_the_local_model_goes_to_one_with_a_larger_window(world: World, ask: Ask) -> None:
    world.script.faults[VLLM] = "context"
    assert text(ask("vllm_local")).startswith(SONNET)
    assert world.script.order() == [VLLM, SONNET]


def test_a_prompt_too_long_for_the_middle_of_a_chain_goes_to_its_end(world: World, ask: Ask) -> None:
    world.script.faults |= {SONNET: 503, MIXTRAL: "context", VLLM: "context"}
    assert text(ask("claude_sonnet")).startswith(SMALL)


def test_a_prompt_too_long_for_all_is_the_caller_s_error(world: World, ask: Ask) -> None:
    world.script.faults[SONNET] = "context"
    answer = ask("claude_sonnet")
    assert answer.status_code == 400
    assert "prompt is too long" in answer.json()["error"]["message"]
    assert world.script.order() == [SONNET]


def test_while_thanos_is_away_local_routes_go_to_the_cloud_and_come_back_by_themselves(
    world: World, other_http: httpx.Client
) -> None:
    def asked(number: int) -> str:
        messages = [{"role": "user", "content": f"{number} {time.monotonic()}"}]
        return text(other_http.post("/v1/chat/completions", json={"model": "vllm_local", "messages": messages}))

    assert asked(0).startswith(VLLM)
    world.local.stop()
    assert [asked(number).split()[0] for number in range(1, 6)] == [MIXTRAL] * 5
    world.local.start()
    wait_until(lambda: asked(9).startswith(VLLM), seconds=30, what="the way back")
    assert all(asked(number).startswith(VLLM) for number in range(10, 13))


def test_a_model_that_failed_twice_rests_and_is_not_asked_meanwhile(world: World, other_http: httpx.Client) -> None:
    world.script.faults[VLLM] = 503

    def not_asked() -> bool:
        world.script.asked.clear()
        messages = [{"role": "user", "content": str(time.monotonic())}]
        answer = other_http.post("/v1/chat/completions", json={"model": "vllm_local", "messages": messages})
        return text(answer).startswith(MIXTRAL) and not world.script.calls(VLLM)

    wait_until(not_asked, seconds=30, what="the rest")
    wait_until(lambda: not not_asked(), seconds=30, what="the next try")


def test_embeddings_come_from_the_one_model(world: World, client: openai.OpenAI, prompt: str) -> None:
    vectors = client.embeddings.create(model="local_bge", input=[prompt, "b"], encoding_format="float").data
    assert [len(vector.embedding) for vector in vectors] == [4, 4]
    assert world.script.order() == [BGE]


@pytest.mark.parametrize("more", [{}, {"fallbacks": ["openrouter_mixtral"]}], ids=["plain", "client's own fallbacks"])
def test_embeddings_never_come_from_another_model(
    world: World, http: httpx.Client, prompt: str, more: dict[str, object]
) -> None:
    world.script.faults[BGE] = 503
    answer = http.post("/v1/embeddings", json={"model": "local_bge", "input": prompt, **more})
    assert answer.status_code == 503
    assert "error" in answer.json()
    assert world.script.order() == [BGE]


@pytest.mark.parametrize("name", ["claude_sonnet", "openrouter_mixtral"])
def test_a_chat_model_makes_no_embeddings(world: World, http: httpx.Client, prompt: str, name: str) -> None:
    answer = http.post("/v1/embeddings", json={"model": name, "input": prompt})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "model"
    assert world.script.asked == []

"""Clients' names of models, through the real clients of OpenAI and Anthropic."""

from typing import Any

import anthropic
import httpx
import openai
import pytest

from settings.aliases import OFFERED
from tests.services.litellm.conftest import World
from tests.services.litellm.servers import BGE, OPUS, SMALL, SONNET, VLLM

ASKED = {
    "gpt-4o": VLLM,
    "gpt-4o-mini": VLLM,
    "o3-mini": VLLM,
    "chatgpt-4o-latest": VLLM,
    "claude-sonnet-4-5": SONNET,
    "claude-sonnet-4-5-20250929": SONNET,
    "claude-3-5-sonnet-latest": SONNET,
    "claude-opus-4-1": OPUS,
    "claude-3-5-haiku-latest": SMALL,
    VLLM: VLLM,
    "vllm_local": VLLM,
}
"""Name of a client -> the model that is asked."""


@pytest.mark.filterwarnings("ignore:The model:DeprecationWarning")
@pytest.mark.parametrize("name", ASKED)
def test_a_name_that_clients_send_leads_to_a_configured_model(
    world: World, client: openai.OpenAI, claude: anthropic.Anthropic, prompt: str, name: str
) -> None:
    messages: list[Any] = [{"role": "user", "content": prompt}]
    chat = client.chat.completions.create(model=name, messages=messages)
    assert (chat.choices[0].message.content or "").startswith(ASKED[name])
    told = claude.messages.create(model=name, max_tokens=9, messages=messages)
    assert told.content[0].type == "text"
    assert told.content[0].text.startswith(ASKED[name])
    assert client.responses.create(model=name, input=prompt).output_text.startswith(ASKED[name])
    assert {call["model"] for call in world.script.asked} == {ASKED[name]}
    assert claude.messages.count_tokens(model=name, messages=messages).input_tokens > 5


@pytest.mark.parametrize("name", ["text-embedding-3-small", "text-embedding-ada-002", BGE, "local_bge"])
def test_embeddings_too(world: World, client: openai.OpenAI, prompt: str, name: str) -> None:
    made = client.embeddings.create(model=name, input=prompt)
    assert (len(made.data[0].embedding), made.model) == (4, "local_bge")
    assert world.script.order() == [BGE]


def test_the_answer_names_the_model_that_it_is_from(world: World, client: openai.OpenAI, prompt: str) -> None:
    made = client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": prompt}])
    assert made.model == "vllm_local"


def test_an_unknown_name_is_a_404_that_lists_what_there_is(
    world: World, client: openai.OpenAI, claude: anthropic.Anthropic, prompt: str
) -> None:
    messages: list[Any] = [{"role": "user", "content": prompt}]
    for ask in (
        lambda: client.chat.completions.create(model="llama9", messages=messages),
        lambda: client.responses.create(model="llama9", input=prompt),
        lambda: client.embeddings.create(model="llama9", input=prompt),
    ):
        with pytest.raises(openai.NotFoundError) as found:
            ask()
        assert (found.value.code, found.value.param) == ("model_not_found", "model")
        assert all(name in found.value.message for name in OFFERED)
    for tell in (
        lambda: claude.messages.create(model="llama9", max_tokens=9, messages=messages),
        lambda: claude.messages.count_tokens(model="llama9", messages=messages),
    ):
        with pytest.raises(anthropic.NotFoundError) as known:
            tell()
        assert known.value.type == "not_found_error"
        assert all(name in known.value.message for name in OFFERED)
    assert world.script.asked == []


def test_an_unknown_name_tells_nothing_to_who_has_no_key(world: World, proxy: Any) -> None:
    body = {"model": "llama9", "messages": [{"role": "user", "content": "x"}], "max_tokens": 9}
    for path in ("/v1/chat/completions", "/v1/messages", "/v1/messages/count_tokens"):
        answer = httpx.post(f"{proxy.url}{path}", json=body, headers={"authorization": "Bearer sk-no"}, timeout=60)
        assert answer.status_code == 401
        assert "vllm_local" not in answer.text


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/messages/count_tokens"])
def test_the_embedding_model_does_not_talk(world: World, http: httpx.Client, prompt: str, path: str) -> None:
    body = {"model": "local_bge", "messages": [{"role": "user", "content": prompt}], "max_tokens": 9}
    answer = http.post(path, json=body)
    assert answer.status_code == 400
    assert "vllm_local" in answer.json()["error"]["message"]
    assert world.script.asked == []

"""Errors as the clients of OpenAI and Anthropic read them, without a word of the platform's inside."""

import re
from collections.abc import Callable
from typing import Any

import anthropic
import httpx
import openai
import pytest

from tests.services.litellm.conftest import World
from tests.services.litellm.servers import MIXTRAL, SMALL, SONNET, VLLM, Proxy

ALL = (VLLM, SONNET, SMALL, MIXTRAL)
INSIDE = re.compile(
    r"litellm|Exception|Fallback|Received Model|https?://|127\.0\.0\.1|Traceback|sk-|hash|token_not_found|\.py\b",
    re.IGNORECASE,
)
STATUS = {400: 400, 401: 502, 403: 502, 404: 502, 429: 429, 500: 500, 503: 503, "hang": 504}
"""What each model of a chain does -> what the caller gets: a provider that refuses the platform is no fault of his."""
CLAUDE_TYPES = {400: "invalid_request_error", 429: "rate_limit_error", 503: "overloaded_error", 504: "timeout_error"}


def chat(client: openai.OpenAI, prompt: str, stream: bool) -> Any:
    messages: list[Any] = [{"role": "user", "content": prompt}]
    return list(client.chat.completions.create(model="vllm_local", messages=messages, stream=stream))


def respond(client: openai.OpenAI, prompt: str, stream: bool) -> Any:
    return list(client.responses.create(model="vllm_local", input=prompt, stream=stream))


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("ask", [chat, respond])
@pytest.mark.parametrize("fault", STATUS, ids=str)
def test_what_providers_do_in_openai_s_shape(
    world: World, client: openai.OpenAI, prompt: str, fault: Any, ask: Callable[..., Any], stream: bool
) -> None:
    world.script.faults = dict.fromkeys(ALL, fault)
    with pytest.raises(openai.APIStatusError) as found:
        ask(client, prompt, stream)
    error = found.value
    assert error.status_code == STATUS[fault]
    assert isinstance(error.body, dict)
    assert set(error.body) == {"message", "type", "param", "code"}
    assert error.body["message"]
    assert INSIDE.search(error.response.text) is None, error.response.text


def test_a_conversation_that_is_too_long_for_all_is_told_by_openai_s_code(
    world: World, client: openai.OpenAI, prompt: str
) -> None:
    world.script.faults = dict.fromkeys(ALL, "context")
    with pytest.raises(openai.BadRequestError) as found:
        chat(client, prompt, False)
    assert found.value.code == "context_length_exceeded"
    assert "too long" in found.value.message or "maximum context" in found.value.message


@pytest.mark.parametrize("name", ["claude_sonnet", "vllm_local"])
@pytest.mark.parametrize("fault", STATUS, ids=str)
def test_what_providers_do_in_anthropic_s_shape(
    world: World, claude: anthropic.Anthropic, prompt: str, name: str, fault: Any
) -> None:
    world.script.faults = dict.fromkeys(ALL, fault)
    with pytest.raises(anthropic.APIStatusError) as found:
        claude.messages.create(model=name, max_tokens=9, messages=[{"role": "user", "content": prompt}])
    error = found.value
    assert error.status_code == STATUS[fault]
    assert isinstance(error.body, dict)
    assert error.body["type"] == "error"
    assert set(error.body["error"]) == {"type", "message"}
    assert error.body["error"]["type"] == CLAUDE_TYPES.get(STATUS[fault], "api_error")
    assert error.body["error"]["message"]
    assert INSIDE.search(error.response.text) is None, error.response.text


def test_a_model_that_is_away_names_no_address(world: World, client: openai.OpenAI, prompt: str) -> None:
    world.local.stop()
    world.cloud.stop()
    with pytest.raises(openai.APIStatusError) as found:
        chat(client, prompt, False)
    assert found.value.status_code >= 500
    assert INSIDE.search(found.value.response.text) is None, found.value.response.text


@pytest.mark.parametrize("fault", ["cut", "error"])
def test_an_error_in_the_middle_of_a_stream(world: World, http: httpx.Client, prompt: str, fault: str) -> None:
    world.script.faults = dict.fromkeys(ALL, fault)
    messages = [{"role": "user", "content": prompt}]
    for path in ("/v1/chat/completions", "/v1/messages"):
        for name in ("vllm_local", "claude_sonnet"):
            body = {"model": name, "max_tokens": 9, "stream": True, "messages": messages}
            last = http.post(path, json=body).text.rpartition("data: ")[2]
            assert '"error"' in last
            assert INSIDE.search(last) is None, last


def test_a_wrong_key(world: World, proxy: Proxy) -> None:
    with pytest.raises(openai.AuthenticationError) as found:
        with openai.OpenAI(base_url=f"{proxy.url}/v1", api_key="sk-of-nobody", max_retries=0) as client:
            chat(client, "x", False)
    assert found.value.code == "invalid_api_key"
    assert INSIDE.search(found.value.response.text) is None, found.value.response.text
    with pytest.raises(anthropic.AuthenticationError) as known:
        with anthropic.Anthropic(base_url=proxy.url, api_key="sk-of-nobody", max_retries=0) as claude:
            claude.messages.create(model="claude_sonnet", max_tokens=9, messages=[{"role": "user", "content": "x"}])
    assert known.value.type == "authentication_error"
    assert INSIDE.search(known.value.response.text) is None, known.value.response.text


@pytest.mark.parametrize(("path", "status"), [("/v1/nothing", 404), ("/v1/embeddings", 405)])
def test_no_such_route_or_method(http: httpx.Client, path: str, status: int) -> None:
    answer = http.get(path)
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}

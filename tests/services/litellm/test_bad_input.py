"""What is refused, with a 4xx in OpenAI's shape, before any model is asked."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.services.litellm.conftest import World

PATHS = {"chat": "/v1/chat/completions", "embedding": "/v1/embeddings", "anthropic": "/v1/messages"}
GOOD: dict[str, Any] = {"model": "claude_sonnet", "messages": [{"role": "user", "content": "x"}]}


def refused(response: httpx.Response, status: int = 400) -> str:
    """The message of an error in OpenAI's shape, which shows nothing of the inside."""
    assert response.status_code == status, response.text
    assert set(response.json()) == {"error"}
    error = response.json()["error"]
    assert {"message", "type", "param", "code"} <= set(error)
    assert str(error["code"]) == str(status)
    assert "Traceback" not in error["message"]
    assert ".py" not in error["message"]
    return str(error["message"])


@pytest.mark.parametrize(
    "body",
    [b"{bad", b"[]", b'"x"', b"5", b"null", b"", b" ", b"{}", b"\xff\xfe{", b"\x00" * 100, b'{"a":' * 100_000],
    ids=lambda body: repr(body[:8]),
)
def test_a_body_that_is_no_json_object(world: World, http: httpx.Client, body: bytes) -> None:
    headers = {"content-type": "application/json"}
    refused(http.post(PATHS["chat"], content=body, headers=headers))
    assert world.script.asked == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"model": "nope"}, "nope"),
        ({"model": 5}, "model"),
        ({"model": None}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": "x"}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [5]}, "messages[0]"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "boss", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": {"a": 1}}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": ["x"]}]}, "messages[0].content"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"stream": "maybe"}, "stream"),
        ({"tools": "x"}, "tools"),
        ({"tools": ["x"]}, "tools"),
        ({"user": {"a": 1}}, "user"),
    ],
    ids=lambda part: json.dumps(part)[:40],
)
def test_a_wrong_type_is_named(world: World, http: httpx.Client, change: dict[str, Any], named: str) -> None:
    body = {key: value for key, value in {**GOOD, **change}.items() if value is not None}
    assert named in refused(http.post(PATHS["chat"], json=body))
    assert world.script.asked == []


@pytest.mark.parametrize("given", [None, {"a": 1}, 5, "", []], ids=repr)
def test_what_is_no_input_of_an_embedding(world: World, http: httpx.Client, given: object) -> None:
    body = {"model": "local_bge", **({"input": given} if given is not None else {})}
    assert "input" in refused(http.post(PATHS["embedding"], json=body))
    assert world.script.asked == []


def test_anthropic_s_protocol_is_checked_too(world: World, http: httpx.Client) -> None:
    body = {"model": "claude_sonnet", "max_tokens": 5, "messages": "x"}
    answer = http.post(PATHS["anthropic"], json=body)
    assert answer.status_code == 400
    assert world.script.asked == []


@pytest.mark.parametrize("key", ["api_base", "base_url"])
def test_a_client_does_not_choose_where_the_request_goes(world: World, http: httpx.Client, key: str) -> None:
    answer = http.post(PATHS["chat"], json={**GOOD, key: "http://127.0.0.1:1"})
    assert 400 <= answer.status_code < 500
    assert world.script.asked == []


def test_a_client_does_not_choose_headers_of_the_provider_s_call(world: World, http: httpx.Client, prompt: str) -> None:
    body = {"model": "claude_sonnet", "messages": [{"role": "user", "content": prompt}]}
    given = {"x-api-key": "stolen", "x-foo": "bar"}
    assert http.post(PATHS["chat"], json={**body, "headers": given}).status_code == 200
    [call] = world.script.asked
    assert call["headers"]["x-api-key"] == "claude-of-the-tests"
    assert "x-foo" not in call["headers"]


@pytest.mark.parametrize("authorization", [None, "Bearer wrong", "Bearer sk-wrong", "Basic x", "Bearer", ""])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/embeddings", "/v1/models", "/key/generate"])
def test_without_the_right_key(world: World, proxy: Any, path: str, authorization: str | None) -> None:
    headers = {} if authorization is None else {"authorization": authorization}
    method = "GET" if path == "/v1/models" else "POST"
    answer = httpx.request(method, f"{proxy.url}{path}", json=GOOD, headers=headers, timeout=30)
    assert 400 <= answer.status_code < 500, answer.text
    assert "message" in answer.json()["error"]
    assert world.script.asked == []


def test_a_body_beyond_any_model_s_limit(world: World, http: httpx.Client) -> None:
    body = {**GOOD, "messages": [{"role": "user", "content": "x" * 33 * 1024 * 1024}]}
    assert "32 MiB" in refused(http.post(PATHS["chat"], json=body), 413)

    def without_length() -> Iterator[bytes]:
        yield b'{"model": "claude_sonnet", "messages": [{"role": "user", "content": "'
        for _ in range(34):
            yield b"x" * 1024 * 1024
        yield b'"}]}'

    answer = http.post(PATHS["chat"], content=without_length(), headers={"content-type": "application/json"})
    assert 400 <= answer.status_code < 500
    assert world.script.asked == []


def test_a_long_prompt_below_it_arrives_whole(world: World, http: httpx.Client, prompt: str) -> None:
    text = prompt + "x" * 8 * 1024 * 1024
    body = {"model": "vllm_local", "messages": [{"role": "user", "content": text}]}
    assert http.post(PATHS["chat"], json=body).status_code == 200
    [call] = world.script.asked
    assert call["body"]["messages"][0]["content"] == text

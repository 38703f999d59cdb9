"""What is refused, with a 4xx in OpenAI's shape, before any model is asked."""

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.services.litellm.conftest import World
from tests.services.litellm.servers import SONNET, VLLM

PATHS = {"chat": "/v1/chat/completions", "embedding": "/v1/embeddings", "anthropic": "/v1/messages"}
CODES = {404: "model_not_found", 401: "invalid_api_key"}
GOOD: dict[str, Any] = {"model": "claude_sonnet", "messages": [{"role": "user", "content": "x"}]}


def refused(response: httpx.Response, status: int = 400) -> str:
    """The message of an error in OpenAI's shape, which shows nothing of the inside."""
    assert response.status_code == status, response.text
    assert set(response.json()) == {"error"}
    error = response.json()["error"]
    assert {"message", "type", "param", "code"} <= set(error)
    assert str(error["code"]) == CODES.get(status, str(status))
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
        ({"metadata": "x"}, "metadata"),
        ({"timeout": "x"}, "timeout"),
        ({"web_search_options": 5}, "web_search_options"),
        ({"messages": [{"role": {"a": 1}, "content": "x"}]}, "messages[0].role"),
    ],
    ids=lambda part: json.dumps(part)[:40],
)
def test_a_wrong_type_is_named(world: World, http: httpx.Client, change: dict[str, Any], named: str) -> None:
    body = {key: value for key, value in {**GOOD, **change}.items() if value is not None}
    assert named in refused(http.post(PATHS["chat"], json=body))
    assert world.script.asked == []


@pytest.mark.parametrize("given", [None, {"a": 1}, 5, "", [], ["x", ""], ["x", {"a": 1}], [None], True], ids=repr)
def test_what_is_no_input_of_an_embedding(world: World, http: httpx.Client, given: object) -> None:
    body = {"model": "local_bge", **({"input": given} if given is not None else {})}
    assert "input" in refused(http.post(PATHS["embedding"], json=body))
    assert world.script.asked == []


@pytest.mark.parametrize("given", [[15339, 1917], [[15339], [1917, 2]], ["x", [1]], [1.5]], ids=repr)
def test_ids_of_another_model_s_tokens_are_refused_and_not_embedded(
    world: World, http: httpx.Client, given: list[Any]
) -> None:
    said = refused(http.post(PATHS["embedding"], json={"model": "local_bge", "input": given}))
    assert "must be text" in said
    assert "check_embedding_ctx_length=False" in said
    assert world.script.asked == []


def test_as_many_texts_as_openai_takes_and_no_more(world: World, http: httpx.Client) -> None:
    answer = http.post(PATHS["embedding"], json={"model": "local_bge", "input": ["x"] * 2048}, timeout=60)
    assert (answer.status_code, len(answer.json()["data"])) == (200, 2048)
    asked = len(world.script.asked)
    assert "2048" in refused(http.post(PATHS["embedding"], json={"model": "local_bge", "input": ["x"] * 2049}))
    assert len(world.script.asked) == asked


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


@pytest.mark.parametrize(
    "change",
    [
        {"messages": [{"role": "user", "content": [{"type": "nonsense"}]}]},
        {"messages": [{"role": "user", "content": [{}]}]},
        {"response_format": {"type": 5}},
        {"tools": [{"type": "function"}]},
        {"tool_choice": 5},
    ],
    ids=lambda part: json.dumps(part)[:50],
)
@pytest.mark.parametrize("model", ["claude_sonnet", "vllm_local"])
def test_what_the_proxy_cannot_read_makes_no_model_rest(
    world: World, other_http: httpx.Client, prompt: str, model: str, change: dict[str, Any]
) -> None:
    for _ in range(3):
        answer = other_http.post(PATHS["chat"], json={**GOOD, "model": model, **change})
        # A model may refuse it as well, or take it: what counts is that it is nobody else's fault.
        assert answer.status_code < 500, answer.text
    asked = len(world.script.asked)
    good = {"model": model, "messages": [{"role": "user", "content": prompt}]}
    assert other_http.post(PATHS["chat"], json=good).status_code == 200
    assert [call["model"] for call in world.script.asked[asked:]] == [
        {"claude_sonnet": SONNET, "vllm_local": VLLM}[model]
    ]


@pytest.mark.parametrize("path", ["chat", "anthropic"])
@pytest.mark.parametrize(
    "change",
    [
        {"api_key": "sk-stolen"},
        {"extra_headers": {"x-foo": "bar", "x-api-key": "sk-stolen"}},
        {"provider_specific_header": {"custom_llm_provider": "anthropic", "extra_headers": {"x-foo": "bar"}}},
        {"custom_llm_provider": "openai"},
        {"litellm_logging_obj": [None]},
        {"proxy_server_request": {"headers": {"x-consumer-username": "root"}}},
        {"no-log": True},
        {"mock_response": "made up"},
        {"num_retries": 9},
        {"fallbacks": [{"model": "vllm_local", "api_key": "sk-stolen"}]},
    ],
    ids=lambda part: next(iter(part)),
)
def test_the_proxy_s_own_arguments_are_no_client_s(
    world: World, http: httpx.Client, prompt: str, path: str, change: dict[str, Any]
) -> None:
    given = {"model": "claude_sonnet", "max_tokens": 9, "messages": [{"role": "user", "content": prompt}]}
    answer = http.post(PATHS[path], json={**given, **change})
    assert answer.status_code == 200, answer.text
    assert f"{SONNET} answers" in answer.text
    [call] = world.script.asked
    assert call["headers"]["x-api-key"] == "claude-of-the-tests"
    assert "x-foo" not in call["headers"]
    assert not set(change) & set(call["body"])


def test_what_is_refused_is_neither_kept_nor_paid_for(world: World, http: httpx.Client, prompt: str) -> None:
    def state() -> tuple[int, list[str]]:
        metrics = [line for line in http.get("/metrics/").text.splitlines() if line.startswith("litellm_spend_metric")]
        with world.redis.admin() as redis:
            return len(redis.keys("litellm:answers:*")), sorted(line for line in metrics if "_created" not in line)

    before = state()
    for change in ({"temperature": "hot"}, {"model": "nope"}, {"messages": [5]}, {"tools": 5}):
        for path in ("chat", "anthropic"):
            given = {"model": "claude_sonnet", "max_tokens": 9, "messages": [{"role": "user", "content": prompt}]}
            assert 400 <= http.post(PATHS[path], json={**given, **change}).status_code < 500
    time.sleep(1)
    assert state() == before


@pytest.mark.parametrize("body", [b"{bad", b"[]", b'{"model": "claude_sonnet", "max_tokens": 5, "messages": 5}'])
def test_errors_of_anthropic_s_protocol_have_its_shape(world: World, http: httpx.Client, body: bytes) -> None:
    answer = http.post(PATHS["anthropic"], content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["type"] == "error"
    assert answer.json()["error"]["message"]
    wrong = {"authorization": "Bearer sk-wrong"}
    answer = http.post(PATHS["anthropic"], json={**GOOD, "max_tokens": 5}, headers=wrong)
    assert answer.status_code == 401
    assert answer.json()["type"] == "error"


def test_an_unknown_model_of_the_list_is_an_error_in_openai_s_shape(world: World, http: httpx.Client) -> None:
    answer = http.get("/v1/models/nope")
    assert answer.status_code == 404
    assert "nope" in answer.json()["error"]["message"]

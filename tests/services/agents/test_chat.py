"""`/v1/chat/completions` and `/v1/models` through the official client."""

import json
from typing import Any

import httpx
import openai
import pytest

from tests.services.agents.conftest import KEY, SERVICE
from tests.services.agents.stand_in import Say, StandIn


def _ask(client: openai.OpenAI, text: str, model: str = "auto", **more: Any) -> Any:
    return client.chat.completions.create(model=model, messages=[{"role": "user", "content": text}], **more)


def test_models_are_listed(client: openai.OpenAI) -> None:
    names = {model.id for model in client.models.list()}
    assert {"auto", "simple", "code", "complex", "search", "multi_step", "vllm_local", "claude_opus"} <= names


@pytest.mark.parametrize(
    ("prompt", "route", "model"),
    [
        ("What is the capital of Peru?", "simple", "vllm_local"),
        ("Write a Python function that parses a JSON file", "code", "claude_sonnet"),
        (
            "Evaluate whether Kant's ethics permits lying; argue both sides and take a position",
            "complex",
            "claude_opus",
        ),
    ],
)
def test_the_router_picks_the_model(
    client: openai.OpenAI, upstream: StandIn, prompt: str, route: str, model: str
) -> None:
    upstream.script = lambda _: Say("an answer")
    answer = _ask(client, prompt)
    assert answer.choices[0].message.content == "an answer"
    assert upstream.chats[0]["model"] == model
    assert answer.metadata["route"] == route
    assert answer.metadata["reasons"]
    assert not answer.metadata["forced"]
    assert answer.metadata["decision_ms"] >= 0


def test_a_route_can_be_forced_by_model_or_metadata(client: openai.OpenAI, upstream: StandIn) -> None:
    assert _ask(client, "hello", "complex").metadata["forced"]
    _ask(client, "hello", metadata={"route": "code"})
    _ask(client, "hello", "claude_small")
    assert [chat["model"] for chat in upstream.chats] == ["claude_opus", "claude_sonnet", "claude_small"]


def test_a_stream_is_passed_on(client: openai.OpenAI, upstream: StandIn) -> None:
    upstream.script = lambda _: Say("one two three")
    chunks = list(_ask(client, "What is the capital of Peru?", stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "one two three"
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert chunks[0].metadata["route"] == "simple"


def test_usage_is_streamed_when_asked_for(client: openai.OpenAI, upstream: StandIn) -> None:
    chunks = list(_ask(client, "hi", stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].usage.total_tokens == 11


def test_the_proxys_own_parameters_are_not_passed_on(client: openai.OpenAI, upstream: StandIn) -> None:
    _ask(client, "hi", temperature=0.5, extra_body={"api_base": "http://evil", "api_key": "x", "mock_response": "y"})
    assert upstream.chats[0]["temperature"] == 0.5
    assert not {"api_base", "api_key", "mock_response", "metadata"} & set(upstream.chats[0])


def test_a_caller_with_tools_leads_itself(client: openai.OpenAI, upstream: StandIn) -> None:
    upstream.script = lambda _: Say("", tool_calls=[("weather", {"city": "Oslo"})])
    tool: Any = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    text = "First look up the weather, then compare it with last year, and finally write a report with a chart"
    answer = _ask(client, text, tools=[tool])
    assert answer.choices[0].message.tool_calls[0].function.name == "weather"
    assert len(upstream.chats) == 1


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("status:400", openai.BadRequestError),
        ("status:429", openai.RateLimitError),
        ("status:500", openai.InternalServerError),
        ("status:401", openai.InternalServerError),
        ("malformed", openai.InternalServerError),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_fault_before_the_first_token_is_a_status(
    client: openai.OpenAI, upstream: StandIn, fault: str, error: type[openai.APIStatusError], stream: bool
) -> None:
    upstream.script = lambda _: Say(fault=fault)
    with pytest.raises(error) as caught:
        list(_ask(client, "hi", stream=stream))
    assert caught.value.status_code in (400, 429, 502)
    assert caught.value.body["message"]  # type: ignore[index]


def test_an_unknown_model(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        _ask(client, "hi", "gpt-9")
    assert caught.value.code == "model_not_found"
    assert caught.value.param == "model"


def test_a_wrong_key(base_url: str) -> None:
    with openai.OpenAI(base_url=f"{base_url}/v1", api_key="wrong", max_retries=0) as stranger:
        with pytest.raises(openai.AuthenticationError):
            _ask(stranger, "hi")


def test_no_route_but_health_answers_without_a_key(base_url: str) -> None:
    paths = json.loads((SERVICE / "openapi.json").read_text())["paths"]
    answers = {}
    for path, methods in paths.items():
        for method in methods:
            url = base_url + path.replace("{number}", "1").replace("{", "").replace("}", "")
            for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {KEY}"}):
                answer = httpx.request(method, url, headers=headers)
                answers.setdefault(path, set()).add(answer.status_code)
                if answer.status_code == 401:
                    assert answer.json()["error"]["code"] in ("missing_api_key", "invalid_api_key")
                    assert answer.headers["www-authenticate"] == "Bearer"
    for path, statuses in answers.items():
        assert statuses == ({401} if path.startswith("/v1/") else {200}), path


@pytest.mark.parametrize("path", ["chat/completions", "documents", "runs", "search"])
@pytest.mark.parametrize("body", [b"{not JSON", b"x" * (3 << 20)], ids=["malformed", "too large"])
def test_a_stranger_s_body_is_not_looked_at(base_url: str, path: str, body: bytes) -> None:
    for key, statuses in (("wrong", [401]), (KEY, [400, 413])):
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        assert httpx.post(f"{base_url}/v1/{path}", content=body, headers=headers).status_code in statuses


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"{", "invalid_json"),
        (b"\xff\xfe\x00", "invalid_json"),
        (b"[]", "invalid_value"),
        (b'{"model": "auto", "messages": []}', "invalid_value"),
        (b'{"model": "auto", "messages": "hi"}', "invalid_value"),
        (b'{"model": 3, "messages": [{"role": "user", "content": "hi"}]}', "invalid_value"),
        (b'{"model": "auto", "messages": [{"role": "pope", "content": "hi"}]}', "invalid_value"),
        (b'{"model": "auto", "messages": [{"role": "user", "content": "hi"}], "temperature": "hot"}', "invalid_value"),
        (
            b'{"model": "auto", "messages": [{"role": "user", "content": "x"}], "metadata": {"route": "up"}}',
            "route_not_found",
        ),
    ],
)
def test_bad_bodies(http: httpx.Client, upstream: StandIn, content: bytes, code: str) -> None:
    answer = http.post("/v1/chat/completions", content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["code"] == code
    assert not upstream.chats


def test_a_huge_body_and_a_deep_one(http: httpx.Client) -> None:
    huge = {"model": "auto", "messages": [{"role": "user", "content": "x" * (3 << 20)}]}
    answer = http.post("/v1/chat/completions", json=huge)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")
    deep = b'{"model": "auto", "messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    answer = http.post("/v1/chat/completions", content=deep, headers={"content-type": "application/json"})
    assert answer.status_code == 400


def test_metrics_and_request_id(http: httpx.Client, upstream: StandIn) -> None:
    body = {"model": "auto", "messages": [{"role": "user", "content": "hi"}]}
    answer = http.post("/v1/chat/completions", json=body, headers={"x-request-id": "my-id-7"})
    assert answer.headers["x-request-id"] == "my-id-7"
    assert upstream.request_ids == ["my-id-7"]
    text = http.get("/metrics").text
    assert 'agents_requests_total{path="/v1/chat/completions",status="200"}' in text
    assert "agents_route_decisions_total" in text

"""The stand-ins of model servers and of the cloud models' APIs."""

import base64
import http.client
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab.images import outside
from lab.images.standins import embeddings, faults, vllm
from lab.images.standins.common import Service
from tests.contracts.upstream_facts import read
from tests.lab.images.conftest import Client

Serve = Callable[[Service], Client]
CONFIG = {
    "served-model-name": "org/chat",
    "api-key": "k",
    "host": "127.0.0.1",
    "port": 0,
    "enable-auto-tool-choice": True,
    "tool-call-parser": "hermes",
}
QUESTION = [{"role": "user", "content": "good morning"}]


@pytest.fixture
def chat(serve: Serve) -> Client:
    return serve(vllm.make(CONFIG))


def asked(**more: Any) -> dict[str, Any]:
    return {"model": "org/chat", "messages": QUESTION, **more}


@pytest.mark.parametrize("path", ["/v1/models", "/v1/chat/completions"])
@pytest.mark.parametrize("key", ["", "wrong"])
def test_vllm_wants_its_key(chat: Client, path: str, key: str) -> None:
    method = "GET" if path.endswith("models") else "POST"
    assert chat.ask(method, path, asked(), key=key)[0] == 401


def test_vllm_answers_with_what_it_was_told(chat: Client) -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": "say [[this]]"}]}]
    status, answer = chat.ask("POST", "/v1/chat/completions", asked(messages=messages), key="k")
    assert status == 200
    assert answer["choices"][0]["message"]["content"] == "this"
    assert answer["usage"]["total_tokens"] > 0


def test_vllm_calls_a_tool(chat: Client) -> None:
    messages = [{"role": "user", "content": '[[tool:run_code {"code": "1+1"}]]'}]
    _, answer = chat.ask("POST", "/v1/chat/completions", asked(messages=messages, tools=[{}]), key="k")
    call = answer["choices"][0]["message"]["tool_calls"][0]["function"]
    assert (call["name"], json.loads(call["arguments"])) == ("run_code", {"code": "1+1"})


def test_vllm_streams_and_ends_with_usage(chat: Client) -> None:
    body = asked(stream=True, stream_options={"include_usage": True})
    status, content, kind = chat.raw("POST", "/v1/chat/completions", body, key="k")
    events = [line.removeprefix(b"data: ") for line in content.split(b"\n\n") if line]
    assert (status, kind, events[-1]) == (200, "text/event-stream", b"[DONE]")
    pieces = [json.loads(event) for event in events[:-1]]
    assert "".join(p["choices"][0]["delta"].get("content", "") for p in pieces[:-1]).endswith("good morning")
    assert pieces[-1]["usage"]["completion_tokens"] > 0


@pytest.mark.parametrize("status", ["429", "500", "503"])
def test_a_fault_refuses(chat: Client, status: str) -> None:
    headers = {faults.HEADER: status}
    assert chat.ask("POST", "/v1/chat/completions", asked(), headers, key="k")[0] == int(status)


def test_a_fault_cuts_a_stream(chat: Client) -> None:
    with pytest.raises(http.client.IncompleteRead):
        chat.raw("POST", "/v1/chat/completions", asked(stream=True), {faults.HEADER: "cut:2"}, key="k")


def test_a_file_switches_a_fault_for_everybody(chat: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "fault"
    monkeypatch.setattr(faults, "FILE", file)
    file.write_text("500\n")
    assert chat.ask("POST", "/v1/chat/completions", asked(), key="k")[0] == 500
    file.unlink()
    assert chat.ask("POST", "/v1/chat/completions", asked(), key="k")[0] == 200


def test_vllm_knows_its_model_alone_and_counts(chat: Client) -> None:
    assert chat.ask("POST", "/v1/chat/completions", asked(model="other"), key="k")[0] == 404
    chat.ask("POST", "/v1/chat/completions", asked(), key="k")
    text = chat.ask("GET", "/metrics")[1]
    assert 'vllm:e2e_request_latency_seconds_count{engine="0",model_name="org/chat"} 1' in text


@pytest.fixture
def vectors(serve: Serve) -> Client:
    return serve(embeddings.make("BAAI/bge-m3", "k", embeddings.Limits(inputs=4, tokens=64, bytes=4000)))


def test_the_embedding_server_s_own_limits_are_those_of_upstream_s_file() -> None:
    flags, limits = read("embeddings").flags, embeddings.Limits()
    assert limits.inputs == flags["--max-client-batch-size"].get("default")
    assert limits.permits == flags["--max-concurrent-requests"].get("default")
    assert limits.tokens == flags["--max-batch-tokens"].get("default")
    assert limits.bytes == flags["--payload-limit"].get("default")


def test_embeddings_have_the_size_of_the_model_that_is_stood_in_for(vectors: Client) -> None:
    _, answer = vectors.ask(
        "POST", "/v1/embeddings", {"model": "m", "input": ["red apple", "red pear", "bus"]}, key="k"
    )
    found = [row["embedding"] for row in answer["data"]]
    assert [len(v) for v in found] == [1024] * 3

    def near(a: int, b: int) -> float:
        return sum(x * y for x, y in zip(found[a], found[b], strict=True))

    assert near(0, 0) == pytest.approx(1)
    assert near(0, 1) > near(0, 2)


def test_embeddings_want_their_key_and_a_small_batch(vectors: Client) -> None:
    assert vectors.ask("POST", "/embed", {"inputs": "a"})[0] == 401
    assert vectors.ask("GET", "/health")[0] == 200
    assert vectors.ask("POST", "/embed", {"inputs": ["a"] * 5}, key="k")[0] == 422
    assert vectors.ask("POST", "/embed", {"inputs": []}, key="k")[0] == 400
    assert vectors.ask("POST", "/embed", {"inputs": ["a", ""]}, key="k")[0] == 400
    assert vectors.ask("POST", "/embed", {"inputs": "a" * 4000}, key="k")[0] == 413
    _, ranked = vectors.ask("POST", "/rerank", {"query": "red apple", "texts": ["bus", "red apple pie"]}, key="k")
    assert ranked[0]["index"] == 1


def test_a_long_text_is_truncated_and_not_refused_unless_told(vectors: Client, serve: Serve) -> None:
    long = {"inputs": "word " * 100}
    assert vectors.ask("POST", "/embed", long, key="k")[0] == 200
    status, answer = vectors.ask("POST", "/embed", {**long, "truncate": False}, key="k")
    assert (status, answer["error"]) == (422, "`inputs` must have less than 64 tokens. Given: 125")
    strict = serve(embeddings.make("BAAI/bge-m3", "k", embeddings.Limits(tokens=64, truncate=False)))
    status, answer = strict.ask("POST", "/v1/embeddings", {"input": "word " * 100}, key="k")
    assert (status, answer["code"], answer["type"]) == (422, 422, "Validation")


def test_each_text_takes_a_permit_and_ids_of_tokens_are_taken_for_its_own(serve: Serve) -> None:
    few = serve(embeddings.make("BAAI/bge-m3", "k", embeddings.Limits(inputs=2048, permits=3)))
    assert few.ask("POST", "/v1/embeddings", {"input": ["a"] * 4}, key="k")[0] == 429
    status, answer = few.ask("POST", "/v1/embeddings", {"input": [[1, 2], [3]]}, key="k")
    assert (status, len(answer["data"])) == (200, 2)
    answer = few.ask("POST", "/v1/embeddings", {"input": "a", "encoding_format": "base64"}, key="k")[1]
    assert len(base64.b64decode(answer["data"][0]["embedding"])) == 4 * 1024


@pytest.fixture
def cloud(serve: Serve) -> Client:
    return serve(outside.make())


def test_the_cloud_models_want_a_key(cloud: Client) -> None:
    body = {"model": "m", "max_tokens": 9, "messages": QUESTION}
    assert cloud.ask("POST", "/v1/messages", body)[0] == 401
    assert cloud.ask("POST", "/api/v1/chat/completions", body)[0] == 401


def test_anthropic_answers_streams_and_fails(cloud: Client) -> None:
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "[[yes]]"}]}
    key = {"x-api-key": "k"}
    _, answer = cloud.ask("POST", "/v1/messages", body, key)
    assert (answer["content"], answer["stop_reason"]) == ([{"type": "text", "text": "yes"}], "end_turn")
    _, content, _ = cloud.raw("POST", "/v1/messages", {**body, "stream": True}, key)
    kinds = [line.removeprefix(b"event: ") for line in content.splitlines() if line.startswith(b"event: ")]
    assert (kinds[0], kinds[-1]) == (b"message_start", b"message_stop")
    status, answer = cloud.ask("POST", "/v1/messages", body, {**key, faults.HEADER: "529"})
    assert (status, answer["error"]["type"]) == (529, "overloaded_error")


def test_what_was_asked_outside_is_told_without_keys(cloud: Client) -> None:
    cloud.ask("POST", "/api/v1/chat/completions", {"model": "m", "messages": QUESTION}, key="secret")
    _, calls = cloud.ask("GET", "/lab/calls")
    assert [(call["path"], call["model"]) for call in calls] == [("/api/v1/chat/completions", "m")]
    assert "secret" not in json.dumps(calls)

"""`usage` of answers that are a model's own; those of `search` and `multi_step` are in their own tests."""

import json
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from tests.services.agents.conftest import SERVICE
from tests.services.agents.stand_in import Say, StandIn
from tests.services.agents.test_follow_ups import CALL, PICTURE

sys.path.insert(0, str(SERVICE))

from mesh_agents.llm.usage import estimate, together, tokens

ROUTES = ["simple", "code", "complex"]
WANTED = {"include_usage": True}
ASKED: Any = [{"role": "user", "content": "say it all"}]


@pytest.fixture
def base_url(seeing_url: str) -> str:
    return seeing_url


def _total(usage: Any) -> tuple[int, int, int]:
    return usage.prompt_tokens, usage.completion_tokens, usage.total_tokens


@pytest.mark.parametrize("route", ROUTES)
def test_usage_is_the_models(client: openai.OpenAI, upstream: StandIn, route: str) -> None:
    upstream.script = lambda _: Say("one two", usage=(70, 7))
    assert _total(client.chat.completions.create(model=route, messages=ASKED).usage) == (70, 7, 77)
    chunks = list(client.chat.completions.create(model=route, messages=ASKED, stream=True, stream_options=WANTED))  # type: ignore[call-overload]
    assert chunks[-1].choices == []
    assert _total(chunks[-1].usage) == (70, 7, 77)
    assert chunks[-1].id == chunks[0].id
    assert all(chunk.choices and chunk.usage is None for chunk in chunks[:-1])
    assert chunks[-2].choices[0].finish_reason == "stop"


@pytest.mark.parametrize("options", [None, {"include_usage": False}])
def test_without_the_option_no_chunk_has_usage(client: openai.OpenAI, upstream: StandIn, options: Any) -> None:
    chunks = list(client.chat.completions.create(model="simple", messages=ASKED, stream=True, stream_options=options))
    assert all(chunk.choices and chunk.usage is None for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"


@pytest.mark.parametrize("stream", [True, False])
def test_what_broke_before_is_in_the_usage(client: openai.OpenAI, upstream: StandIn, stream: bool) -> None:
    """Ten characters were asked in vain: three tokens, by our estimate."""
    answers: Iterator[Say] = iter([Say("never said", fault="cut", words=0)])
    upstream.script = lambda _: next(answers, Say("one two", usage=(70, 7)))
    if stream:
        *_, last = client.chat.completions.create(model="simple", messages=ASKED, stream=True, stream_options=WANTED)  # type: ignore[call-overload]
        assert _total(last.usage) == (73, 7, 80)
    else:
        answer = client.chat.completions.create(model="simple", messages=ASKED)
        assert _total(answer.usage) == (73, 7, 80)


def test_a_single_calls_details_are_kept_and_sums_are_sums() -> None:
    details = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 9, "prompt_tokens_details": {"cached": 3}}
    assert together([None, details]) == {**details, "total_tokens": 7}
    assert together([details, details]) == {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}
    assert together([]) == {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


@pytest.mark.parametrize(
    "odd", [None, [], "x", {"prompt_tokens": "7"}, {"prompt_tokens": -7, "completion_tokens": None}]
)
def test_what_is_no_number_counts_as_none(odd: Any) -> None:
    assert tokens(odd) == (0, 0)


def test_the_estimate_is_by_length() -> None:
    payload = {"messages": [{"content": "x" * 10}, {"content": [{"type": "text", "text": "y" * 6}, {}]}, {}]}
    assert estimate(payload, 9) == {"prompt_tokens": 4, "completion_tokens": 3, "total_tokens": 7}


def test_an_upstream_that_counts_nothing_is_estimated(http: httpx.Client, upstream: StandIn) -> None:
    upstream.script = lambda _: Say("x" * 40, usage=(0, 0))
    body = {"model": "simple", "messages": ASKED}
    assert http.post("/v1/chat/completions", json=body).json()["usage"]["total_tokens"] == 13
    streamed = http.post("/v1/chat/completions", json={**body, "stream": True, "stream_options": WANTED}).text
    last = [json.loads(line[6:]) for line in streamed.splitlines() if line.startswith("data: {")][-1]
    assert last["usage"] == {"prompt_tokens": 3, "completion_tokens": 10, "total_tokens": 13}


ODD: dict[str, list[dict[str, Any]]] = {
    "a tool's result": [
        *ASKED,
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": "noon"},
    ],
    "a prefill": [*ASKED, {"role": "assistant", "content": "It was"}],
    "an empty message": [*ASKED, {"role": "assistant", "content": "All."}, {"role": "user", "content": ""}],
    "pictures before": [
        {"role": "user", "content": [{"type": "text", "text": "What is this?"}, PICTURE]},
        {"role": "assistant", "content": "A lighthouse."},
        *ASKED,
    ],
}


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("route", ["code", "complex"])
def test_any_conversation_is_passed_to_the_model_as_it_is(
    client: openai.OpenAI, upstream: StandIn, odd: str, stream: bool, route: str
) -> None:
    """The models of these routes see, and the proxy makes what Claude takes of empty messages and lone tools."""
    answer: Any = client.chat.completions.create(model=route, messages=ODD[odd], stream=stream)  # type: ignore[call-overload]
    told = (
        "".join(chunk.choices[0].delta.content or "" for chunk in answer)
        if stream
        else answer.choices[0].message.content
    )
    assert told == "fine"
    assert upstream.chats[0]["messages"] == ODD[odd]


@pytest.mark.parametrize("stream", [True, False])
def test_a_model_that_refuses_a_prefill_is_asked_to_go_on(
    client: openai.OpenAI, upstream: StandIn, stream: bool
) -> None:
    upstream.refuses_prefill = True
    prefilled = ODD["a prefill"]
    answer: Any = client.chat.completions.create(model="complex", messages=prefilled, stream=stream)  # type: ignore[call-overload]
    if stream:
        assert "".join(chunk.choices[0].delta.content or "" for chunk in answer) == "fine"
    first, second = (chat["messages"] for chat in upstream.chats)
    assert first == prefilled
    assert second[:-1] == prefilled
    assert second[-1]["role"] == "user"


def test_other_refusals_are_the_callers(client: openai.OpenAI, upstream: StandIn) -> None:
    upstream.script = lambda _: Say(fault="status:400")
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="complex", messages=ODD["a prefill"])  # type: ignore[arg-type]
    assert len(upstream.chats) == 1

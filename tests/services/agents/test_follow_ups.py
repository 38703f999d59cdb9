"""Whole conversations on the route `search`: follow-ups, the system prompt, streams, usage."""

import base64
import json
import logging
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from tests.services.agents.conftest import KEY
from tests.services.agents.stand_in import PNG, Say, StandIn
from tests.services.agents.team import system

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant")

VERITY = "The lighthouse at Cape Verity was built in 1871 by Anna Smith. Its tower is 41 metres tall."
BREAD = "Sourdough bread needs twelve hours of rest before it is baked at 230 degrees."
EARLIER: list[dict[str, Any]] = [
    {"role": "system", "content": "You speak like a PIRATE."},
    {"role": "user", "content": "Who built the lighthouse at Cape Verity?"},
    {"role": "assistant", "content": "Anna Smith did [1]."},
]
FOLLOW_UP: list[dict[str, Any]] = [*EARLIER, {"role": "user", "content": "And when?"}]
REWRITTEN = "When did Anna Smith build the lighthouse at Cape Verity?"
ANSWER = "It was built in 1871 [1], says a ghost [7]."
CALL = {"id": "c1", "type": "function", "function": {"name": "clock", "arguments": "{}"}}
PICTURE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{base64.b64encode(PNG).decode()}"}}


def is_rewrite(payload: dict[str, Any]) -> bool:
    return system(payload).startswith("Rewrite the user's last message")


def model(payload: dict[str, Any]) -> Say:
    return Say(f'"{REWRITTEN}"', usage=(30, 12)) if is_rewrite(payload) else Say(ANSWER, usage=(200, 20))


@pytest.fixture
def base_url(seeing_url: str) -> str:
    return seeing_url


@pytest.fixture
def mine(mine: httpx.Client, upstream: StandIn) -> httpx.Client:
    for name, text in (("verity.txt", VERITY), ("bread.txt", BREAD)):
        assert mine.post("/v1/documents", files={"file": (name, text)}).status_code == 201
    upstream.chats.clear()
    upstream.script = model
    return mine


@pytest.fixture
def client(mine: httpx.Client, base_url: str, tenant: str) -> Iterator[openai.OpenAI]:
    headers = {"x-consumer-username": tenant}
    with openai.OpenAI(base_url=f"{base_url}/v1", api_key=KEY, max_retries=0, default_headers=headers) as made:
        yield made


def _ask(client: openai.OpenAI, messages: list[dict[str, Any]], **more: Any) -> Any:
    return client.chat.completions.create(model="search", messages=messages, **more)  # type: ignore[call-overload]


def test_a_follow_up_is_looked_up_as_a_question_that_stands_alone(client: openai.OpenAI, upstream: StandIn) -> None:
    answer = _ask(client, FOLLOW_UP)
    rewrite, asked = upstream.chats
    assert rewrite["model"] == "vllm_local"
    assert "Anna Smith did [1]." in rewrite["messages"][1]["content"]
    assert "And when?" in rewrite["messages"][1]["content"]
    assert (answer.metadata["question"], answer.metadata["question_by"]) == (REWRITTEN, "model")
    assert [source["source"] for source in answer.metadata["sources"]] == ["verity.txt"]
    assert (answer.metadata["cited"], answer.metadata["invented_citations"]) == ([1], [7])
    assert answer.choices[0].message.content == ANSWER
    roles = [message["role"] for message in asked["messages"]]
    assert roles == ["system", "user", "assistant", "user"]
    assert "PIRATE" in asked["messages"][0]["content"]
    assert asked["messages"][1]["content"] == EARLIER[1]["content"]
    assert asked["messages"][2]["content"] == EARLIER[2]["content"]
    assert "And when?" in asked["messages"][3]["content"]
    assert REWRITTEN in asked["messages"][3]["content"]
    assert VERITY in asked["messages"][3]["content"]
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (230, 32, 262)


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "system", "content": "x"}, {"role": "user", "content": "And when was the lighthouse built?"}],
        [*EARLIER, {"role": "user", "content": "How many metres tall is the lighthouse at Cape Verity?"}],
    ],
    ids=["the first question", "names what it is about"],
)
def test_a_question_that_stands_alone_costs_no_call(
    client: openai.OpenAI, upstream: StandIn, messages: list[dict[str, Any]]
) -> None:
    answer = _ask(client, messages)
    assert len(upstream.chats) == 1
    assert (answer.metadata["question"], answer.metadata["question_by"]) == (messages[-1]["content"], "caller")
    assert answer.usage.total_tokens == 220


@pytest.mark.parametrize("fault", ["status:500", "status:429", "cut", "malformed", None])
def test_without_the_small_model_the_last_question_goes_with_its_context(
    client: openai.OpenAI, upstream: StandIn, fault: str | None
) -> None:
    """`None`: it answers with what is no question."""
    upstream.script = lambda payload: Say("word " * 1000, fault=fault) if is_rewrite(payload) else model(payload)
    answer = _ask(client, FOLLOW_UP)
    assert answer.metadata["question_by"] == "context"
    assert answer.metadata["question"] == "Who built the lighthouse at Cape Verity?\nAnd when?"
    assert [source["source"] for source in answer.metadata["sources"]] == ["verity.txt"]
    assert answer.choices[0].message.content == ANSWER


def test_a_thinking_model_rewrites_as_well(client: openai.OpenAI, upstream: StandIn) -> None:
    upstream.script = lambda payload: (
        Say(f"<think>Hm,\nwhich?</think>\n\n{REWRITTEN}\n") if is_rewrite(payload) else model(payload)
    )
    assert _ask(client, FOLLOW_UP).metadata["question"] == REWRITTEN


def test_a_stream_comes_word_by_word_with_what_is_told_about_it(client: openai.OpenAI, upstream: StandIn) -> None:
    chunks = list(_ask(client, FOLLOW_UP, stream=True, stream_options={"include_usage": True}))
    said = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert len(said) == len(ANSWER.split())
    assert "".join(said) == ANSWER
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[0].metadata["question"] == REWRITTEN
    assert chunks[0].metadata["sources"][0]["source"] == "verity.txt"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert (chunks[-2].metadata["cited"], chunks[-2].metadata["invented_citations"]) == ([1], [7])
    assert chunks[-1].choices == []
    assert chunks[-1].usage.model_dump(exclude_none=True) == {
        "prompt_tokens": 230,
        "completion_tokens": 32,
        "total_tokens": 262,
    }
    assert upstream.chats[1]["stream"]


def test_a_stream_begins_before_it_ends(client: openai.OpenAI, upstream: StandIn) -> None:
    upstream.script = lambda _: Say("word " * 2000, delay=0.05)
    with _ask(client, EARLIER[:2], stream=True) as stream:
        first = next(chunk for chunk in stream if chunk.choices[0].delta.content)
    assert first.choices[0].delta.content == "word"


def test_without_the_option_no_chunk_has_usage(client: openai.OpenAI) -> None:
    chunks = list(_ask(client, FOLLOW_UP, stream=True))
    assert all(chunk.choices and chunk.usage is None for chunk in chunks)


@pytest.mark.parametrize("fault", ["cut", "error_event", "drop", "senseless", "no_done", "error_reason"])
def test_a_broken_stream_ends_with_one_error(mine: httpx.Client, upstream: StandIn, fault: str) -> None:
    upstream.script = lambda payload: model(payload) if is_rewrite(payload) else Say(ANSWER, fault=fault, delay=0.01)
    body = {"model": "search", "messages": FOLLOW_UP, "stream": True, "stream_options": {"include_usage": True}}
    answer = mine.post("/v1/chat/completions", json=body)
    events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
    assert "[DONE]" not in answer.text
    assert [("error" in event) for event in events] == [False] * (len(events) - 1) + [True]
    said = "".join(c["delta"].get("content", "") for event in events[:-1] for c in event["choices"])
    assert ANSWER.startswith(said)
    assert said
    assert not any(choice["finish_reason"] for event in events[:-1] for choice in event["choices"])
    assert not any(event.get("usage") for event in events)


@pytest.mark.parametrize("stream", [True, False])
def test_a_fault_before_the_first_word_is_a_status(client: openai.OpenAI, upstream: StandIn, stream: bool) -> None:
    upstream.script = lambda payload: model(payload) if is_rewrite(payload) else Say(fault="status:429")
    with pytest.raises(openai.RateLimitError):
        list(_ask(client, FOLLOW_UP, stream=stream))


@pytest.mark.parametrize("stream", [True, False])
def test_nothing_found_and_nothing_said_before_asks_no_model(
    client: openai.OpenAI, upstream: StandIn, stream: bool
) -> None:
    question = [{"role": "user", "content": "Which gearbox does the harvester have?"}]
    options = {"stream_options": {"include_usage": True}} if stream else {}
    answer = _ask(client, question, stream=stream, **options)
    chunks = list(answer) if stream else []
    usage = chunks[-1].usage if stream else answer.usage
    told = (
        "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1])
        if stream
        else answer.choices[0].message.content
    )
    assert told == "I found nothing relevant to this in the documents."
    assert usage.total_tokens == 0
    assert upstream.chats == []


def test_what_is_about_the_conversation_needs_no_passages(client: openai.OpenAI, upstream: StandIn) -> None:
    upstream.script = lambda payload: Say("zzz qqq xxx" if is_rewrite(payload) else "Anna. Smith.")
    answer = _ask(client, [*EARLIER, {"role": "user", "content": "Say it in two words"}])
    assert answer.choices[0].message.content == "Anna. Smith."
    assert answer.metadata["sources"] == []
    assert "no passages were found" in upstream.chats[-1]["messages"][-1]["content"]


ODD: dict[str, list[dict[str, Any]]] = {
    "a tool's result": [
        *FOLLOW_UP,
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": "NOON"},
    ],
    "a tool's result without its call": [*FOLLOW_UP, {"role": "tool", "tool_call_id": "c9", "content": "NOON"}],
    "a prefill": [*FOLLOW_UP, {"role": "assistant", "content": "Arr, it was"}],
    "an empty prefill": [*FOLLOW_UP, {"role": "assistant", "content": ""}],
    "an empty message": [*FOLLOW_UP, {"role": "user", "content": ""}],
    "no content": [*FOLLOW_UP, {"role": "user", "content": None}],
    "pictures before": [
        {"role": "user", "content": [{"type": "text", "text": EARLIER[1]["content"]}, PICTURE]},
        *FOLLOW_UP[2:],
    ],
    "pictures now": [*FOLLOW_UP[:-1], {"role": "user", "content": [{"type": "text", "text": "And when?"}, PICTURE]}],
    "the assistant first": [{"role": "assistant", "content": "Ahoy!"}, *FOLLOW_UP[1:]],
}


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("odd", ODD)
def test_any_conversation_is_answered(client: openai.OpenAI, upstream: StandIn, odd: str, stream: bool) -> None:
    answer = _ask(client, ODD[odd], stream=stream)
    if stream:
        told = "".join(chunk.choices[0].delta.content or "" for chunk in answer)
    else:
        told = answer.choices[0].message.content
    assert told == ANSWER
    asked = upstream.chats[-1]["messages"]
    roles = [message["role"] for message in asked]
    assert roles == ["system", *(("user", "assistant") * len(roles))[: len(roles) - 1]]
    assert roles[-1] == "user"
    assert all(message["content"] for message in asked)
    text = json.dumps(asked)
    assert "And when?" in json.dumps(asked[-1]) or "result" in odd
    assert text.count("base64,") == ("pictures" in odd), "the model sees it, once"
    assert "NOON" in text or "result" not in odd
    assert "Arr, it was" in text or odd != "a prefill"


def test_a_conversation_without_a_question_is_refused(client: openai.OpenAI, upstream: StandIn) -> None:
    with pytest.raises(openai.BadRequestError, match="no question"):
        _ask(client, [{"role": "user", "content": [PICTURE]}])


def test_a_long_conversation_is_cut_in_its_middle(client: openai.OpenAI, upstream: StandIn) -> None:
    middle: list[dict[str, Any]] = []
    for number in range(200):
        middle += [
            {"role": "user", "content": f"question {number} " + "about ships " * 30},
            {"role": "assistant", "content": f"answer {number} " + "about ships " * 30},
        ]
    _ask(client, [*EARLIER, *middle, FOLLOW_UP[-1]])
    for chat, most in zip(upstream.chats, (2500, 6800), strict=True):
        told = json.dumps(chat["messages"])
        assert len(told) / 4 < most
        assert "answer 199 " in told
        assert "answer 100 " not in told
        assert "messages were left out" in told
    assert "PIRATE" in told
    assert EARLIER[1]["content"] in told


def test_no_words_of_a_conversation_are_logged(
    client: openai.OpenAI, upstream: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    upstream.script = lambda payload: Say(fault="status:500") if is_rewrite(payload) else model(payload)
    with caplog.at_level(logging.INFO):
        _ask(client, FOLLOW_UP)
    assert "was not rewritten" in caplog.text
    assert "Cape Verity" not in caplog.text


def test_the_models_parameters_are_the_answers(client: openai.OpenAI, upstream: StandIn) -> None:
    given: dict[str, Any] = {"temperature": 0.3, "stop": ["END"], "response_format": {"type": "json_object"}}
    _ask(client, FOLLOW_UP, **given, max_tokens=77)
    rewrite, asked = upstream.chats
    assert {name: asked[name] for name in given} == given
    assert asked["max_tokens"] == 77
    assert (rewrite["temperature"], rewrite.get("stop"), rewrite.get("response_format")) == (0, None, None)


@pytest.mark.parametrize("model", ["search", "multi_step"])
@pytest.mark.parametrize("extra", [{}, {"extra_body": {"metadata": {"route": "search"}}}])
def test_logprobs_are_refused_by_name(client: openai.OpenAI, model: str, extra: dict[str, Any]) -> None:
    named = "vllm_local" if extra else model
    with pytest.raises(openai.BadRequestError, match="logprobs") as caught:
        client.chat.completions.create(model=named, messages=FOLLOW_UP, logprobs=True, **extra)  # type: ignore[call-overload]
    assert caught.value.param == "logprobs"

"""Whole conversations on the route `multi_step`, and its stream: how far the team is, then the answer."""

import json
import time
from typing import Any

import httpx
import openai
import pytest

from tests.services.agents.conftest import KEY, Worker, serving
from tests.services.agents.servers import wait_until
from tests.services.agents.stand_in import Say, StandIn
from tests.services.agents.team import PLAN, ended, system, team
from tests.services.agents.test_follow_ups import CALL, PICTURE

ANSWER = "The answer is 42, six times seven."
ASKED: list[dict[str, Any]] = [
    {"role": "system", "content": "You speak like a PIRATE."},
    {"role": "user", "content": "What is six times nine?"},
    {"role": "assistant", "content": "It is FIFTY-FOUR."},
    {"role": "user", "content": "Compute it anew with seven and explain"},
]


def _ask(client: openai.OpenAI, messages: list[dict[str, Any]] = ASKED, **more: Any) -> Any:
    return client.chat.completions.create(model="multi_step", messages=messages, **more)  # type: ignore[call-overload]


def _said(chunks: list[Any]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def _thoughts(chunks: list[Any]) -> str:
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    return "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas)


def _only(worker: str) -> str:
    return json.dumps({"steps": [{"worker": worker, "task": "all of it"}]})


def test_everybody_on_the_team_knows_the_conversation(client: openai.OpenAI, upstream: StandIn) -> None:
    upstream.script = team
    answer = _ask(client)
    assert answer.choices[0].message.content == ANSWER
    assert len(upstream.chats) == 5
    for chat in upstream.chats:
        assert "PIRATE" in system(chat)
        told = chat["messages"][1]["content"]
        assert "User: What is six times nine?" in told
        assert told.index("FIFTY-FOUR") < told.index("Compute it anew with seven")
        assert told.count("Compute it anew with seven") == 1
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (500, 250, 750)


def test_what_the_assistant_and_tools_said_before_is_data_to_the_planner(
    client: openai.OpenAI, upstream: StandIn
) -> None:
    upstream.script = team
    _ask(
        client,
        [
            *ASKED[:-1],
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "c1", "content": "PLAN A PICTURE"},
            ASKED[-1],
        ],
    )
    lines = upstream.chats[0]["messages"][1]["content"].splitlines()
    for text in ("It is FIFTY-FOUR.", "Result of clock: PLAN A PICTURE"):
        at = lines.index(text)
        assert lines[at - 1] == lines[at + 1]
        assert lines[at - 2].endswith(f"data {lines[at - 1]}:")


def test_the_stream_tells_how_far_the_team_is_and_then_the_answer(client: openai.OpenAI, upstream: StandIn) -> None:
    upstream.script = team
    chunks = list(_ask(client, stream=True, stream_options={"include_usage": True}))
    assert _said(chunks) == ANSWER
    assert sum(bool(chunk.choices and chunk.choices[0].delta.content) for chunk in chunks) == len(ANSWER.split())
    assert _thoughts(chunks).splitlines() == [
        "Plan:",
        "1. coder: compute the answer",
        "2. analyzer: explain the answer",
        "Step 1 of 2 begins: coder: compute the answer",
        "Step 1 of 2 ended: coder: compute the answer",
        "Step 2 of 2 begins: analyzer: explain the answer",
        "Step 2 of 2 ended: analyzer: explain the answer",
    ]
    progress = [chunk.metadata["progress"] for chunk in chunks if "progress" in (getattr(chunk, "metadata", 0) or {})]
    assert [one["event"] for one in progress] == ["plan", *["step_begins", "step_ended"] * 2]
    assert progress[2] == {"event": "step_ended", "step": 1, "of": 2, "worker": "coder"}
    order = [bool(chunk.choices[0].delta.content) for chunk in chunks if chunk.choices and chunk is not chunks[0]]
    assert order.index(True) > len(progress) - 1
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-2].metadata["plan"] == json.loads(PLAN)["steps"]
    assert chunks[-1].choices == []
    # Four whole answers, and a stream that counts its words.
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (410, 207)
    assert chunks[-1].usage.total_tokens == 617


def test_without_the_option_no_chunk_has_usage(client: openai.OpenAI, upstream: StandIn) -> None:
    upstream.script = team
    assert all(chunk.choices and chunk.usage is None for chunk in _ask(client, stream=True))


def test_progress_comes_while_the_team_works(client: openai.OpenAI, upstream: StandIn) -> None:
    def slow(payload: dict[str, Any]) -> Say:
        say = team(payload)
        return Say(say.text, say.tool_calls, delay=0 if "planner" in system(payload) else 60)

    upstream.script = slow
    with _ask(client, stream=True) as stream:
        told = ""
        for chunk in stream:
            told += _thoughts([chunk])
            if "Step 1 of 2 begins" in told:
                break
    assert "ended" not in told


@pytest.mark.parametrize(
    ("worker", "streamed"), [("analyzer", True), ("coder", False)], ids=["without tools", "with tools"]
)
def test_a_single_step_is_its_own_conclusion(
    client: openai.OpenAI, upstream: StandIn, worker: str, streamed: bool
) -> None:
    """With tools its words count only when they are known to be the last; they come in words all the same."""

    def script(payload: dict[str, Any]) -> Say:
        if "planner" in system(payload):
            return Say(_only(worker))
        if payload.get("tools") and payload["messages"][-1]["role"] != "tool":
            return Say("LET ME SEE", tool_calls=[("run_code", {"code": "6 * 7"})])
        return Say("It is  forty-two,\nyes.")

    upstream.script = script
    chunks = list(_ask(client, stream=True))
    assert _said(chunks) == "It is  forty-two,\nyes."
    assert sum(bool(chunk.choices[0].delta.content) for chunk in chunks) > 3
    assert "LET ME SEE" not in json.dumps([chunk.model_dump() for chunk in chunks])
    assert upstream.chats[-1]["stream"] == streamed


@pytest.mark.parametrize("fault", ["cut", "error_event", "drop", "no_reason"])
def test_a_conclusion_that_breaks_ends_with_one_error(http: httpx.Client, upstream: StandIn, fault: str) -> None:
    def script(payload: dict[str, Any]) -> Say:
        return Say(ANSWER, fault=fault, delay=0.01) if payload["stream"] else team(payload)

    upstream.script = script
    body = {"model": "multi_step", "messages": ASKED, "stream": True, "stream_options": {"include_usage": True}}
    answer = http.post("/v1/chat/completions", json=body)
    events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
    assert "[DONE]" not in answer.text
    assert ["error" in event for event in events] == [False] * (len(events) - 1) + [True]
    said = "".join(c["delta"].get("content") or "" for event in events[:-1] for c in event["choices"])
    assert said
    assert ANSWER.startswith(said)
    assert sum(chat["stream"] for chat in upstream.chats) == 1, "none of another answer is behind it"
    assert not any(event.get("usage") for event in events)


def test_a_conclusion_that_falls_silent_is_not_begun_anew(environment: dict[str, str], upstream: StandIn) -> None:
    """Silence is no broken answer, which nobody asks for again, but a failure, which the graph tries again."""
    upstream.script = lambda payload: Say("one two", fault="silent", delay=0.1) if payload["stream"] else team(payload)
    seconds = {"AGENTS_FIRST_TOKEN_SECONDS": "20", "AGENTS_IDLE_STREAM_SECONDS": "1"}
    with serving({**environment, **seconds}) as url:
        with openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0) as client:
            said = []
            with pytest.raises(openai.APIError, match="said nothing"):  # noqa: PT012 - it comes while iterating
                for chunk in _ask(client, stream=True):
                    said.append(_said([chunk]))  # noqa: PERF401 - what came before the error matters
    assert "".join(said) == "one"
    assert sum(chat["stream"] for chat in upstream.chats) == 1


def test_a_conclusion_that_never_begins_is_tried_again(client: openai.OpenAI, upstream: StandIn) -> None:
    faults = iter([Say(fault="status:503"), Say(ANSWER, fault="cut", words=0)])
    upstream.script = lambda payload: next(faults, Say(ANSWER)) if payload["stream"] else team(payload)
    assert _said(list(_ask(client, stream=True))) == ANSWER
    assert sum(chat["stream"] for chat in upstream.chats) == 3


def test_a_team_without_a_model_ends_its_stream_with_the_error(client: openai.OpenAI, upstream: StandIn) -> None:
    upstream.script = lambda _: Say(fault="status:400")
    with pytest.raises(openai.APIError, match="told to fail"):
        list(_ask(client, stream=True))


def test_who_hangs_up_stops_the_team(base_url: str, upstream: StandIn) -> None:
    upstream.script = lambda payload: Say(PLAN) if "planner" in system(payload) else Say("x " * 50, delay=0.3)
    headers = {"authorization": f"Bearer {KEY}"}
    body = {"model": "multi_step", "messages": ASKED, "stream": True}
    with httpx.stream("POST", f"{base_url}/v1/chat/completions", json=body, headers=headers, timeout=30) as stream:
        next(line for line in stream.iter_lines() if "step_begins" in line)
        wait_until(lambda: len(upstream.chats) == 2, what="the worker's call")
    time.sleep(1.5)
    assert len(upstream.chats) == 2


LINK = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
ODD: dict[str, list[dict[str, Any]]] = {
    "a tool's result": [
        *ASKED,
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": "NOON"},
    ],
    "a prefill": [*ASKED, {"role": "assistant", "content": "Arr, it is"}],
    "an empty message": [*ASKED, {"role": "user", "content": ""}],
    "no content": [*ASKED, {"role": "user", "content": None}],
    "pictures before": [
        {"role": "user", "content": [{"type": "text", "text": ASKED[1]["content"]}, PICTURE]},
        *ASKED[2:],
    ],
    "a link before": [{"role": "user", "content": [{"type": "text", "text": ASKED[1]["content"]}, LINK]}, *ASKED[2:]],
    "the assistant first": [{"role": "assistant", "content": "Ahoy!"}, *ASKED[1:]],
}


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("odd", ODD)
def test_any_conversation_is_answered(client: openai.OpenAI, upstream: StandIn, odd: str, stream: bool) -> None:
    upstream.script = team
    answer = _ask(client, ODD[odd], stream=stream)
    assert (_said(list(answer)) if stream else answer.choices[0].message.content) == ANSWER
    for chat in upstream.chats:
        told = chat["messages"][1]["content"]
        assert "The user's request: Compute it anew" in told or "planner" in system(chat)
        assert "Compute it anew" in told
        assert "NOON" in told or "result" not in odd
    concluded = upstream.chats[-1]["messages"][1]["content"]
    assert "Arr, it is" in concluded or odd != "a prefill"
    if odd == "a link before":
        assert "(a picture, not attached)" in concluded
    if odd == "pictures before":
        assert "(attached file 1, a picture)" in concluded


def test_a_long_conversation_is_cut_in_its_middle(client: openai.OpenAI, upstream: StandIn) -> None:
    upstream.script = team
    middle: list[dict[str, Any]] = []
    for number in range(200):
        middle += [
            {"role": "user", "content": f"question {number} " + "about ships " * 30},
            {"role": "assistant", "content": f"answer {number} " + "about ships " * 30},
        ]
    _ask(client, [*ASKED[:3], *middle, ASKED[-1]])
    for chat in upstream.chats:
        told = json.dumps(chat["messages"])
        assert len(told) / 4 < 9000
        assert "PIRATE" in told
        assert "What is six times nine?" in told
        assert "answer 199 " in told
        assert "answer 100 " not in told


def test_a_run_knows_the_conversation_too(http: httpx.Client, upstream: StandIn, worker: Worker) -> None:
    upstream.script = team
    answer = http.post("/v1/runs", json={"messages": ASKED, "route": "multi_step"})
    run = ended(http, answer.json())
    assert run["result"]["output"] == ANSWER
    assert all("FIFTY-FOUR" in chat["messages"][1]["content"] for chat in upstream.chats)
    usage = run["result"]["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["tokens"]) == (500, 250, 750)


GIVEN: dict[str, Any] = {"temperature": 0.3, "stop": ["END"], "response_format": {"type": "json_object"}}


def test_the_models_parameters_are_the_conclusions(client: openai.OpenAI, upstream: StandIn) -> None:
    upstream.script = team
    _ask(client, **GIVEN, max_tokens=77)
    *others, concluded = upstream.chats
    assert {name: concluded[name] for name in GIVEN} == GIVEN
    assert concluded["max_tokens"] == 77
    assert not any(set(GIVEN) & set(chat) or chat["max_tokens"] == 77 for chat in others)


@pytest.mark.parametrize(("worker", "calls"), [("analyzer", 2), ("coder", 3)], ids=["without tools", "with tools"])
def test_a_single_step_has_the_form_that_the_caller_wants(
    client: openai.OpenAI, upstream: StandIn, worker: str, calls: int
) -> None:
    """A worker with tools is not told of it: the conclusion is then written apart."""
    upstream.script = lambda payload: Say(_only(worker) if "planner" in system(payload) else '{"a": 42}')
    answer = _ask(client, **GIVEN)
    assert answer.choices[0].message.content == '{"a": 42}'
    assert len(upstream.chats) == calls
    assert upstream.chats[-1]["response_format"] == GIVEN["response_format"]
    assert "tools" not in upstream.chats[-1]


@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_that_was_cut_for_its_length_says_so(client: openai.OpenAI, upstream: StandIn, stream: bool) -> None:
    upstream.script = lambda payload: Say(team(payload).text, team(payload).tool_calls, finish="length")
    answer = _ask(client, stream=stream)
    choices = [choice for chunk in answer for choice in chunk.choices] if stream else answer.choices
    assert choices[-1].finish_reason == "length"

"""What models and tools answer that nobody expects: a run ends all the same, and says what it can."""

import json
import time
from typing import Any

import httpx
import pytest

from tests.services.agents.conftest import Worker
from tests.services.agents.servers import wait_until
from tests.services.agents.stand_in import Say, StandIn
from tests.services.agents.team import PLAN, create, ended, events, system, team

NUL, HALF = "\0", "\ud800"
"""What Postgres stores in no text: the character 0, and half of a pair of UTF-16."""


def _chat(http: httpx.Client, text: str = "Compute and explain") -> httpx.Response:
    return http.post(
        "/v1/chat/completions", json={"model": "multi_step", "messages": [{"role": "user", "content": text}]}
    )


@pytest.mark.parametrize("odd", [NUL, HALF], ids=["NUL", "half a character"])
@pytest.mark.parametrize("route", ["simple", "multi_step"])
def test_what_cannot_be_stored_does_not_stop_a_run(
    http: httpx.Client, upstream: StandIn, worker: Worker, odd: str, route: str
) -> None:
    def script(payload: dict[str, Any]) -> Say:
        say = team(payload)
        code = [(name, {**arguments, f"x{odd}": odd}) for name, arguments in say.tool_calls]
        return Say(f"before {odd} after" if not say.tool_calls and say.text != PLAN else say.text, tool_calls=code)

    upstream.script = script
    upstream.output = f"42{odd}"
    run = ended(http, create(http, route=route), 20)
    assert (run["status"], run["result"]["output"]) == ("succeeded", "before \ufffd after")
    assert events(http, run)[-1]["type"] == "succeeded"


@pytest.mark.parametrize("odd", [NUL, HALF], ids=["NUL", "half a character"])
def test_what_cannot_be_stored_is_refused_of_a_caller(http: httpx.Client, odd: str) -> None:
    part = {"type": "text", "text": "hi", "extra": {"deep": [odd]}}
    for content in (f"a{odd}", [part]):
        body = json.dumps({"messages": [{"role": "user", "content": content}]})
        answer = http.post("/v1/runs", content=body, headers={"content-type": "application/json"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_value"), content


def test_a_question_about_an_escape_is_no_control_character(
    http: httpx.Client, upstream: StandIn, worker: Worker
) -> None:
    question = r"What does \u0000 mean in JSON, and \ud800?"
    run = create(http, input=question, route="simple")
    assert ended(http, run)["status"] == "succeeded"
    assert question in str(upstream.chats[-1]["messages"][-1]["content"])


DEEP = "[" * 100_000


@pytest.mark.parametrize(
    "calls",
    [
        [{"id": "a", "type": "function", "function": {"name": "run_code", "arguments": DEEP}}],
        [{"id": "a", "type": "function", "function": {"name": "run_code", "arguments": '["code"]'}}],
        [{"id": "a", "type": "function", "function": {"name": "run_code", "arguments": {"code": "1"}}}],
        [{"id": "a", "type": "function", "function": {"name": ["run_code"], "arguments": "{}"}}],
        [{"id": "a", "type": "function"}],
        ["run_code"],
        "run_code",
        {"name": "run_code"},
    ],
    ids=["deep", "list", "object", "name", "no function", "text", "no list", "one"],
)
def test_senseless_calls_of_tools(http: httpx.Client, upstream: StandIn, calls: Any) -> None:
    def script(payload: dict[str, Any]) -> Say:
        if "planner" in system(payload):
            return Say('{"steps": [{"worker": "coder", "task": "x"}]}')
        asked = any(message["role"] in ("tool", "assistant") for message in payload["messages"])
        return Say("sorry") if asked else Say("", raw_calls=calls)

    upstream.script = script
    answer = _chat(http)
    assert answer.status_code == 200, answer.text
    assert upstream.executed == []


@pytest.mark.parametrize("plan", ['{"steps": ' + DEEP + "}", "{" * 100_000 + "}", '{"steps": {"worker": "coder"}}'])
def test_a_senseless_plan(http: httpx.Client, upstream: StandIn, plan: str) -> None:
    upstream.script = lambda payload: Say(plan) if "planner" in system(payload) else Say("done")
    answer = _chat(http)
    assert answer.status_code == 200, answer.text
    assert [step["worker"] for step in answer.json()["metadata"]["plan"]] == ["analyzer"]


def test_a_model_that_asks_for_many_tools_at_once_gets_some(http: httpx.Client, upstream: StandIn) -> None:
    many = [("run_code", {"code": str(number)}) for number in range(40)]

    def script(payload: dict[str, Any]) -> Say:
        if "planner" in system(payload):
            return Say('{"steps": [{"worker": "coder", "task": "x"}]}')
        return Say("done") if payload["messages"][-1]["role"] == "tool" else Say("", tool_calls=many)

    upstream.script = script
    assert _chat(http).status_code == 200
    assert upstream.executed == [str(number) for number in range(8)]
    answers = [message["content"] for message in upstream.chats[-1]["messages"] if message["role"] == "tool"]
    assert len(answers) == 40, "each call has its answer, as the protocol demands"
    assert "8 at once" in answers[8]


def test_time_runs_out_in_the_middle_of_a_call(http: httpx.Client, upstream: StandIn, worker: Worker) -> None:
    upstream.script = lambda _: Say("too late", delay=30)
    began = time.monotonic()
    run = ended(http, create(http, limits={"seconds": 2}), 20)
    assert (run["status"], run["error"]["code"]) == ("failed", "limit_seconds")
    assert time.monotonic() - began < 10


def test_time_runs_out_in_the_middle_of_a_tool(http: httpx.Client, upstream: StandIn, worker: Worker) -> None:
    upstream.script = team
    upstream.execute_delay = 30
    began = time.monotonic()
    run = ended(http, create(http, limits={"seconds": 3}), 20)
    assert (run["status"], run["error"]["code"]) == ("failed", "limit_seconds")
    assert time.monotonic() - began < 12
    assert len(upstream.executed) == 1


def test_time_runs_out_while_the_team_answers_a_chat(http: httpx.Client, upstream: StandIn) -> None:
    wait_until(lambda: http.get("/ready").status_code == 200, what="readiness")
    upstream.script = lambda payload: Say(PLAN) if "planner" in system(payload) else Say("", delay=1)
    answer = _chat(http)
    assert answer.status_code == 200, "the limit of a chat is far off"


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"status": "ok", "stdout": 7}', b"\xff"])
def test_an_interpreter_that_answers_nonsense(http: httpx.Client, upstream: StandIn, body: bytes) -> None:
    upstream.script = team
    upstream.raw["/v1/execute"] = body
    assert _chat(http).status_code == 200
    told = [message["content"] for chat in upstream.chats for message in chat["messages"] if message["role"] == "tool"]
    assert told
    assert not any("arguments" in text for text in told), "the model is not blamed for what the server did"


def test_an_attachment_that_is_no_image_is_not_sent_on(http: httpx.Client, upstream: StandIn, worker: Worker) -> None:
    asked = [("read_image", {"attachment": number}) for number in (1, 2)]
    upstream.script = lambda payload: (
        Say("nothing to read") if payload["messages"][-1]["role"] == "tool" else Say("", tool_calls=asked)
    )
    bomb = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAB//8AAf//CAIAAAA="
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in ("data:image/png;base64,aGk=", bomb)]
    content = [{"type": "text", "text": "What do they say?"}, *parts]
    run = http.post("/v1/runs", json={"messages": [{"role": "user", "content": content}], "route": "complex"}).json()
    assert ended(http, run)["status"] == "succeeded"
    assert upstream.docling.converted == []
    answers = [message["content"] for message in upstream.chats[-1]["messages"] if message["role"] == "tool"]
    assert "\nhi\n" in answers[0], "text is text, whatever it is said to be"
    assert "pixels" in answers[1]

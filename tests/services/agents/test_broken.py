"""Answers that break: before a word was passed on they are asked for again, later they end in one clear error."""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import httpx
import openai
import pytest

from tests.services.agents.conftest import KEY, SERVICE, Worker, serving
from tests.services.agents.servers import wait_until
from tests.services.agents.stand_in import Say, Script, StandIn
from tests.services.agents.team import create, ended, get

sys.path.insert(0, str(SERVICE))

from mesh_agents.llm.events import Reader

ASKED = {"model": "complex", "messages": [{"role": "user", "content": "say it all"}]}
WORDS = "one two three four"
AT_THE_END = ["no_done", "no_reason", "error_reason"]
FAULTS = ["cut", "error_event", "drop", "senseless", *AT_THE_END]

Spent = Callable[[str], float]


def _first(*faults: Say) -> Script:
    """These answers in turn, and whole ones after them."""
    rest = iter(faults)
    return lambda _: next(rest, Say(WORDS))


def _streamed(http: httpx.Client, **more: Any) -> tuple[int, list[str]]:
    """Status and events, as they come over the wire."""
    answer = http.post("/v1/chat/completions", json={**ASKED, "stream": True, **more})
    return answer.status_code, [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]


def _said(events: list[str]) -> str:
    choices = [choice for event in events if event != "[DONE]" for choice in json.loads(event).get("choices", [])]
    return "".join(choice["delta"].get("content", "") for choice in choices)


def _metric(http: httpx.Client, name: str, **labels: str) -> float:
    found = 0.0
    for line in http.get("/metrics").text.splitlines():
        if line.startswith(name) and all(f'{key}="{value}"' in line for key, value in labels.items()):
            found += float(line.rsplit(" ", 1)[1])
    return found


@pytest.fixture
def spent(http: httpx.Client) -> Spent:
    """How far a metric of the model has moved since the test began."""
    names = {
        "again": ("agents_model_asked_again_total", {}),
        "cut": ("agents_model_calls_total", {"outcome": "cut"}),
        "in": ("agents_tokens_total", {"direction": "in"}),
        "out": ("agents_tokens_total", {"direction": "out"}),
        "usd": ("agents_cost_usd_total", {}),
        "left": ("agents_model_calls_total", {"outcome": "left"}),
    }

    def now(key: str) -> float:
        name, labels = names[key]
        return _metric(http, name, model="claude_opus", **labels)

    before = {key: now(key) for key in names}
    return lambda key: round(now(key) - before[key], 6)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("times", [1, 2])
def test_a_stream_that_breaks_before_its_first_word_is_made_whole(
    http: httpx.Client, upstream: StandIn, spent: Spent, fault: str, times: int
) -> None:
    text = "" if fault in AT_THE_END else "never said"
    upstream.script = _first(*[Say(text, fault=fault, words=0)] * times)
    status, events = _streamed(http, stream_options={"include_usage": True})
    assert (status, _said(events), events[-1]) == (200, WORDS, "[DONE]")
    assert sum('"metadata"' in event for event in events) == 1
    assert len(upstream.chats) == times + 1
    assert (spent("again"), spent("cut")) == (times, times)
    if text:
        # Ten characters were asked each time, three tokens by our estimate; the last time the proxy has counted them.
        assert (spent("in"), spent("out")) == (10 + 3 * times, 4)
        assert spent("usd") == pytest.approx((5 * (10 + 3 * times) + 25 * 4) / 1e6)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_stream_that_breaks_behind_its_first_word_ends_in_one_clear_error(
    http: httpx.Client, upstream: StandIn, spent: Spent, fault: str
) -> None:
    upstream.script = lambda _: Say(WORDS, fault=fault, delay=0.05)
    status, events = _streamed(http)
    assert status == 200
    errors = [json.loads(event)["error"] for event in events if '"error"' in event and '"choices"' not in event]
    assert len(errors) == 1
    assert "[DONE]" not in events
    assert json.loads(events[-1]) == {"error": errors[0]}, "it is the last that is said"
    assert errors[0]["type"] == "server_error"
    assert errors[0]["code"] in ("upstream_cut", "upstream_failed", "upstream_malformed")
    whole = fault in AT_THE_END
    assert _said(events[:-1]) == (WORDS if whole else "one two"), "and nothing of another answer"
    assert len(upstream.chats) == 1
    assert (spent("again"), spent("cut")) == (0, 1)
    if not whole:
        assert (spent("in"), spent("out")) == (3, 2), "estimated, since nobody counted"


@pytest.mark.parametrize("fault", ["cut", "error_event"])
def test_openais_client_tells_it_from_an_answer(client: openai.OpenAI, upstream: StandIn, fault: str) -> None:
    upstream.script = lambda _: Say(WORDS, fault=fault, delay=0.05)
    seen = []
    stream = client.chat.completions.create(
        model="complex", messages=[{"role": "user", "content": "say it all"}], stream=True
    )
    with pytest.raises(openai.APIError, match=r"cut off|failed while"):  # noqa: PT012 - it comes while iterating
        for chunk in stream:
            seen.append(chunk.choices[0].delta.content or "")  # noqa: PERF401 - what came before the error matters
    assert "".join(seen) == "one two"


@pytest.mark.parametrize(("stream", "fault"), [(True, "cut"), (True, "error_event"), (True, "drop"), (False, "drop")])
def test_one_that_never_begins_is_a_status(
    http: httpx.Client, upstream: StandIn, spent: Spent, stream: bool, fault: str
) -> None:
    upstream.script = lambda _: Say(WORDS, fault=fault, words=0)
    answer = http.post("/v1/chat/completions", json={**ASKED, "stream": stream})
    assert answer.status_code == 502
    assert answer.json()["error"]["code"] in ("upstream_cut", "upstream_failed")
    assert len(upstream.chats) == 3
    assert (spent("again"), spent("cut"), spent("in")) == (2, 3, 9)


def test_a_refusal_is_not_asked_again(http: httpx.Client, upstream: StandIn, spent: Spent) -> None:
    for status in ("500", "503"):
        upstream.script = lambda _, status=status: Say(fault=f"status:{status}")
        assert http.post("/v1/chat/completions", json=ASKED).status_code in (502, 503)
        assert _streamed(http)[0] in (502, 503)
    assert len(upstream.chats) == 4, "the proxy has tried already"
    assert (spent("again"), spent("in")) == (0, 0)


@pytest.mark.parametrize("fault", ["cut", "malformed"])
def test_a_whole_answer_that_breaks_is_asked_for_again(
    http: httpx.Client, upstream: StandIn, spent: Spent, fault: str
) -> None:
    upstream.script = _first(Say(fault=fault))
    answer = http.post("/v1/chat/completions", json=ASKED)
    assert (answer.status_code, answer.json()["choices"][0]["message"]["content"]) == (200, WORDS)
    assert (len(upstream.chats), spent("again"), spent("in")) == (2, 1, 3 + 100)


def test_the_team_gets_whole_answers(http: httpx.Client, upstream: StandIn, worker: Worker) -> None:
    upstream.script = _first(Say(fault="cut"), Say(fault="malformed"))
    run = ended(http, create(http, route="complex", input="say it all"))
    assert (run["status"], run["result"]["output"]) == ("succeeded", WORDS)
    assert len(upstream.chats) == 3
    estimate = -(-sum(len(message["content"]) for message in upstream.chats[0]["messages"]) // 4)
    assert run["result"]["usage"]["tokens"] == 150 + 2 * estimate, "what broke was paid for, too"
    assert run["result"]["usage"]["steps"] == 1


def test_a_run_whose_answers_all_break_asks_twice_again(http: httpx.Client, upstream: StandIn, worker: Worker) -> None:
    upstream.script = lambda _: Say(fault="cut")
    run = ended(http, create(http, route="complex"))
    assert (run["status"], run["error"]["code"]) == ("failed", "upstream_cut")
    assert len(upstream.chats) == 3


def test_a_cancelled_run_asks_no_more(http: httpx.Client, upstream: StandIn, worker: Worker) -> None:
    upstream.script = lambda _: Say(fault="cut", delay=1.5)
    run = create(http, route="complex")
    wait_until(lambda: len(upstream.chats) == 1, what="the first call")
    http.post(f"/v1/runs/{run['id']}/cancel")
    wait_until(lambda: get(http, run)["status"] == "cancelled", what="the end")
    asked = len(upstream.chats)
    time.sleep(2)
    assert len(upstream.chats) == asked < 3


@pytest.mark.parametrize("stream", [True, False])
def test_who_hangs_up_asks_no_more(base_url: str, upstream: StandIn, spent: Spent, stream: bool) -> None:
    upstream.script = lambda _: Say(fault="cut", delay=1, words=0)
    with httpx.Client(base_url=base_url, headers={"authorization": f"Bearer {KEY}"}, timeout=0.4) as hasty:
        with pytest.raises(httpx.ReadTimeout):
            hasty.post("/v1/chat/completions", json={**ASKED, "stream": stream})
    time.sleep(1.5)
    assert len(upstream.chats) == 1
    assert spent("again") == 0


def test_who_hangs_up_in_the_middle_is_noted(
    base_url: str, http: httpx.Client, upstream: StandIn, spent: Spent
) -> None:
    upstream.script = lambda _: Say("word " * 100, delay=0.05)
    headers = {"authorization": f"Bearer {KEY}"}
    with httpx.stream(
        "POST", f"{base_url}/v1/chat/completions", json={**ASKED, "stream": True}, headers=headers
    ) as cut:
        next(cut.iter_lines())
    wait_until(lambda: spent("left") == 1, seconds=5, what="the end of the call")
    assert (spent("in"), spent("cut")) == (3, 0)
    assert spent("out") > 0


def _chunk(index: int, finish: str | None = None, **delta: Any) -> bytes:
    return (
        b"data: %s\n\n" % json.dumps({"choices": [{"index": index, "delta": delta, "finish_reason": finish}]}).encode()
    )


def _read(*sent: bytes) -> tuple[int, str | None]:
    reader = Reader()
    count = sum(len(reader.feed(part)) for part in sent)
    if not reader.ended:
        count += len(reader.feed(b""))
    return count, reader.failure.body.code if reader.failure else None


def test_each_of_several_choices_must_have_ended() -> None:
    done = b"data: [DONE]\n\n"
    both = [_chunk(0, content="a"), _chunk(1, content="b"), _chunk(0, "stop")]
    assert _read(*both, done) == (3, "upstream_cut")
    assert _read(*both, _chunk(1, "length"), done) == (4, None)
    assert _read(done) == (0, "upstream_cut"), "nothing is no answer"


def test_events_may_come_in_any_pieces() -> None:
    sent = b": a comment\n\nevent: x\n" + _chunk(0, content="ä\n") + _chunk(0, "stop") + b"data:[DONE]\r\n\r\n"
    for size in (1, 2, 7, 50, len(sent)):
        assert _read(*(sent[start : start + size] for start in range(0, len(sent), size))) == (2, None)


def test_what_a_tool_is_asked_is_said_and_a_frame_is_not() -> None:
    reader = Reader()
    reader.feed(_chunk(0, role="assistant", content="", tool_calls=None) + b'data: {"choices": [], "usage": null}\n\n')
    assert not reader.characters
    reader.feed(_chunk(0, tool_calls=[{"index": 0, "function": {"name": "weather"}}]))
    assert reader.characters


def test_a_whole_answer_may_take_longer_than_a_first_word(environment: dict[str, str], upstream: StandIn) -> None:
    seconds = {"FIRST_TOKEN": 1, "IDLE_STREAM": 1, "WHOLE_ANSWER": 4}
    upstream.script = lambda payload: Say("at last", delay=9 if "for ever" in str(payload) else 2.5)
    settings = {f"AGENTS_{name}_SECONDS": str(value) for name, value in seconds.items()}
    with (
        serving({**environment, **settings}) as url,
        httpx.Client(base_url=url, headers={"authorization": f"Bearer {KEY}"}, timeout=30) as http,
    ):
        answers = {
            (said, stream): http.post(
                "/v1/chat/completions",
                json={"model": "simple", "stream": stream, "messages": [{"role": "user", "content": said}]},
            ).status_code
            for said, stream in (("hi", False), ("hi", True), ("for ever", False))
        }
    assert answers == {("hi", False): 200, ("hi", True): 502, ("for ever", False): 503}

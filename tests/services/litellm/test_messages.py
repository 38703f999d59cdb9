"""Anthropic's protocol: its cache and its streams, from the real proxy with Claude's and with another's answers."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.services.litellm.conftest import World
from tests.services.litellm.servers import MIXTRAL, SONNET, VLLM, wait_until
from tests.services.litellm.test_observed import spent

Ask = Callable[..., "Told"]
MODELS = {"claude_sonnet": SONNET, "vllm_local": VLLM}
TOOL = {"name": "weather", "description": "of a city", "input_schema": {"type": "object", "properties": {}}}
BOTH = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])


class Told:
    """A whole answer, or the events of a stream, as Anthropic's clients read them."""

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        self.raw = response.text
        if not response.headers.get("content-type", "").startswith("text/event-stream"):
            self.names: list[str] = []
            self.blocks: list[dict[str, Any]] = response.json().get("content", [])
            self.text = "".join(block.get("text", "") for block in self.blocks).strip()
            return
        # An event without a name is none for them.
        pairs = [part.split("\n") for part in self.raw.split("\n\n") if part.startswith("event: ")]
        self.names = [lines[0].removeprefix("event: ") for lines in pairs]
        self.events = [json.loads(lines[1].removeprefix("data: ")) for lines in pairs]
        self.blocks = [event["content_block"] for event in self.events if event["type"] == "content_block_start"]
        deltas = [event["delta"] for event in self.events if event["type"] == "content_block_delta"]
        self.text = "".join(delta.get("text", "") for delta in deltas).strip()
        self.input = "".join(delta.get("partial_json", "") for delta in deltas)

    def whole(self, model: str) -> bool:
        """Whether it is an answer of this model from its first word to its last."""
        ended = not self.names or (self.names[0] == "message_start" and self.names[-1] == "message_stop")
        complete = self.text.startswith(f"{model} answers for the ") and self.text.endswith(" time")
        return self.status == 200 and ended and complete and "error" not in self.names


@pytest.fixture
def tell(http: httpx.Client, prompt: str) -> Ask:
    def asked(model: str = "claude_sonnet", headers: dict[str, str] | None = None, **body: Any) -> Told:
        given = {"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": prompt}], **body}
        return Told(http.post("/v1/messages", json=given, headers=headers))

    return asked


def cached(world: World, again: Callable[[], Told], first: Told) -> None:
    """It is kept just after its end."""

    def same() -> bool:
        world.script.asked.clear()
        told = again()
        return told.raw == first.raw and not world.script.asked

    wait_until(same, seconds=10, what="the cached answer")


@BOTH
@pytest.mark.parametrize("name", MODELS)
def test_the_same_question_is_answered_from_the_cache(world: World, tell: Ask, name: str, stream: bool) -> None:
    first = tell(name, stream=stream)
    assert first.whole(MODELS[name])
    assert len(world.script.asked) == 1
    cached(world, lambda: tell(name, stream=stream), first)


def test_a_cached_stream_costs_nothing(world: World, tell: Ask, http: httpx.Client) -> None:
    before = spent(http, SONNET)
    first = tell(stream=True)
    wait_until(lambda: spent(http, SONNET) > before, seconds=20, what="the record of spending")
    once = spent(http, SONNET)
    cached(world, lambda: tell(stream=True), first)
    other = tell(stream=True, max_tokens=10)
    assert other.whole(SONNET)
    wait_until(lambda: spent(http, SONNET) > once, seconds=20, what="the record of spending")
    assert spent(http, SONNET) - once == pytest.approx(once - before)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_a_tool_s_use_is_kept_with_its_input(world: World, tell: Ask, stream: bool) -> None:
    world.script.tools[SONNET] = {"city": "Lima", "days": [1, 2]}
    first = tell(stream=stream, tools=[TOOL])
    [block] = first.blocks
    assert (block["type"], block["name"]) == ("tool_use", "weather")
    assert (json.loads(first.input) if stream else block["input"]) == world.script.tools[SONNET]
    cached(world, lambda: tell(stream=stream, tools=[TOOL]), first)


@BOTH
@pytest.mark.parametrize(
    "change",
    [
        {"max_tokens": 10},
        {"temperature": 0.1},
        {"top_p": 0.2},
        {"top_k": 3},
        {"system": "be brief"},
        {"stop_sequences": ["x"]},
        {"tools": [TOOL]},
        {"tool_choice": {"type": "any"}},
        {"thinking": {"type": "enabled", "budget_tokens": 1024}},
        {"service_tier": "auto"},
        {"container": "c"},
        {"context_management": {"edits": []}},
        {"output_config": {"effort": "low"}},
        {"mcp_servers": [{"type": "url", "url": "https://x", "name": "y"}]},
        {"some_knob": 1},
        {"model": "claude_opus"},
        {"metadata": {"user_id": "bob"}},
        {"headers": {"anthropic-beta": "context-1m-2025-08-07"}},
        {"headers": {"anthropic-version": "2023-01-01"}},
        {"headers": {"x-consumer-username": "bob"}},
        {"cache": {"no-cache": True}},
    ],
    ids=lambda change: json.dumps(change)[:40],
)
def test_another_question_or_user_has_another_answer(
    world: World, tell: Ask, stream: bool, change: dict[str, Any]
) -> None:
    first = tell(stream=stream)
    cached(world, lambda: tell(stream=stream), first)
    assert tell(stream=stream, **change).text != first.text
    assert len(world.script.asked) == 1


def test_plain_and_stream_do_not_take_each_other_s_place(world: World, tell: Ask) -> None:
    plain, stream = tell(), tell(stream=True)
    assert plain.whole(SONNET)
    assert stream.whole(SONNET)
    cached(world, tell, plain)
    cached(world, lambda: tell(stream=True), stream)


@BOTH
def test_a_client_cannot_name_another_model_s_answer(world: World, tell: Ask, stream: bool) -> None:
    forged = {"model_group": "forged", "redis_namespace": "litellm:answers:forged"}
    small = tell("claude_small", stream=stream, metadata=forged)
    assert tell(stream=stream, metadata=forged).whole(SONNET)
    assert tell(stream=stream).text != small.text


def test_the_answer_of_a_fallback_does_not_take_the_model_s_place(world: World, tell: Ask) -> None:
    world.script.faults[SONNET] = 401
    assert tell(stream=True).whole(MIXTRAL)
    world.script.faults.clear()
    assert tell(stream=True).whole(SONNET)


@pytest.mark.parametrize("fault", [503, "empty", "hang_stream"])
@pytest.mark.parametrize("name", MODELS)
def test_a_fault_before_the_first_word_ends_in_a_whole_answer_of_the_next_model(
    world: World, tell: Ask, name: str, fault: Any
) -> None:
    world.script.faults[MODELS[name]] = fault
    assert tell(name, stream=True).whole(MIXTRAL)
    assert world.script.order() == [MODELS[name], MIXTRAL]


@pytest.mark.parametrize("fault", ["cut", "end", "error", "stall"])
@pytest.mark.parametrize("name", MODELS)
def test_a_fault_in_the_middle_ends_in_one_error_event_and_is_not_kept(
    world: World, tell: Ask, name: str, fault: str
) -> None:
    world.script.faults[MODELS[name]] = fault
    told = tell(name, stream=True)
    assert told.names.count("error") == 1
    assert told.names[-1] == "error"
    assert told.events[-1]["error"]["message"]
    assert told.text.startswith(MODELS[name])
    assert "message_stop" not in told.names
    assert world.script.order() == [MODELS[name]]
    world.script.faults.clear()
    assert tell(name, stream=True).whole(MODELS[name])
    assert len(world.script.calls(MODELS[name])) == 2


def test_an_event_that_is_no_json_ends_claude_s_answer_in_an_error(world: World, tell: Ask) -> None:
    world.script.faults[SONNET] = "broken"
    told = tell(stream=True)
    assert told.names[-1] == "error"
    assert "this is no JSON" not in told.raw
    world.script.faults.clear()
    assert tell(stream=True).whole(SONNET)

"""Faults of streams: a whole answer of one model or one clear error, never silence, never half an answer as a whole."""

import json
from typing import Any

import httpx
import pytest

from tests.services.litellm.conftest import World
from tests.services.litellm.servers import MIXTRAL, OPUS, SONNET, VLLM

MODELS = {"claude_sonnet": SONNET, "vllm_local": VLLM, "openrouter_mixtral": MIXTRAL}


class Answer:
    """A stream as its client sees it."""

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        lines = [line.removeprefix("data:").strip() for line in response.iter_lines() if line.startswith("data:")]
        self.done = bool(lines) and lines[-1] == "[DONE]"
        chunks: list[dict[str, Any]] = [json.loads(line) for line in lines if line != "[DONE]"]
        self.errors = [chunk["error"] for chunk in chunks if "error" in chunk]
        choices = [choice for chunk in chunks for choice in chunk.get("choices", ())]
        self.text = "".join(choice["delta"].get("content") or "" for choice in choices).strip()
        self.finishes = [choice["finish_reason"] for choice in choices if choice.get("finish_reason")]

    def whole(self, model: str) -> bool:
        """Whether it is an answer of this model from its first word to its last."""
        words = self.text.split()
        complete = words[0] == model and words[1:4] == ["answers", "for", "the"] and words[-1] == "time"
        return complete and len(words) == 6 and self.finishes == ["stop"] and self.done and not self.errors


def streamed(http: httpx.Client, model: str, prompt: str, **body: Any) -> Answer:
    given = {"model": model, "stream": True, "messages": [{"role": "user", "content": prompt}], **body}
    with http.stream("POST", "/v1/chat/completions", json=given) as response:
        return Answer(response)


@pytest.mark.parametrize("name", MODELS)
def test_a_stream_without_a_fault_is_whole(world: World, http: httpx.Client, prompt: str, name: str) -> None:
    assert streamed(http, name, prompt).whole(MODELS[name])
    assert world.script.order() == [MODELS[name]]


@pytest.mark.parametrize("fault", [500, 503, 429, "hang_stream", "empty"])
@pytest.mark.parametrize(("name", "instead"), [("claude_sonnet", MIXTRAL), ("vllm_local", MIXTRAL)])
def test_a_fault_before_the_first_word_ends_in_a_whole_answer_of_the_next_model(
    world: World, http: httpx.Client, prompt: str, name: str, instead: str, fault: Any
) -> None:
    world.script.faults[MODELS[name]] = fault
    assert streamed(http, name, prompt).whole(instead)
    assert world.script.order() == [MODELS[name], instead]


@pytest.mark.parametrize("fault", ["cut", "end", "error", "stall"])
@pytest.mark.parametrize("name", MODELS)
def test_a_fault_in_the_middle_ends_in_one_error_behind_what_was_sent(
    world: World, http: httpx.Client, prompt: str, name: str, fault: str
) -> None:
    """LiteLLM's known defect: it asks no other model any more, and the chain is lost. No other's words are mixed in."""
    world.script.faults[MODELS[name]] = fault
    answer = streamed(http, name, prompt)
    assert answer.status == 200
    assert len(answer.errors) == 1
    assert answer.errors[0]["message"]
    assert answer.text.startswith(MODELS[name])
    assert not answer.text.endswith("time")
    assert (answer.finishes, answer.done) == ([], False)
    assert world.script.order() == [MODELS[name]]


def test_an_event_that_is_no_json_ends_claude_s_answer_in_an_error(
    world: World, http: httpx.Client, prompt: str
) -> None:
    world.script.faults[SONNET] = "broken"
    answer = streamed(http, "claude_sonnet", prompt)
    assert len(answer.errors) == 1
    assert answer.finishes == []


def test_the_next_request_after_a_cut_is_answered(world: World, http: httpx.Client, prompt: str) -> None:
    world.script.faults[OPUS] = "cut"
    assert len(streamed(http, "claude_opus", prompt).errors) == 1
    del world.script.faults[OPUS]
    assert streamed(http, "claude_opus", prompt).whole(OPUS)


@pytest.mark.parametrize("fault", ["cut", "end", "error"])
def test_half_an_answer_is_not_kept(world: World, http: httpx.Client, prompt: str, fault: str) -> None:
    world.script.faults[VLLM] = fault
    assert streamed(http, "vllm_local", prompt).errors
    world.script.faults.clear()
    answer = streamed(http, "vllm_local", prompt)
    assert answer.whole(VLLM)
    assert len(world.script.calls(VLLM)) == 2


def test_the_first_word_is_not_held_back(world: World, http: httpx.Client, prompt: str) -> None:
    world.script.faults[VLLM] = "stall"
    given = {"model": "vllm_local", "stream": True, "messages": [{"role": "user", "content": prompt}]}
    with http.stream("POST", "/v1/chat/completions", json=given) as response:
        lines = response.iter_lines()
        # The model is silent in the middle now: these words came while it still wrote.
        seen = ""
        while "answers" not in seen:
            seen = next(lines)
        assert "error" not in seen

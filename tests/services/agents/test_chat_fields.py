"""Every field of OpenAI's chat request is passed on, answered or refused by name; none is just dropped."""

from typing import Any, get_type_hints

import openai
import pytest
from mesh_agents.api.chat_fields import FIELDS, MODEL_ONLY, PASSED_ON
from mesh_agents.api.fields import Fate
from openai.types.chat import completion_create_params as official

from tests.services.agents.stand_in import StandIn

TOOL: Any = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
SCHEMA: Any = {
    "type": "json_schema",
    "json_schema": {"name": "city", "strict": True, "schema": {"type": "object", "properties": {}}},
}
OFFICIAL = {
    *get_type_hints(official.CompletionCreateParamsNonStreaming),
    *get_type_hints(official.CompletionCreateParamsStreaming),
}
PASSED: dict[str, Any] = {
    "frequency_penalty": 0.5,
    "logit_bias": {"50256": -100},
    "logprobs": True,
    "max_completion_tokens": 10,
    "max_tokens": 10,
    "n": 2,
    "parallel_tool_calls": False,
    "presence_penalty": 0.5,
    "reasoning_effort": "low",
    "response_format": SCHEMA,
    "seed": 7,
    "stop": ["END"],
    "temperature": 0.1,
    "tool_choice": "required",
    "tools": [TOOL],
    "top_logprobs": 2,
    "top_p": 0.9,
    "verbosity": "low",
}
ANSWERED: dict[str, Any] = {
    "metadata": {"thread": 7, "nested": {"a": [None]}},
    "prediction": {"type": "content", "content": "x"},
    "prompt_cache_key": "k",
    "prompt_cache_options": {},
    "prompt_cache_retention": "24h",
    "safety_identifier": "s",
    "service_tier": "priority",
    "store": True,
    "stream": False,
    "user": "somebody",
}
REFUSED: dict[str, Any] = {
    "audio": {"voice": "alloy", "format": "wav"},
    "function_call": "auto",
    "functions": [{"name": "weather"}],
    "modalities": ["text", "audio"],
    "moderation": {"model": "omni-moderation-latest"},
    "web_search_options": {},
}


def _ask(client: openai.OpenAI, model: str = "vllm_local", **more: Any) -> Any:
    """With fields that the client itself would not let through."""
    messages: Any = [{"role": "user", "content": "hi"}]
    return client.chat.completions.create(model=model, messages=messages, extra_body=more)


def test_every_field_of_the_official_client_is_decided_about() -> None:
    assert set(FIELDS) == OFFICIAL


def test_the_examples_below_are_of_every_field() -> None:
    """Those of `stream_options`, `model` and `messages` are elsewhere, in many tests."""
    assert set(PASSED) == PASSED_ON
    assert set(REFUSED) == {name for name, field in FIELDS.items() if field.fate is Fate.REFUSED}
    assert set(ANSWERED) | {"stream_options", "model", "messages"} == set(FIELDS) - set(PASSED) - set(REFUSED)


@pytest.mark.parametrize("name", PASSED)
def test_what_is_passed_on_reaches_the_model_as_it_is(client: openai.OpenAI, upstream: StandIn, name: str) -> None:
    companions = {"tool_choice": ["tools"], "parallel_tool_calls": ["tools"], "top_logprobs": ["logprobs"]}
    given = {field: PASSED[field] for field in [name, *companions.get(name, [])]}
    _ask(client, **given)
    assert {field: upstream.chats[0].get(field) for field in given} == given


@pytest.mark.parametrize("name", ANSWERED)
def test_what_is_answered_is_no_error_and_the_model_does_not_see_it(
    client: openai.OpenAI, upstream: StandIn, name: str
) -> None:
    assert _ask(client, **{name: ANSWERED[name]}).choices[0].message.content == "fine"
    assert set(upstream.chats[0]) <= {"model", "messages", "stream", "user"}
    assert upstream.chats[0].get("user") != "somebody", "the tenant is who pays"


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_refused_by_name(client: openai.OpenAI, upstream: StandIn, name: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        _ask(client, **{name: REFUSED[name]})
    assert (caught.value.param, caught.value.code) == (name, "unsupported_parameter")
    assert caught.value.type == "invalid_request_error"
    assert caught.value.body["message"] == FIELDS[name].why  # type: ignore[index]
    assert not upstream.chats


@pytest.mark.parametrize(
    "given",
    [
        {"modalities": ["text"]},
        {"functions": []},
        {"audio": None, "web_search_options": None},
        {"tools": [], "tool_choice": "auto", "parallel_tool_calls": True},
        {"tools": None, "tool_choice": "none"},
        {"stop": [], "metadata": None},
        {"logprobs": False, "top_logprobs": 0},
    ],
)
def test_what_asks_for_nothing_special_is_left_out(
    client: openai.OpenAI, upstream: StandIn, given: dict[str, Any]
) -> None:
    """vLLM refuses an empty list of tools, and a choice without any."""
    _ask(client, **given)
    assert set(upstream.chats[0]) <= {"model", "messages", "stream", "user", "logprobs"}


def test_a_choice_of_tools_without_tools(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        _ask(client, tools=[], tool_choice="required")
    assert caught.value.param == "tool_choice"


@pytest.mark.parametrize("name", MODEL_ONLY)
def test_what_a_model_cannot_do_is_not_left_out_in_silence(client: openai.OpenAI, upstream: StandIn, name: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        _ask(client, "claude_opus", **{name: PASSED[name]})
    assert caught.value.param == name
    assert "vllm_local" in str(caught.value)
    assert not upstream.chats


def test_messages_of_every_role(client: openai.OpenAI, upstream: StandIn) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    messages: Any = [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
        {"role": "user", "content": "hi", "name": "ann"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
        {"role": "user", "content": [{"type": "text", "text": "So?"}]},
    ]
    client.chat.completions.create(model="vllm_local", messages=messages, tools=[TOOL])
    assert upstream.chats[0]["messages"] == messages

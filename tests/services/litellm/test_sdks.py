"""What people do with the official clients, as far as the other tests do not: tools, pictures, schemas, headers."""

import json
from typing import Any, get_args

import anthropic
import openai
import pytest
from anthropic._data import DEPRECATED_MODELS
from openai.types import AudioModel
from openai.types.audio import SpeechModel
from pydantic import BaseModel

from render.models import OPENAI_HEARS, OPENAI_SPEAKS
from settings.model import Models
from tests.services.litellm.conftest import World
from tests.services.litellm.servers import SONNET, VLLM
from tests.services.litellm.test_responses import PIXEL, SCHEMA

MODELS = {"claude_sonnet": SONNET, "vllm_local": VLLM}
EACH = pytest.mark.parametrize("name", MODELS)
BOTH = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
CHAT_TOOL: Any = {"type": "function", "function": {"name": "weather", "description": "x", "parameters": SCHEMA}}
CLAUDE_TOOL: Any = {"name": "weather", "description": "of a city", "input_schema": SCHEMA}


class Place(BaseModel):
    """What a structured answer holds."""

    city: str


@EACH
@BOTH
def test_a_chat_s_tools_there_and_back(
    world: World, client: openai.OpenAI, prompt: str, name: str, stream: bool
) -> None:
    world.script.tools[MODELS[name]] = {"city": "Lima"}
    messages: list[Any] = [{"role": "system", "content": "be brief"}, {"role": "user", "content": prompt}]
    asked: dict[str, Any] = {"model": name, "tools": [CHAT_TOOL], "tool_choice": "auto"}
    if stream:
        with client.chat.completions.stream(messages=messages, **asked) as events:
            message = events.get_final_completion().choices[0].message
    else:
        message = client.chat.completions.create(messages=messages, **asked).choices[0].message
    assert message.tool_calls is not None
    [call] = message.tool_calls
    assert call.type == "function"
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", {"city": "Lima"})
    world.script.tools.clear()
    messages += [
        {"role": "assistant", "content": None, "tool_calls": [call.model_dump(include={"id", "type", "function"})]},
        {"role": "tool", "tool_call_id": call.id, "content": "sunny"},
    ]
    answer = client.chat.completions.create(messages=messages, **asked)
    assert (answer.choices[0].message.content or "").startswith(MODELS[name])
    sent = json.dumps(world.script.asked[-1]["body"])
    assert ("Lima" in sent, "sunny" in sent, "be brief" in sent) == (True, True, True)


@EACH
@BOTH
def test_claude_s_tools_there_and_back(
    world: World, claude: anthropic.Anthropic, prompt: str, name: str, stream: bool
) -> None:
    world.script.tools[MODELS[name]] = {"city": "Lima"}
    messages: list[Any] = [{"role": "user", "content": prompt}]
    asked: dict[str, Any] = {"model": name, "max_tokens": 99, "system": "be brief", "tools": [CLAUDE_TOOL]}
    if stream:
        with claude.messages.stream(messages=messages, **asked) as events:
            told = events.get_final_message()
    else:
        told = claude.messages.create(messages=messages, **asked)
    [use] = [block for block in told.content if block.type == "tool_use"]
    assert (use.name, use.input, told.stop_reason) == ("weather", {"city": "Lima"}, "tool_use")
    world.script.tools.clear()
    messages += [
        {"role": "assistant", "content": [use.model_dump(include={"type", "id", "name", "input"})]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": use.id, "content": "sunny"}]},
    ]
    answer = claude.messages.create(messages=messages, **asked)
    assert answer.content[0].type == "text"
    assert answer.content[0].text.startswith(MODELS[name])
    sent = json.dumps(world.script.asked[-1]["body"])
    assert ("Lima" in sent, "sunny" in sent, "be brief" in sent) == (True, True, True)


@EACH
def test_pictures_of_both_protocols(
    world: World, client: openai.OpenAI, claude: anthropic.Anthropic, prompt: str, name: str
) -> None:
    url = f"data:image/png;base64,{PIXEL}"
    parts: Any = [{"type": "text", "text": prompt}, {"type": "image_url", "image_url": {"url": url}}]
    client.chat.completions.create(model=name, messages=[{"role": "user", "content": parts}])
    assert PIXEL in json.dumps(world.script.asked[-1]["body"])
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    blocks: Any = [{"type": "text", "text": prompt}, {"type": "image", "source": source}]
    claude.messages.create(model=name, max_tokens=9, messages=[{"role": "user", "content": blocks}])
    assert PIXEL in json.dumps(world.script.asked[-1]["body"])
    assert world.script.order() == [MODELS[name]]


@EACH
def test_structured_answers(world: World, client: openai.OpenAI, prompt: str, name: str) -> None:
    world.script.answers[MODELS[name]] = '{"city": "Lima"}'
    messages: Any = [{"role": "user", "content": prompt}]
    parsed = client.chat.completions.parse(model=name, messages=messages, response_format=Place)
    assert parsed.choices[0].message.parsed == Place(city="Lima")
    assert '"city"' in json.dumps(world.script.asked[-1]["body"])
    response = client.responses.parse(model=name, input=prompt, text_format=Place)
    assert response.output_parsed == Place(city="Lima")


def test_structured_answers_of_claude_s_protocol(world: World, claude: anthropic.Anthropic, prompt: str) -> None:
    world.script.answers[SONNET] = '{"city": "Lima"}'
    messages: Any = [{"role": "user", "content": prompt}]
    told = claude.messages.parse(model="claude_sonnet", max_tokens=99, messages=messages, output_format=Place)
    assert told.parsed_output == Place(city="Lima")
    assert '"city"' in json.dumps(world.script.asked[-1]["body"])


@pytest.mark.parametrize("thinking", [{"type": "enabled", "budget_tokens": 1024}, {"type": "adaptive"}], ids=json.dumps)
@EACH
def test_fields_of_anthropic_s_clients(
    world: World, claude: anthropic.Anthropic, prompt: str, name: str, thinking: Any
) -> None:
    cached: Any = {"type": "ephemeral"}
    told = claude.beta.messages.create(
        model=name,
        max_tokens=4000,
        system=[{"type": "text", "text": "be brief", "cache_control": cached}],
        messages=[{"role": "user", "content": [{"type": "text", "text": prompt, "cache_control": cached}]}],
        metadata={"user_id": "bob"},
        thinking=thinking,
        stop_sequences=["END"],
        extra_body={"top_k": 5},
        betas=["interleaved-thinking-2025-05-14"],
    )
    assert told.content[-1].type == "text"
    [call] = world.script.asked
    assert call["model"] == MODELS[name], "no other model answers"
    sent = json.dumps(call["body"])
    assert "be brief" in sent
    if name == "claude_sonnet":
        assert sent.count("ephemeral") == 2
        assert call["body"]["thinking"]["type"] == thinking["type"]
        assert call["body"]["metadata"] == {"user_id": "bob"}
        assert "interleaved-thinking-2025-05-14" in call["headers"]["anthropic-beta"]
    else:
        # vLLM refuses what it does not know, and a paid model would answer.
        assert not {"thinking", "metadata", "cache_control"} & call["body"].keys()
        assert "ephemeral" not in sent


@EACH
def test_tokens_are_counted_without_an_answer_of_the_provider(
    world: World, claude: anthropic.Anthropic, prompt: str, name: str
) -> None:
    few = claude.messages.count_tokens(model=name, messages=[{"role": "user", "content": prompt}]).input_tokens
    many = claude.messages.count_tokens(
        model=name, messages=[{"role": "user", "content": prompt * 100}], system="be brief", tools=[CLAUDE_TOOL]
    ).input_tokens
    assert 5 < few < 60
    assert many > 50 * few / 2
    assert claude.beta.messages.count_tokens(model=name, messages=[{"role": "user", "content": "x"}]).input_tokens > 0


@pytest.mark.parametrize(
    "change",
    [
        {"messages": [{"role": "user", "content": "x"}], "model": [None]},
        {"messages": []},
        {"messages": "x"},
        {"messages": [5]},
        {"messages": [{"role": "boss", "content": "x"}]},
        {"messages": [{"role": "user", "content": [{"type": {}}]}]},
        {"messages": [{"role": "user", "content": "x"}], "system": [{"type": {}}]},
        {"messages": [{"role": "user", "content": "x"}], "system": 5},
    ],
    ids=json.dumps,
)
def test_what_cannot_be_counted(world: World, claude: anthropic.Anthropic, change: dict[str, Any]) -> None:
    with pytest.raises(anthropic.BadRequestError) as found:
        claude.messages.count_tokens(**{"model": "vllm_local", **change})
    assert found.value.type == "invalid_request_error"


def test_vectors_as_the_clients_want_them(world: World, client: openai.OpenAI, prompt: str) -> None:
    """The official client asks for base64 unless told otherwise."""
    given = [f"{prompt} {number}" for number in range(100)]
    made = client.embeddings.create(model="local_bge", input=given)
    assert len(made.data) == 100
    assert world.script.asked[-1]["body"]["encoding_format"] == "base64"
    raw = client.embeddings.with_raw_response.create(model="local_bge", input=prompt, encoding_format="base64")
    assert isinstance(json.loads(raw.text)["data"][0]["embedding"], str)
    plain = client.embeddings.create(model="local_bge", input=prompt, encoding_format="float")
    assert plain.data[0].embedding == [0.5] * 4
    for change in ({"dimensions": 256}, {"encoding_format": "int8"}):
        with pytest.raises(openai.BadRequestError) as found:
            client.embeddings.create(**{"model": "local_bge", "input": prompt, **change})  # type: ignore[call-overload]
        assert found.value.param == next(iter(change))
    assert client.embeddings.create(model="local_bge", input=prompt, dimensions=1024).data


def test_openai_s_names_of_audio_models_are_those_of_the_client() -> None:
    assert set(OPENAI_HEARS) | {"gpt-4o-transcribe-diarize"} == set(get_args(AudioModel))
    assert set(OPENAI_SPEAKS) == set(get_args(SpeechModel))


def test_no_default_model_is_about_to_end() -> None:
    """Anthropic's client names the day on which a model ends; a bump of its version brings newer ones."""
    assert DEPRECATED_MODELS
    assert not {Models.claude_sonnet, Models.claude_opus, Models.claude_small} & set(DEPRECATED_MODELS)

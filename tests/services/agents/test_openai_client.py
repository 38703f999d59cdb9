"""What the official client does, as anybody would use it, against the whole API."""

from datetime import datetime
from typing import Any

import httpx
import openai
import pydantic
import pytest

from tests.services.agents.stand_in import Say, StandIn

# Our `metadata` of an answer holds more than text, which the client's helpers point out.
pytestmark = pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")


def _ask(client: openai.OpenAI, text: str = "What is the capital of Peru?", **more: Any) -> Any:
    return client.chat.completions.create(**{"model": "auto", "messages": [{"role": "user", "content": text}], **more})


def test_models(client: openai.OpenAI) -> None:
    listed = list(client.models.list())
    for one in listed:
        assert client.models.retrieve(one.id) == one
        assert one.object == "model"
        assert one.created > 0
        assert one.owned_by
    kinds = {one.id: one.kind for one in listed}  # type: ignore[attr-defined]
    assert kinds["auto"] == kinds["vllm_local"] == "chat"
    assert set(kinds.values()) == {"chat", "embedding", "speech_to_text", "text_to_speech", "image"}
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("gpt-9")
    assert caught.value.code == "model_not_found"


def test_anthropic_s_client_lists_them_too(http: httpx.Client) -> None:
    """Its `models.list()` asks the same path; the answer has what both want (`ModelInfo` of its package)."""
    page = http.get("/v1/models", headers={"anthropic-version": "2023-06-01"}).json()
    assert page["has_more"] is False
    assert (page["first_id"], page["last_id"]) == (page["data"][0]["id"], page["data"][-1]["id"])
    for one in page["data"]:
        assert one["type"] == "model"
        assert one["display_name"]
        assert datetime.fromisoformat(one["created_at"])


def test_chat_and_stream(client: openai.OpenAI, upstream: StandIn) -> None:
    upstream.script = lambda _: Say("Lima it is")
    whole = _ask(client)
    assert (whole.choices[0].message.content, whole.usage.total_tokens) == ("Lima it is", 150)
    with client.chat.completions.stream(
        model="auto", messages=[{"role": "user", "content": "hi"}], stream_options={"include_usage": True}
    ) as stream:
        for _event in stream:
            pass
        final = stream.get_final_completion()
    assert final.choices[0].message.content == "Lima it is"
    assert final.usage is not None


def test_tools_and_back(client: openai.OpenAI, upstream: StandIn) -> None:
    tool: Any = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    upstream.script = lambda payload: (
        Say("It rains.")
        if payload["messages"][-1]["role"] == "tool"
        else Say("", tool_calls=[("weather", {"city": "Oslo"})])
    )
    messages: list[Any] = [{"role": "user", "content": "What is the weather in Oslo?"}]
    first = _ask(client, messages=messages, tools=[tool]).choices[0]
    assert first.finish_reason == "tool_calls"
    [call] = first.message.tool_calls
    messages += [first.message, {"role": "tool", "tool_call_id": call.id, "content": "rain"}]
    assert _ask(client, messages=messages, tools=[tool]).choices[0].message.content == "It rains."


class City(pydantic.BaseModel):
    """What a structured answer holds."""

    name: str
    inhabitants: int


def test_structured_output(client: openai.OpenAI, upstream: StandIn) -> None:
    upstream.script = lambda _: Say('{"name": "Lima", "inhabitants": 10000000}')
    done = client.chat.completions.parse(
        model="auto", messages=[{"role": "user", "content": "The capital of Peru?"}], response_format=City
    )
    assert done.choices[0].message.parsed == City(name="Lima", inhabitants=10_000_000)
    assert upstream.chats[0]["response_format"]["json_schema"]["schema"]["required"] == ["name", "inhabitants"]


@pytest.mark.parametrize("model", ["local_bge", "whisper-1", "tts-1"])
def test_a_model_that_does_not_chat(client: openai.OpenAI, model: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        _ask(client, model=model)
    assert (caught.value.param, caught.value.code) == ("model", "model_not_supported")
    assert "/v1/" in str(caught.value)

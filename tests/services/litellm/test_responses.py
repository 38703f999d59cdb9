"""OpenAI's Responses API through the official client: plain and streamed, stored, with tools, pictures and schemas."""

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from openai.types.responses import Response, ResponseFunctionToolCall, ResponseInputItemParam

from tests.services.litellm.conftest import World
from tests.services.litellm.servers import CALLERS, SONNET, VLLM, Proxy
from tests.services.litellm.test_error_shapes import INSIDE

MODELS = {"claude_sonnet": SONNET, "vllm_local": VLLM}
EACH = pytest.mark.parametrize("name", MODELS)
BOTH = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOL: Any = {"type": "function", "name": "weather", "description": "of a city", "parameters": SCHEMA, "strict": True}


def made(client: openai.OpenAI, stream: bool, **given: Any) -> Response:
    """A response, whole."""
    if not stream:
        response: Response = client.responses.create(**given)
        return response
    events = list(client.responses.create(stream=True, **given))
    assert events[0].type == "response.created"
    assert events[-1].type == "response.completed"
    assert events[0].response.id == events[-1].response.id
    deltas = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert deltas == events[-1].response.output_text
    return events[-1].response


def said(world: World) -> list[tuple[str, str]]:
    """Role and words of the conversation that a model was last asked with."""
    told = []
    body = world.script.asked[-1]["body"]
    for message in ([{"role": "system", "content": body["system"]}] if "system" in body else []) + body["messages"]:
        content = message["content"]
        words = content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
        told.append((message["role"], words.strip()))
    return told


@pytest.fixture
def callers(proxy: Proxy) -> Iterator[tuple[openai.OpenAI, openai.OpenAI]]:
    """Two callers of the platform, each with its own key."""
    first, second = (openai.OpenAI(base_url=f"{proxy.url}/v1", api_key=key, max_retries=0) for key in CALLERS.values())
    with first, second:
        yield first, second


@EACH
@BOTH
def test_an_answer_with_instructions(world: World, client: openai.OpenAI, prompt: str, name: str, stream: bool) -> None:
    response = made(client, stream, model=name, input=prompt, instructions="be brief")
    assert response.output_text.startswith(MODELS[name])
    assert response.status == "completed"
    assert re.fullmatch("resp_[0-9a-f]{48}", response.id)
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens) == (1000, 100)
    assert said(world) == [("system", "be brief"), ("user", prompt)]
    assert world.script.order() == [MODELS[name]], "no other model was asked first"


@EACH
@BOTH
def test_a_later_request_names_the_response_before_it(
    world: World, client: openai.OpenAI, prompt: str, name: str, stream: bool
) -> None:
    first = made(client, stream, model=name, input=prompt, instructions="be brief")
    second = made(client, stream, model=name, input="and then?", previous_response_id=first.id)
    third = made(client, stream, model=name, input=[{"role": "user", "content": "so?"}], previous_response_id=second.id)
    # The instructions are of one request only, as OpenAI has it.
    assert said(world) == [
        ("user", prompt),
        ("assistant", first.output_text.strip()),
        ("user", "and then?"),
        ("assistant", second.output_text.strip()),
        ("user", "so?"),
    ]
    assert client.responses.retrieve(third.id).previous_response_id == second.id


def test_the_same_words_after_another_conversation_are_another_question(
    world: World, client: openai.OpenAI, prompt: str
) -> None:
    """The cache must not answer the second."""
    answers = set()
    for number in range(2):
        first = client.responses.create(model="vllm_local", input=f"{prompt} {number}")
        answers.add(
            client.responses.create(model="vllm_local", input="go on", previous_response_id=first.id).output_text
        )
    assert len(answers) == 2


@BOTH
def test_an_item_may_be_named_instead_of_sent(world: World, client: openai.OpenAI, prompt: str, stream: bool) -> None:
    """As Vercel's AI SDK does by default."""
    first = made(client, stream, model="vllm_local", input=prompt)
    named: ResponseInputItemParam = {"type": "item_reference", "id": str(first.output[0].id)}
    made(client, stream, model="vllm_local", input=[{"role": "user", "content": prompt}, named])
    assert said(world) == [("user", prompt), ("assistant", first.output_text.strip())]


@EACH
@BOTH
def test_tools_there_and_back(world: World, client: openai.OpenAI, prompt: str, name: str, stream: bool) -> None:
    world.script.tools[MODELS[name]] = {"city": "Lima"}
    first = made(client, stream, model=name, input=prompt, tools=[TOOL])
    [call] = [item for item in first.output if isinstance(item, ResponseFunctionToolCall)]
    assert (call.name, json.loads(call.arguments)) == ("weather", {"city": "Lima"})
    world.script.tools.clear()
    output: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    stored = made(client, stream, model=name, input=[output], tools=[TOOL], previous_response_id=first.id)
    assert stored.output_text.startswith(MODELS[name])
    by_id = world.script.asked[-1]["body"]["messages"]
    sent: Any = [{"role": "user", "content": prompt}, call.model_dump(exclude_none=True), output]
    assert made(client, stream, model=name, input=sent, tools=[TOOL], temperature=0.5).output_text
    assert [message["role"] for message in world.script.asked[-1]["body"]["messages"]] == [m["role"] for m in by_id]
    assert json.dumps(by_id).count("sunny") == 1
    assert json.dumps(by_id).count("Lima") == 1


@EACH
def test_a_picture_and_a_schema_reach_the_model(world: World, client: openai.OpenAI, prompt: str, name: str) -> None:
    parts: Any = [
        {"type": "input_text", "text": prompt},
        {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}", "detail": "auto"},
    ]
    form: Any = {"format": {"type": "json_schema", "name": "place", "schema": SCHEMA, "strict": True}}
    client.responses.create(model=name, input=[{"role": "user", "content": parts}], text=form)
    sent = json.dumps(world.script.asked[-1]["body"])
    assert PIXEL in sent
    assert '"additionalProperties": false' in sent


def test_a_stored_response_can_be_read_and_deleted(world: World, client: openai.OpenAI, prompt: str) -> None:
    first = client.responses.create(model="vllm_local", input=prompt)
    again = client.responses.retrieve(first.id)
    assert (again.id, again.output_text, again.store) == (first.id, first.output_text, True)
    [item] = client.responses.input_items.list(first.id).data
    assert prompt in item.model_dump_json()
    client.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(first.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.delete(first.id)
    with pytest.raises(openai.BadRequestError) as found:
        client.responses.create(model="vllm_local", input="x", previous_response_id=first.id)
    assert found.value.param == "previous_response_id"
    assert "'input'" in found.value.message
    with pytest.raises(openai.BadRequestError):
        client.responses.create(model="vllm_local", input=[{"type": "item_reference", "id": str(first.output[0].id)}])


def test_what_is_not_to_be_stored_is_not(world: World, client: openai.OpenAI, prompt: str) -> None:
    first = client.responses.create(model="vllm_local", input=prompt, store=False)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(first.id)
    with world.redis.admin() as redis:
        kept = [redis.get(key) for key in redis.keys("litellm:responses:*")]
        assert not any(prompt in str(value) for value in kept)


def test_what_is_stored_ends_by_itself(world: World, client: openai.OpenAI, prompt: str) -> None:
    client.responses.create(model="vllm_local", input=prompt)
    with world.redis.admin() as redis:
        assert all(0 < int(str(redis.ttl(key))) <= 7 * 24 * 3600 for key in redis.keys("litellm:responses:*"))


def test_nobody_else_reads_a_response(
    world: World, proxy: Proxy, callers: tuple[openai.OpenAI, openai.OpenAI], prompt: str
) -> None:
    first, second = callers
    response = first.responses.create(model="vllm_local", input=prompt)
    assert first.responses.retrieve(response.id).output_text == response.output_text
    asked = len(world.script.asked)
    with pytest.raises(openai.NotFoundError):
        second.responses.retrieve(response.id)
    with pytest.raises(openai.NotFoundError):
        second.responses.delete(response.id)
    with pytest.raises(openai.BadRequestError):
        second.responses.create(model="vllm_local", input="x", previous_response_id=response.id)
    # Of those who share a key, each has his own.
    bob = first.with_options(default_headers={"x-consumer-username": "bob"})
    with pytest.raises(openai.NotFoundError):
        bob.responses.retrieve(response.id)
    assert len(world.script.asked) == asked
    nobody = httpx.get(f"{proxy.url}/v1/responses/{response.id}", headers={"authorization": "Bearer sk-no"}, timeout=60)
    assert nobody.status_code == 401


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"background": True}, "background"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"tools": [{"type": "file_search", "vector_store_ids": ["x"]}]}, "tools[0].type"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]}, "tools[0].type"),
        ({"previous_response_id": "resp_of_nobody"}, "previous_response_id"),
        ({"store": "yes"}, "store"),
    ],
    ids=lambda part: json.dumps(part)[:30],
)
def test_what_only_openai_s_servers_do_is_refused_by_name(
    world: World, client: openai.OpenAI, change: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as found:
        client.responses.create(**{"model": "vllm_local", "input": "x", **change})
    assert found.value.param == param
    assert world.script.asked == []


def test_without_redis_there_are_answers_and_no_store(world: World, client: openai.OpenAI, prompt: str) -> None:
    first = client.responses.create(model="vllm_local", input=prompt)
    world.redis.stop()
    try:
        assert client.responses.create(model="vllm_local", input=f"{prompt}?").output_text.startswith(VLLM)
        with pytest.raises(openai.APIStatusError) as found:
            client.responses.create(model="vllm_local", input="x", previous_response_id=first.id)
        assert found.value.status_code == 503
    finally:
        world.redis.start()
    end = time.monotonic() + 60
    while True:
        try:
            assert client.responses.retrieve(first.id).id == first.id
        except openai.InternalServerError:
            assert time.monotonic() < end
            time.sleep(1)
        else:
            break


@pytest.mark.parametrize("fault", ["cut", "end", "error"])
@EACH
def test_a_stream_that_breaks_ends_in_an_error_and_is_not_stored(
    world: World, client: openai.OpenAI, prompt: str, name: str, fault: str
) -> None:
    world.script.faults[MODELS[name]] = fault
    events: list[Any] = []
    with pytest.raises(openai.APIError):
        events.extend(_each(client.responses.create(model=name, input=prompt, stream=True), events))
    assert not [event for event in events if event.type == "response.completed"]
    assert INSIDE.search(events[-1].model_dump_json()) is None, events[-1]
    with world.redis.admin() as redis:
        assert not any(prompt in str(redis.get(key)) for key in redis.keys("litellm:responses:*"))


def _each(stream: Any, events: list[Any]) -> list[Any]:
    for event in stream:
        events.append(event)
        if event.type in ("error", "response.failed"):
            raise openai.APIError(str(event), request=httpx.Request("POST", "http://x"), body=None)
    return []

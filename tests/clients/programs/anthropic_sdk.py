"""Anthropic's SDK for Python."""

import anthropic
import mesh
from pydantic import BaseModel


class Person(BaseModel):
    name: str
    age: int


client = anthropic.Anthropic(base_url=mesh.URL, api_key=mesh.KEY, max_retries=0, timeout=120)
WEATHER = {
    "name": "weather",
    "description": "The weather in a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def user(content):
    return {"role": "user", "content": content}


def asked(model, *messages, **more):
    return client.messages.create(model=model, max_tokens=300, messages=list(messages), **more)


def shaped(error):
    """Whether it came in the shape of Anthropic's errors."""
    return isinstance(error.body, dict) and error.body.get("type") == "error" and error.body["error"]["message"]


def models():
    names = [model.id for model in client.models.list()]
    mesh.expect(mesh.CLOUD in names, names)
    return ", ".join(names)


def chat():
    for model in (mesh.CLOUD, mesh.LOCAL):
        answer = asked(model, user(mesh.ASK), system="Be brief.")
        mesh.expect(answer.content[0].text == mesh.GREETING, answer)
        mesh.expect(answer.usage.input_tokens > 0 and answer.usage.output_tokens > 0, answer.usage)
    return answer.content[0].text


def stream():
    with client.messages.stream(model=mesh.LOCAL, max_tokens=300, messages=[user(mesh.ASK)]) as events:
        pieces = list(events.text_stream)
        whole = events.get_final_message()
    mesh.expect("".join(pieces) == mesh.GREETING and len(pieces) > 1, pieces)
    mesh.expect(whole.stop_reason == "end_turn", whole)
    return f"{len(pieces)} pieces"


def tools():
    question = user(mesh.ASK_WITH_TOOL)
    answer = asked(mesh.CLOUD, question, tools=[WEATHER])
    (call,) = (block for block in answer.content if block.type == "tool_use")
    mesh.expect(answer.stop_reason == "tool_use" and call.input == {"city": mesh.CITY}, answer)
    result = {"type": "tool_result", "tool_use_id": call.id, "content": mesh.TOOL_RESULT}
    answer = asked(
        mesh.CLOUD, question, {"role": "assistant", "content": answer.content}, user([result]), tools=[WEATHER]
    )
    mesh.expect(mesh.WEATHER in answer.content[0].text, answer)
    return answer.content[0].text


def structured():
    answer = client.messages.parse(
        model=mesh.CLOUD, max_tokens=300, messages=[user(mesh.ASK_FOR_PERSON)], output_format=Person
    )
    mesh.expect(answer.parsed_output == Person(**mesh.PERSON), answer)
    return answer.parsed_output


def picture():
    source = {"type": "base64", "media_type": "image/png", "data": mesh.PICTURE}
    answer = asked(
        mesh.CLOUD, user([{"type": "image", "source": source}, {"type": "text", "text": mesh.ASK_ABOUT_PICTURE}])
    )
    mesh.expect(mesh.SEEN in answer.content[0].text, answer)
    return answer.content[0].text


def documents():
    history = [user(mesh.FIRST_QUESTION), {"role": "assistant", "content": mesh.FIRST_ANSWER}, user(mesh.FOLLOW_UP)]
    answer = asked(mesh.DOCUMENTS, *history)
    mesh.expect(mesh.FOUND in answer.content[0].text, answer)
    return answer.content[0].text


def wrong_key():
    other = anthropic.Anthropic(base_url=mesh.URL, api_key=mesh.WRONG_KEY, max_retries=0)
    message = {"model": mesh.CLOUD, "max_tokens": 10, "messages": [user("hello")]}
    error = mesh.refusal(lambda: other.messages.create(**message), 401)
    mesh.expect(isinstance(error, anthropic.AuthenticationError) and shaped(error), error)
    return error


def unknown_model():
    error = mesh.refusal(lambda: asked(mesh.UNKNOWN, user("hello")), 404, mesh.UNKNOWN)
    mesh.expect(isinstance(error, anthropic.NotFoundError) and shaped(error), error)
    return error


def count_tokens():
    found = client.messages.count_tokens(model=mesh.CLOUD, messages=[user(mesh.FIRST_QUESTION)])
    mesh.expect(found.input_tokens > 3, found)
    return found.input_tokens


mesh.run(
    {
        "models": models,
        "chat": chat,
        "stream": stream,
        "tools": tools,
        "structured": structured,
        "picture": picture,
        "documents": documents,
        "wrong_key": wrong_key,
        "unknown_model": unknown_model,
        "count_tokens": count_tokens,
    }
)

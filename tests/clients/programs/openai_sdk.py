"""OpenAI's SDK for Python, versions 2 and 3."""

import base64
import io

import mesh
import openai
from pydantic import BaseModel


class Person(BaseModel):
    name: str
    age: int


client = openai.OpenAI(base_url=mesh.BASE_URL, api_key=mesh.KEY, max_retries=0, timeout=120)
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "The weather in a city",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
]


def user(content):
    return {"role": "user", "content": content}


def asked(model, *messages, **more):
    return client.chat.completions.create(model=model, messages=list(messages), **more)


def models():
    names = [model.id for model in client.models.list()]
    mesh.expect(mesh.ANY in names and mesh.DOCUMENTS in names, names)
    return ", ".join(names)


def chat():
    answer = client.chat.completions.create(
        model=mesh.ANY, messages=[{"role": "system", "content": "Be brief."}, user(mesh.ASK)]
    )
    mesh.expect(answer.choices[0].message.content == mesh.GREETING, answer)
    mesh.expect(answer.usage.total_tokens > 0, answer.usage)
    return answer.choices[0].message.content


def stream():
    pieces, usage = [], None
    with asked(mesh.LOCAL, user(mesh.ASK), stream=True, stream_options={"include_usage": True}) as events:
        for event in events:
            usage = event.usage or usage
            pieces += [choice.delta.content for choice in event.choices if choice.delta.content]
    mesh.expect("".join(pieces) == mesh.GREETING and len(pieces) > 1, pieces)
    mesh.expect(usage is not None and usage.total_tokens > 0, usage)
    return f"{len(pieces)} pieces"


def tools():
    messages = [user(mesh.ASK_WITH_TOOL)]
    answer = asked(mesh.LOCAL, *messages, tools=TOOLS)
    (call,) = answer.choices[0].message.tool_calls
    mesh.expect(call.function.name == "weather" and mesh.CITY in call.function.arguments, call)
    messages += [answer.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": mesh.TOOL_RESULT}]
    answer = asked(mesh.LOCAL, *messages, tools=TOOLS)
    mesh.expect(answer.choices[0].message.content == mesh.WEATHER, answer)
    return mesh.WEATHER


def structured():
    answer = client.chat.completions.parse(
        model=mesh.LOCAL, messages=[user(mesh.ASK_FOR_PERSON)], response_format=Person
    )
    mesh.expect(answer.choices[0].message.parsed == Person(**mesh.PERSON), answer)
    return answer.choices[0].message.parsed


def embeddings():
    found = client.embeddings.create(model=mesh.EMBEDDING, input=mesh.TEXTS)
    mesh.expect([one.index for one in found.data] == list(range(100)), [one.index for one in found.data])
    sizes = {len(one.embedding) for one in found.data}
    mesh.expect(len(sizes) == 1 and found.data[0].embedding != found.data[1].embedding, sizes)
    return f"{len(found.data)} of {sizes.pop()} numbers"


def token_ids():
    """What LangChain sends where it is not told otherwise."""
    return len(client.embeddings.create(model=mesh.EMBEDDING, input=[[15339, 1917]]).data)


def picture():
    parts = [
        {"type": "text", "text": mesh.ASK_ABOUT_PICTURE},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{mesh.PICTURE}"}},
    ]
    answer = asked(mesh.ANY, user(parts))
    mesh.expect(mesh.SEEN in answer.choices[0].message.content, answer)
    return f"{answer.model}: {answer.choices[0].message.content}"


def documents():
    history = [user(mesh.FIRST_QUESTION), {"role": "assistant", "content": mesh.FIRST_ANSWER}, user(mesh.FOLLOW_UP)]
    answer = asked(mesh.DOCUMENTS, *history)
    mesh.expect(mesh.FOUND in answer.choices[0].message.content, answer)
    return answer.choices[0].message.content


def wrong_key():
    other = openai.OpenAI(base_url=mesh.BASE_URL, api_key=mesh.WRONG_KEY, max_retries=0)
    error = mesh.refusal(other.models.list, 401)
    # Of the error object: the SDK finds none where the body is not in OpenAI's shape.
    mesh.expect(isinstance(error, openai.AuthenticationError) and error.type, error)
    return error


def unknown_model():
    error = mesh.refusal(lambda: asked(mesh.UNKNOWN, user("hello")), 404, mesh.UNKNOWN)
    mesh.expect(isinstance(error, openai.NotFoundError) and error.code == "model_not_found", error)
    return error


def responses():
    answer = client.responses.create(model=mesh.LOCAL, input=mesh.ASK)
    mesh.expect(answer.output_text == mesh.GREETING, answer)
    with client.responses.create(model=mesh.LOCAL, input=mesh.ASK, stream=True) as events:
        kinds = [event.type for event in events]
    mesh.expect("response.output_text.delta" in kinds and kinds[-1] == "response.completed", kinds)
    return f"{answer.output_text} ({len(kinds)} events)"


def audio():
    spoken = client.audio.speech.create(model="tts-1", voice="alloy", input="Good morning.", response_format="wav")
    sound = spoken.content
    mesh.expect(sound[:4] == b"RIFF", sound[:40])
    heard = client.audio.transcriptions.create(model="whisper-1", file=("morning.wav", io.BytesIO(sound)))
    mesh.expect(isinstance(heard.text, str), heard)
    return f"{len(sound)} bytes spoken, heard: {heard.text!r}"


def images():
    made = client.images.generate(
        model="gpt-image-1", prompt="a red square", size="1024x1024", response_format="b64_json"
    )
    content = base64.b64decode(made.data[0].b64_json)
    mesh.expect(content[:8] == b"\x89PNG\r\n\x1a\n", content[:20])
    return f"{len(content)} bytes"


def files():
    made = client.files.create(
        file=("note.txt", io.BytesIO(b"The lighthouse of Tysfjord is painted green.")), purpose="assistants"
    )
    try:
        mesh.expect(made.id and made.filename == "note.txt", made)
        mesh.expect(made.id in [one.id for one in client.files.list()], "the list lacks it")
        mesh.expect(client.files.retrieve(made.id).id == made.id, made)
    finally:
        gone = client.files.delete(made.id)
    mesh.expect(gone.deleted, gone)
    return made.id


mesh.run(
    {
        "models": models,
        "chat": chat,
        "stream": stream,
        "tools": tools,
        "structured": structured,
        "embeddings": embeddings,
        "token_ids": token_ids,
        "picture": picture,
        "documents": documents,
        "wrong_key": wrong_key,
        "unknown_model": unknown_model,
        "responses": responses,
        "audio": audio,
        "images": images,
        "files": files,
    }
)

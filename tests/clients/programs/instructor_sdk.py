"""Instructor, which gets typed answers out of OpenAI's SDK."""

import instructor
import mesh
import openai
from instructor.processing.multimodal import Image
from pydantic import BaseModel


class Person(BaseModel):
    name: str
    age: int


class Seen(BaseModel):
    text: str


def client(mode=instructor.Mode.TOOLS, key=mesh.KEY):
    inner = openai.OpenAI(base_url=mesh.BASE_URL, api_key=key, max_retries=0, timeout=120)
    return instructor.from_openai(inner, mode=mode)


def asked(question, model=mesh.LOCAL, kind=Person, mode=instructor.Mode.TOOLS, key=mesh.KEY, before=(), **more):
    messages = [*before, {"role": "user", "content": question}]
    return client(mode, key).create(model=model, response_model=kind, messages=messages, max_retries=0, **more)


def by_tool(kind, **fields):
    return f"[[tool:{kind.__name__} {kind(**fields).model_dump_json()}]]"


def tools():
    found = asked(f"Who is it? {by_tool(Person, **mesh.PERSON)}")
    mesh.expect(found.model_dump() == mesh.PERSON, found)
    return found


def structured():
    found = asked(mesh.ASK_FOR_PERSON, mode=instructor.Mode.JSON_SCHEMA)
    mesh.expect(found.model_dump() == mesh.PERSON, found)
    return found


def stream():
    inner = client(instructor.Mode.JSON_SCHEMA)
    messages = [{"role": "user", "content": mesh.ASK_FOR_PERSON}]
    pieces = list(inner.create_partial(model=mesh.LOCAL, response_model=Person, messages=messages, max_retries=0))
    mesh.expect(pieces[-1].model_dump() == mesh.PERSON and len(pieces) > 1, pieces)
    return f"{len(pieces)} pieces"


def chat():
    found = asked(mesh.ASK, mesh.ANY, None)
    mesh.expect(found.choices[0].message.content == mesh.GREETING, found)
    return found.choices[0].message.content


def picture():
    image = Image.from_base64(f"data:image/png;base64,{mesh.PICTURE}")
    question = f"What do you see? [[{Seen(text=mesh.SEEN).model_dump_json()}]]"
    found = asked([question, image], mesh.ANY, Seen, instructor.Mode.JSON_SCHEMA)
    mesh.expect(found.text == mesh.SEEN, found)
    return found


def documents():
    before = [
        {"role": "user", "content": mesh.FIRST_QUESTION},
        {"role": "assistant", "content": mesh.FIRST_ANSWER},
    ]
    found = asked(mesh.FOLLOW_UP, mesh.DOCUMENTS, None, before=before)
    mesh.expect(mesh.FOUND in found.choices[0].message.content, found)
    return found.choices[0].message.content


def wrong_key():
    return mesh.refusal(lambda: asked("hello", key=mesh.WRONG_KEY), 401)


def unknown_model():
    return mesh.refusal(lambda: asked("hello", mesh.UNKNOWN), 404, mesh.UNKNOWN)


mesh.run(
    {
        "chat": chat,
        "stream": stream,
        "tools": tools,
        "structured": structured,
        "picture": picture,
        "documents": documents,
        "wrong_key": wrong_key,
        "unknown_model": unknown_model,
    }
)

"""Pydantic AI with its provider for OpenAI's chat API."""

import asyncio
import base64

import mesh
from pydantic import BaseModel
from pydantic_ai import Agent, BinaryContent, Embedder, ModelHTTPError, NativeOutput
from pydantic_ai.embeddings.openai import OpenAIEmbeddingModel
from pydantic_ai.messages import ModelRequest, ModelResponse, TextPart, UserPromptPart
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider


class Person(BaseModel):
    name: str
    age: int


def provider(key=mesh.KEY):
    return OpenAIProvider(base_url=mesh.BASE_URL, api_key=key)


def agent(name=mesh.LOCAL, key=mesh.KEY, **more):
    return Agent(OpenAIChatModel(name, provider=provider(key)), **more)


def chat():
    answer = agent(mesh.ANY, instructions="Be brief.").run_sync(mesh.ASK)
    mesh.expect(answer.output == mesh.GREETING and answer.usage.total_tokens > 0, answer)
    return answer.output


def stream():
    async def pieces():
        async with agent().run_stream(mesh.ASK) as answer:
            return [piece async for piece in answer.stream_text(delta=True, debounce_by=None)]

    found = asyncio.run(pieces())
    mesh.expect("".join(found) == mesh.GREETING and len(found) > 1, found)
    return f"{len(found)} pieces"


def tools():
    able, seen = agent(), []

    @able.tool_plain
    def weather(city: str) -> str:
        """The weather in a city."""
        seen.append(city)
        return mesh.TOOL_RESULT

    answer = able.run_sync(mesh.ASK_WITH_TOOL)
    mesh.expect(answer.output == mesh.WEATHER and seen == [mesh.CITY], answer)
    return answer.output


def structured():
    found = agent(output_type=NativeOutput(Person)).run_sync(mesh.ASK_FOR_PERSON).output
    mesh.expect(found == Person(**mesh.PERSON), found)
    return found


def embeddings():
    model = OpenAIEmbeddingModel(mesh.EMBEDDING, provider=provider())
    found = Embedder(model).embed_documents_sync(mesh.TEXTS).embeddings
    mesh.expect(len(found) == 100 and len(found[0]) == len(found[99]) and found[0] != found[1], len(found))
    return f"{len(found)} of {len(found[0])} numbers"


def picture():
    seen = BinaryContent(base64.b64decode(mesh.PICTURE), media_type="image/png")
    answer = agent(mesh.ANY).run_sync([mesh.ASK_ABOUT_PICTURE, seen])
    mesh.expect(mesh.SEEN in answer.output, answer)
    return answer.output


def documents():
    history = [
        ModelRequest(parts=[UserPromptPart(mesh.FIRST_QUESTION)]),
        ModelResponse(parts=[TextPart(mesh.FIRST_ANSWER)]),
    ]
    answer = agent(mesh.DOCUMENTS).run_sync(mesh.FOLLOW_UP, message_history=history)
    mesh.expect(mesh.FOUND in answer.output, answer)
    return answer.output


def wrong_key():
    error = mesh.refusal(lambda: agent(key=mesh.WRONG_KEY).run_sync("hello"), 401)
    mesh.expect(isinstance(error, ModelHTTPError), error)
    return error


def unknown_model():
    error = mesh.refusal(lambda: agent(mesh.UNKNOWN).run_sync("hello"), 404, mesh.UNKNOWN)
    mesh.expect(isinstance(error, ModelHTTPError), error)
    return error


mesh.run(
    {
        "chat": chat,
        "stream": stream,
        "tools": tools,
        "structured": structured,
        "embeddings": embeddings,
        "picture": picture,
        "documents": documents,
        "wrong_key": wrong_key,
        "unknown_model": unknown_model,
    }
)

"""LangChain's `langchain-openai`."""

import mesh
import openai
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel


class Person(BaseModel):
    """A person."""

    name: str
    age: int


@tool
def weather(city: str) -> str:
    """The weather in a city."""
    return mesh.TOOL_RESULT if city == mesh.CITY else "unknown"


def model(name=mesh.LOCAL, **more):
    given = {"base_url": mesh.BASE_URL, "api_key": mesh.KEY, "max_retries": 0, "timeout": 120, **more}
    return ChatOpenAI(model=name, **given)


def chat():
    answer = model(mesh.ANY).invoke([SystemMessage("Be brief."), HumanMessage(mesh.ASK)])
    mesh.expect(answer.content == mesh.GREETING and answer.usage_metadata["total_tokens"] > 0, answer)
    return answer.content


def stream():
    pieces = [piece.content for piece in model().stream(mesh.ASK) if piece.content]
    mesh.expect("".join(pieces) == mesh.GREETING and len(pieces) > 1, pieces)
    return f"{len(pieces)} pieces"


def tools():
    able, messages = model().bind_tools([weather]), [HumanMessage(mesh.ASK_WITH_TOOL)]
    answer = able.invoke(messages)
    (call,) = answer.tool_calls
    mesh.expect(call["name"] == "weather" and call["args"] == {"city": mesh.CITY}, answer)
    result: ToolMessage = weather.invoke(call)
    answer = able.invoke([*messages, answer, result])
    mesh.expect(answer.content == mesh.WEATHER, answer)
    return answer.content


def structured():
    found = model().with_structured_output(Person).invoke(mesh.ASK_FOR_PERSON)
    mesh.expect(found == Person(**mesh.PERSON), found)
    return found


def embeddings():
    embedder = OpenAIEmbeddings(
        model=mesh.EMBEDDING,
        base_url=mesh.BASE_URL,
        api_key=mesh.KEY,
        max_retries=0,
        # It would send token ids of one of OpenAI's models, which the platform refuses.
        check_embedding_ctx_length=False,
    )
    found = embedder.embed_documents(mesh.TEXTS)
    mesh.expect(len(found) == 100 and len(found[0]) == len(found[99]) and found[0] != found[1], len(found))
    return f"{len(found)} of {len(found[0])} numbers"


def picture():
    parts = [
        {"type": "text", "text": mesh.ASK_ABOUT_PICTURE},
        {"type": "image", "base64": mesh.PICTURE, "mime_type": "image/png"},
    ]
    answer = model(mesh.ANY).invoke([HumanMessage(parts)])
    mesh.expect(mesh.SEEN in answer.content, answer)
    return answer.content


def documents():
    history = [HumanMessage(mesh.FIRST_QUESTION), AIMessage(mesh.FIRST_ANSWER), HumanMessage(mesh.FOLLOW_UP)]
    answer = model(mesh.DOCUMENTS).invoke(history)
    mesh.expect(mesh.FOUND in answer.content, answer)
    return answer.content


def wrong_key():
    error = mesh.refusal(lambda: model(api_key=mesh.WRONG_KEY).invoke("hello"), 401)
    mesh.expect(isinstance(error, openai.AuthenticationError), error)
    return error


def unknown_model():
    error = mesh.refusal(lambda: model(mesh.UNKNOWN).invoke("hello"), 404, mesh.UNKNOWN)
    mesh.expect(isinstance(error, openai.NotFoundError), error)
    return error


def responses():
    answer = model(use_responses_api=True).invoke(mesh.ASK)
    mesh.expect(answer.text == mesh.GREETING, answer)
    return answer.text


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
        "responses": responses,
    }
)

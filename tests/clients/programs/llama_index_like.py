"""LlamaIndex' OpenAI-like model and embedding."""

import base64

import mesh
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, MessageRole, TextBlock
from llama_index.core.tools import FunctionTool
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel


class Person(BaseModel):
    """A person."""

    name: str
    age: int


def weather(city: str) -> str:
    """The weather in a city."""
    return mesh.TOOL_RESULT if city == mesh.CITY else "unknown"


def model(name=mesh.LOCAL, **more):
    given = {"api_base": mesh.BASE_URL, "api_key": mesh.KEY, "max_retries": 0, "timeout": 120, **more}
    return OpenAILike(model=name, is_chat_model=True, is_function_calling_model=True, context_window=16384, **given)


def user(content):
    return ChatMessage(role=MessageRole.USER, content=content)


def chat():
    answer = model(mesh.ANY).chat([ChatMessage(role=MessageRole.SYSTEM, content="Be brief."), user(mesh.ASK)])
    mesh.expect(answer.message.content == mesh.GREETING, answer)
    return answer.message.content


def stream():
    pieces = [piece.delta for piece in model().stream_chat([user(mesh.ASK)]) if piece.delta]
    mesh.expect("".join(pieces) == mesh.GREETING and len(pieces) > 1, pieces)
    return f"{len(pieces)} pieces"


def tools():
    able, offered = model(), [FunctionTool.from_defaults(weather)]
    answer = able.chat_with_tools(offered, user_msg=mesh.ASK_WITH_TOOL)
    (call,) = able.get_tool_calls_from_response(answer)
    mesh.expect(call.tool_name == "weather" and call.tool_kwargs == {"city": mesh.CITY}, call)
    result = ChatMessage(
        role=MessageRole.TOOL, content=weather(**call.tool_kwargs), additional_kwargs={"tool_call_id": call.tool_id}
    )
    history = [user(mesh.ASK_WITH_TOOL), answer.message, result]
    answer = able.chat_with_tools(offered, chat_history=history)
    mesh.expect(answer.message.content == mesh.WEATHER, answer)
    return answer.message.content


def structured():
    answer = model(should_use_structured_outputs=True).as_structured_llm(Person).chat([user(mesh.ASK_FOR_PERSON)])
    mesh.expect(answer.raw == Person(**mesh.PERSON), answer)
    return answer.raw


def embeddings():
    embedder = OpenAILikeEmbedding(
        model_name=mesh.EMBEDDING, api_base=mesh.BASE_URL, api_key=mesh.KEY, max_retries=0, embed_batch_size=100
    )
    found = embedder.get_text_embedding_batch(mesh.TEXTS)
    mesh.expect(len(found) == 100 and len(found[0]) == len(found[99]) and found[0] != found[1], len(found))
    return f"{len(found)} of {len(found[0])} numbers"


def picture():
    blocks = [TextBlock(text=mesh.ASK_ABOUT_PICTURE), ImageBlock(image=base64.b64decode(mesh.PICTURE))]
    answer = model(mesh.ANY).chat([ChatMessage(role=MessageRole.USER, blocks=blocks)])
    mesh.expect(mesh.SEEN in answer.message.content, answer)
    return answer.message.content


def documents():
    history = [
        user(mesh.FIRST_QUESTION),
        ChatMessage(role=MessageRole.ASSISTANT, content=mesh.FIRST_ANSWER),
        user(mesh.FOLLOW_UP),
    ]
    answer = model(mesh.DOCUMENTS).chat(history)
    mesh.expect(mesh.FOUND in answer.message.content, answer)
    return answer.message.content


def wrong_key():
    return mesh.refusal(lambda: model(api_key=mesh.WRONG_KEY).chat([user("hello")]), 401)


def unknown_model():
    return mesh.refusal(lambda: model(mesh.UNKNOWN).chat([user("hello")]), 404, mesh.UNKNOWN)


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

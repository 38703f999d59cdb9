"""LiteLLM's SDK: OpenAI's API by `openai/NAME`, Anthropic's by `anthropic/NAME`."""

import json

import litellm
import mesh
from pydantic import BaseModel

# Else it writes advice to the standard output.
litellm.suppress_debug_info = True


class Person(BaseModel):
    name: str
    age: int


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


def asked(name, *messages, **more):
    given = {"api_base": mesh.BASE_URL, "api_key": mesh.KEY, "max_retries": 0, "timeout": 120, **more}
    return litellm.completion(model=f"openai/{name}", messages=list(messages), **given)


def user(content):
    return {"role": "user", "content": content}


def models():
    names = litellm.get_valid_models(
        check_provider_endpoint=True, custom_llm_provider="openai", api_key=mesh.KEY, api_base=mesh.URL
    )
    mesh.expect(any(mesh.ANY in name for name in names), names)
    return ", ".join(names)


def chat():
    answer = asked(mesh.ANY, {"role": "system", "content": "Be brief."}, user(mesh.ASK))
    mesh.expect(answer.choices[0].message.content == mesh.GREETING and answer.usage.total_tokens > 0, answer)
    claude = litellm.completion(
        model=f"anthropic/{mesh.CLOUD}", messages=[user(mesh.ASK)], api_base=mesh.URL, api_key=mesh.KEY, max_tokens=300
    )
    mesh.expect(claude.choices[0].message.content == mesh.GREETING, claude)
    return claude.choices[0].message.content


def stream():
    events = asked(mesh.LOCAL, user(mesh.ASK), stream=True)
    pieces = [text for event in events if event.choices and (text := event.choices[0].delta.content)]
    mesh.expect("".join(pieces) == mesh.GREETING and len(pieces) > 1, pieces)
    return f"{len(pieces)} pieces"


def tools():
    messages = [user(mesh.ASK_WITH_TOOL)]
    answer = asked(mesh.LOCAL, *messages, tools=TOOLS)
    (call,) = answer.choices[0].message.tool_calls
    mesh.expect(json.loads(call.function.arguments) == {"city": mesh.CITY}, call)
    messages += [answer.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": mesh.TOOL_RESULT}]
    answer = asked(mesh.LOCAL, *messages, tools=TOOLS)
    mesh.expect(answer.choices[0].message.content == mesh.WEATHER, answer)
    return mesh.WEATHER


def structured():
    answer = asked(mesh.LOCAL, user(mesh.ASK_FOR_PERSON), response_format=Person)
    found = Person.model_validate_json(answer.choices[0].message.content)
    mesh.expect(found == Person(**mesh.PERSON), answer)
    return found


def embeddings():
    found = litellm.embedding(
        model=f"openai/{mesh.EMBEDDING}", input=mesh.TEXTS, api_base=mesh.BASE_URL, api_key=mesh.KEY, max_retries=0
    ).data
    sizes = {len(one["embedding"]) for one in found}
    mesh.expect(len(found) == 100 and len(sizes) == 1, sizes)
    return f"{len(found)} of {sizes.pop()} numbers"


def picture():
    parts = [
        {"type": "text", "text": mesh.ASK_ABOUT_PICTURE},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{mesh.PICTURE}"}},
    ]
    answer = asked(mesh.ANY, user(parts))
    mesh.expect(mesh.SEEN in answer.choices[0].message.content, answer)
    return answer.choices[0].message.content


def documents():
    history = [user(mesh.FIRST_QUESTION), {"role": "assistant", "content": mesh.FIRST_ANSWER}, user(mesh.FOLLOW_UP)]
    answer = asked(mesh.DOCUMENTS, *history)
    mesh.expect(mesh.FOUND in answer.choices[0].message.content, answer)
    return answer.choices[0].message.content


def wrong_key():
    error = mesh.refusal(lambda: asked(mesh.LOCAL, user("hello"), api_key=mesh.WRONG_KEY), 401)
    mesh.expect(isinstance(error, litellm.AuthenticationError), error)
    return error


def unknown_model():
    error = mesh.refusal(lambda: asked(mesh.UNKNOWN, user("hello")), 404, mesh.UNKNOWN)
    mesh.expect(isinstance(error, litellm.NotFoundError), error)
    return error


mesh.run(
    {
        "models": models,
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

"""A workflow of n8n's own nodes for OpenAI's API: chat models, a tool, a typed answer, embeddings, HTTP."""

import itertools
import json
from typing import Any

from tests.clients.running import Outcome

LANGCHAIN = "@n8n/n8n-nodes-langchain"
BASE = "n8n-nodes-base"
CREDENTIAL = "openAiApi"
GREETING = "Good morning from the mesh."
FOUND = "The Borealis pump is serviced every 14 months."
PERSON = {"name": "Ada", "age": 36}
WEATHER = "It rains in Bergen."
ASK_WITH_TOOL = '[[tool:weather {"input": "Bergen"}]]'
ASK_FOR_PERSON = '[[{"output": {"name": "Ada", "age": 36}}]]'
TEXTS = [f"Part {number}" for number in range(100)]
UNKNOWN = "no-such-model"
SEEN = "A red square."
PICTURE = "iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAIAAACQkWg2AAAAFklEQVR42mP4z8BAEmIY1TCqYfhqAACQ+f8B8u7oVwAAAABJRU5ErkJggg=="
MODEL = {"__rl": True, "mode": "id", "value": "vllm_local"}
ANSWER = """={{ {
  chat: $('Chat').first().json.text,
  tools: $('Message').first().json.message.content,
  structured: $('Typed').first().json,
  texts: { ...$('Texts').first().json, data: ($('Texts').first().json.data ?? []).map(one => one.index) },
  picture: $('Picture').first().json,
  unknown: $('Unknown').first().json,
  found: $('Find').first().json.document.pageContent
} }}"""


def workflow(path: str, credential: dict[str, str], base_url: str) -> dict[str, Any]:
    """It answers `POST /webhook/<path>`; the models are behind `base_url`, whose key the credential holds."""
    main = _line(path, credential, base_url)
    names = [node["name"] for node in main]
    links = {name: {"main": [[_to(after, "main")]]} for name, after in itertools.pairwise(names)}
    nodes = [*main]
    for node, kind, users in _parts(credential):
        nodes.append(node)
        links[node["name"]] = {kind: [[_to(user, kind) for user in users]]}
    return {"name": path, "nodes": nodes, "connections": links, "settings": {"executionOrder": "v1"}}


def _line(path: str, credential: dict[str, str], base_url: str) -> list[dict[str, Any]]:
    """The nodes that run one after the other."""
    hook = {"path": path, "httpMethod": "POST", "responseMode": "responseNode"}
    asked = {"promptType": "define", "text": f"[[{GREETING}]]"}
    typed = {"promptType": "define", "text": ASK_FOR_PERSON, "hasOutputParser": True}
    messages = {"values": [{"role": "user", "content": ASK_WITH_TOOL}]}
    message = {"resource": "text", "operation": "message", "modelId": MODEL, "messages": messages}
    seen = [
        {"type": "text", "text": f"[[{SEEN}]]"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PICTURE}"}},
    ]
    store = {"memoryKey": {"__rl": True, "mode": "id", "value": path}}
    find = {"mode": "load", **store, "prompt": "How often is the Borealis pump serviced?", "topK": 1}

    def http(name: str, route: str, body: dict[str, Any]) -> dict[str, Any]:
        parameters = {
            "method": "POST",
            "url": f"{base_url}{route}",
            "authentication": "predefinedCredentialType",
            "nodeCredentialType": CREDENTIAL,
            "sendBody": True,
            "specifyBody": "json",
            "jsonBody": json.dumps(body),
            "options": {"response": {"response": {"neverError": True}}},
        }
        return _node(name, f"{BASE}.httpRequest", 4.2, parameters, credentials={CREDENTIAL: credential})

    return [
        _node("Webhook", f"{BASE}.webhook", 2, hook, webhookId=path),
        _node("Chat", f"{LANGCHAIN}.chainLlm", 1.7, asked),
        # Not by its agent, which loads SQLite's driver; the lab's n8n has none.
        _node("Message", f"{LANGCHAIN}.openAi", 1.8, message, credentials={CREDENTIAL: credential}),
        _node("Typed", f"{LANGCHAIN}.chainLlm", 1.7, typed),
        http("Texts", "/embeddings", {"model": "local_bge", "input": TEXTS}),
        http(
            "Picture",
            "/chat/completions",
            {"model": "claude_sonnet", "messages": [{"role": "user", "content": seen}]},
        ),
        http(
            "Unknown",
            "/chat/completions",
            {"model": UNKNOWN, "messages": [{"role": "user", "content": "hello"}]},
        ),
        _node("Keep", f"{LANGCHAIN}.vectorStoreInMemory", 1.2, {"mode": "insert", **store, "clearStore": True}),
        _node("Find", f"{LANGCHAIN}.vectorStoreInMemory", 1.2, find, executeOnce=True),
        _node("Answer", f"{BASE}.respondToWebhook", 1.1, {"respondWith": "json", "responseBody": ANSWER}),
    ]


def _parts(credential: dict[str, str]) -> list[tuple[dict[str, Any], str, tuple[str, ...]]]:
    """The nodes that others use: the node, how it is used, by which."""
    keyed = {"credentials": {CREDENTIAL: credential}}
    chat = {"model": MODEL, "options": {}}
    tool = {"description": "The weather in a city", "language": "javaScript", "jsCode": f'return "[[{WEATHER}]]";'}
    example = {"schemaType": "fromJson", "jsonSchemaExample": '{"name": "Bob", "age": 1}'}
    document = {"jsonMode": "expressionData", "jsonData": FOUND}
    language = "ai_languageModel"
    return [
        # Its newest version uses the Responses API where it is not told otherwise.
        (_node("By responses", f"{LANGCHAIN}.lmChatOpenAi", 1.3, chat, **keyed), language, ("Chat",)),
        (
            _node("By chat", f"{LANGCHAIN}.lmChatOpenAi", 1.3, {**chat, "responsesApiEnabled": False}, **keyed),
            language,
            ("Typed",),
        ),
        (_node("weather", f"{LANGCHAIN}.toolCode", 1.3, tool), "ai_tool", ("Message",)),
        (_node("Parser", f"{LANGCHAIN}.outputParserStructured", 1.2, example), "ai_outputParser", ("Typed",)),
        (
            _node("Embeddings", f"{LANGCHAIN}.embeddingsOpenAi", 1.2, {"model": "local_bge"}, **keyed),
            "ai_embedding",
            ("Keep", "Find"),
        ),
        (_node("Loader", f"{LANGCHAIN}.documentDefaultDataLoader", 1.1, document), "ai_document", ("Keep",)),
    ]


def _to(name: str, kind: str) -> dict[str, Any]:
    return {"node": name, "type": kind, "index": 0}


def _node(name: str, kind: str, version: float, parameters: dict[str, Any], **more: Any) -> dict[str, Any]:
    known = {"id": name, "name": name, "type": kind, "typeVersion": version, "position": [0, 0]}
    return {**known, "parameters": parameters, **more}


def outcomes(answer: dict[str, Any]) -> dict[str, Outcome]:
    """What the workflow's answer says of each feature."""
    texts, seen, unknown = answer["texts"], answer["picture"], answer["unknown"]
    right = {
        "chat": answer["chat"] == GREETING,
        "tools": answer["tools"] == WEATHER,
        "structured": answer["structured"].get("output") == PERSON,
        "embeddings": len(texts.get("data", ())) == len(TEXTS) and answer["found"] == FOUND,
        "picture": "choices" in seen and seen["choices"][0]["message"]["content"] == SEEN,
        "unknown_model": UNKNOWN in unknown.get("error", {}).get("message", ""),
    }
    return {feature: Outcome("works" if good else "fails", str(answer)[:3000]) for feature, good in right.items()}

"""curl, called as a script would: the key in a file, JSON on the standard input."""

import base64
import json
import subprocess
import tempfile
from pathlib import Path

import mesh

KEPT = tempfile.TemporaryDirectory(prefix="client-curl-")
FOLDER = Path(KEPT.name)


def curl(path, body=None, *options, key=mesh.KEY, status=200, base=mesh.URL):
    """What curl got, with the status that is wanted."""
    headers = FOLDER / "headers"
    headers.write_text(f"Authorization: Bearer {key}\nContent-Type: application/json\n")
    if body is not None:
        options = (*options, "-H", f"@{headers}", "--data-binary", "@-")
    else:
        options = (*options, "-H", f"Authorization: Bearer {key}")
    done = subprocess.run(
        ["curl", "-sS", "--no-buffer", "--max-time", "120", "-w", "\n%{http_code}", *options, f"{base}{path}"],
        input=None if body is None else json.dumps(body),
        capture_output=True,
        text=True,
        check=True,
    )
    text, _, found = done.stdout.rpartition("\n")
    if int(found) != status:
        if found.startswith("4") or found == "501":
            raise mesh.RefusedError(f"{found} {text}")
        raise AssertionError(f"{found} {text}")
    return text


def ask(question, model=mesh.LOCAL, **more):
    return {"model": model, "messages": [{"role": "user", "content": question}], **more}


def said(text):
    return json.loads(text)["choices"][0]["message"]["content"]


def models():
    names = [model["id"] for model in json.loads(curl("/v1/models"))["data"]]
    mesh.expect(mesh.ANY in names and mesh.DOCUMENTS in names, names)
    return ", ".join(names)


def chat():
    text = said(curl("/v1/chat/completions", ask(mesh.ASK, mesh.ANY)))
    mesh.expect(text == mesh.GREETING, text)
    return text


def stream():
    lines = curl("/v1/chat/completions", ask(mesh.ASK, stream=True)).splitlines()
    events = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    pieces = [choice["delta"].get("content") or "" for event in events[:-1] for choice in json.loads(event)["choices"]]
    mesh.expect(events[-1] == "[DONE]" and "".join(pieces) == mesh.GREETING, events)
    return f"{len(events)} events"


def tools():
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    offered = [{"type": "function", "function": {"name": "weather", "parameters": parameters}}]
    asked = ask(mesh.ASK_WITH_TOOL, tools=offered)
    message = json.loads(curl("/v1/chat/completions", asked))["choices"][0]["message"]
    (call,) = message["tool_calls"]
    asked["messages"] += [message, {"role": "tool", "tool_call_id": call["id"], "content": mesh.TOOL_RESULT}]
    text = said(curl("/v1/chat/completions", asked))
    mesh.expect(text == mesh.WEATHER, text)
    return text


def structured():
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        "required": ["name", "age"],
        "additionalProperties": False,
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "person", "strict": True, "schema": schema}}
    found = json.loads(said(curl("/v1/chat/completions", ask(mesh.ASK_FOR_PERSON, response_format=wanted))))
    mesh.expect(found == mesh.PERSON, found)
    return found


def embeddings():
    found = json.loads(curl("/v1/embeddings", {"model": mesh.EMBEDDING, "input": mesh.TEXTS}))["data"]
    mesh.expect([one["index"] for one in found] == list(range(100)), len(found))
    return f"{len(found)} of {len(found[0]['embedding'])} numbers"


def picture():
    parts = [
        {"type": "text", "text": mesh.ASK_ABOUT_PICTURE},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{mesh.PICTURE}"}},
    ]
    text = said(curl("/v1/chat/completions", ask(parts, mesh.ANY)))
    mesh.expect(mesh.SEEN in text, text)
    return text


def documents():
    asked = ask(mesh.FIRST_QUESTION, mesh.DOCUMENTS)
    asked["messages"] += [
        {"role": "assistant", "content": mesh.FIRST_ANSWER},
        {"role": "user", "content": mesh.FOLLOW_UP},
    ]
    text = said(curl("/v1/chat/completions", asked))
    mesh.expect(mesh.FOUND in text, text)
    return text


def wrong_key():
    text = curl("/v1/models", key=mesh.WRONG_KEY, status=401)
    error = json.loads(text).get("error")
    mesh.expect(error and error["message"] and error["type"], text)
    return text


def unknown_model():
    text = curl("/v1/chat/completions", ask("hello", mesh.UNKNOWN), status=404)
    mesh.expect(mesh.UNKNOWN in json.loads(text)["error"]["message"], text)
    return text


def responses():
    answer = json.loads(curl("/v1/responses", {"model": mesh.LOCAL, "input": mesh.ASK}))
    text = answer["output"][-1]["content"][0]["text"]
    mesh.expect(text == mesh.GREETING, answer)
    return text


def audio():
    sound = FOLDER / "morning.wav"
    asked = {"model": "tts-1", "voice": "alloy", "input": "Good morning.", "response_format": "wav"}
    curl("/v1/audio/speech", asked, "-o", str(sound))
    mesh.expect(sound.read_bytes()[:4] == b"RIFF", sound.read_bytes()[:200])
    heard = json.loads(curl("/v1/audio/transcriptions", None, "-F", f"file=@{sound}", "-F", "model=whisper-1"))
    mesh.expect("text" in heard, heard)
    return heard


def images():
    asked = {"model": "gpt-image-1", "prompt": "a red square", "size": "1024x1024", "response_format": "b64_json"}
    content = base64.b64decode(json.loads(curl("/v1/images/generations", asked))["data"][0]["b64_json"])
    mesh.expect(content[1:4] == b"PNG", content[:20])
    return f"{len(content)} bytes"


def files():
    note = FOLDER / "note.txt"
    note.write_text("The lighthouse of Tysfjord is painted green.")
    made = json.loads(curl("/v1/files", None, "-F", f"file=@{note}", "-F", "purpose=assistants"))
    gone = json.loads(curl(f"/v1/files/{made['id']}", None, "-X", "DELETE"))
    mesh.expect(made["filename"] == "note.txt" and gone["deleted"], made)
    return made["id"]


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
        "responses": responses,
        "audio": audio,
        "images": images,
        "files": files,
    }
)

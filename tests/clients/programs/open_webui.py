"""Open WebUI: its server on loopback, asked as its page asks it."""

import contextlib
import io
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import mesh

SECONDS = 240
"""Until it is up, on a busy machine."""
OPENAI = ("", "RAG_", "IMAGES_")
"""What of it speaks OpenAI's API, each with an address and a key of its own."""
SETTINGS = {
    **{f"{part}OPENAI_API_BASE_URL": mesh.BASE_URL for part in OPENAI},
    **{f"{part}OPENAI_API_KEY": mesh.KEY for part in OPENAI},
    "ENABLE_OLLAMA_API": "false",
    "RAG_EMBEDDING_ENGINE": "openai",
    "RAG_EMBEDDING_MODEL": mesh.EMBEDDING,
    "RAG_EMBEDDING_BATCH_SIZE": "100",
    # A chunk for each of the lines that are sent.
    "CHUNK_SIZE": "20",
    "CHUNK_OVERLAP": "0",
    "ENABLE_IMAGE_GENERATION": "true",
    "IMAGE_GENERATION_ENGINE": "openai",
    "IMAGE_GENERATION_MODEL": "gpt-image-1",
    "IMAGE_SIZE": "1024x1024",
    # It asks the internet for nothing.
    "OFFLINE_MODE": "true",
    "HF_HUB_OFFLINE": "1",
    "ENABLE_VERSION_UPDATE_CHECK": "false",
    "WEBUI_SECRET_KEY": "of-the-tests",
}


@contextlib.contextmanager
def running():
    """A client of its server, with its first user logged in."""
    with tempfile.TemporaryDirectory(prefix="client-open-webui-") as folder, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        program = str(Path(sys.executable).with_name("open-webui"))
        command = [sys.executable, program, "serve", "--host", "127.0.0.1", "--port", str(port)]
        environment = {**os.environ, **SETTINGS, "DATA_DIR": folder, "HOME": folder}
        with (Path(folder) / "log").open("w+") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder)
            try:
                with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120, trust_env=False) as client:
                    wait(client, process)
                    person = {"name": "Ann", "email": "ann@lab.example", "password": "Lab-owner-1"}
                    token = client.post("/api/v1/auths/signup", json=person).raise_for_status().json()["token"]
                    client.headers["authorization"] = f"Bearer {token}"
                    yield client
            finally:
                log.seek(0)
                print(log.read()[-6000:], file=sys.stderr)
                process.terminate()
                process.wait(30)


def wait(client, process):
    end = time.monotonic() + SECONDS
    while True:
        with contextlib.suppress(httpx.TransportError):
            if client.get("/health").status_code == 200:
                return
        if process.poll() is not None or time.monotonic() > end:
            raise TimeoutError("Open WebUI did not start")
        time.sleep(1)


def user(content):
    return {"role": "user", "content": content}


class Page:
    """What its page does."""

    def __init__(self, client):
        self.client = client

    def post(self, path, body=None, **more):
        return self.client.post(path, json=body, **more).raise_for_status()

    def asked(self, model, *messages, **more):
        body = {"model": model, "messages": list(messages), "stream": False, **more}
        return self.post("/api/chat/completions", body).json()["choices"][0]["message"]

    def models(self):
        names = [model["id"] for model in self.client.get("/api/models").raise_for_status().json()["data"]]
        mesh.expect(mesh.ANY in names and mesh.DOCUMENTS in names, names)
        return ", ".join(names)

    def chat(self):
        answer = self.asked(mesh.ANY, {"role": "system", "content": "Be brief."}, user(mesh.ASK))
        mesh.expect(answer["content"] == mesh.GREETING, answer)
        return answer["content"]

    def stream(self):
        body = {"model": mesh.LOCAL, "messages": [user(mesh.ASK)], "stream": True}
        lines = self.post("/api/chat/completions", body).text.splitlines()
        events = [line.removeprefix("data: ") for line in lines if line.startswith("data: {")]
        choices = [choice for event in events for choice in json.loads(event).get("choices", ())]
        pieces = [text for choice in choices if (text := choice["delta"].get("content"))]
        mesh.expect("".join(pieces) == mesh.GREETING and len(pieces) > 1, lines)
        return f"{len(pieces)} pieces"

    def tools(self):
        parameters = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
        tools = [{"type": "function", "function": {"name": "weather", "parameters": parameters}}]
        answer = self.asked(mesh.LOCAL, user(mesh.ASK_WITH_TOOL), tools=tools)
        (call,) = answer["tool_calls"]
        result = {"role": "tool", "tool_call_id": call["id"], "content": mesh.TOOL_RESULT}
        answer = self.asked(mesh.LOCAL, user(mesh.ASK_WITH_TOOL), answer, result, tools=tools)
        mesh.expect(answer["content"] == mesh.WEATHER, answer)
        return answer["content"]

    def embeddings(self):
        """A file's lines are embedded, and one is found by a question."""
        lines = "\n\n".join([*mesh.TEXTS[:99], "The pump is serviced every 14 months."])
        file = {"file": ("parts.txt", io.BytesIO(lines.encode()), "text/plain")}
        identifier = self.post("/api/v1/files/", files=file).json()["id"]
        end = time.monotonic() + 60
        while (state := self.state(identifier)) not in ("completed", "failed") and time.monotonic() < end:
            time.sleep(0.5)
        mesh.expect(state == "completed", state)
        question = {"collection_name": f"file-{identifier}", "query": "pump serviced every months", "k": 1}
        (found,) = self.post("/api/v1/retrieval/query/doc", question).json()["documents"][0]
        mesh.expect("pump" in found or "months" in found, found)
        return found

    def state(self, identifier):
        return self.client.get(f"/api/v1/files/{identifier}/process/status").json()["status"]

    def picture(self):
        url = f"data:image/png;base64,{mesh.PICTURE}"
        parts = [{"type": "text", "text": mesh.ASK_ABOUT_PICTURE}, {"type": "image_url", "image_url": {"url": url}}]
        answer = self.asked(mesh.ANY, user(parts))
        mesh.expect(mesh.SEEN in answer["content"], answer)
        return answer["content"]

    def documents(self):
        history = [user(mesh.FIRST_QUESTION), {"role": "assistant", "content": mesh.FIRST_ANSWER}]
        answer = self.asked(mesh.DOCUMENTS, *history, user(mesh.FOLLOW_UP))
        mesh.expect(mesh.FOUND in answer["content"], answer)
        return answer["content"]

    def wrong_key(self):
        """Its test of a connection passes on what the platform says."""
        answer = self.client.post("/openai/verify", json={"url": mesh.BASE_URL, "key": mesh.WRONG_KEY})
        mesh.expect(answer.status_code == 401 and answer.json()["error"]["message"], answer.text)
        return answer.text

    def images(self):
        made = self.post("/api/v1/images/generations", {"prompt": "a red square"}).json()
        mesh.expect(made and made[0]["url"], made)
        return made


with running() as client:
    page = Page(client)
    mesh.run(
        {
            "models": page.models,
            "chat": page.chat,
            "stream": page.stream,
            "tools": page.tools,
            "embeddings": page.embeddings,
            "picture": page.picture,
            "documents": page.documents,
            "wrong_key": page.wrong_key,
            "images": page.images,
        }
    )

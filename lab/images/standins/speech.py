"""speaches: `uvicorn --factory speaches.main:create_app`, OpenAI's audio API. It hears nothing and produces silence.

What it refuses is from speaches-ai/speaches v0.9.0-rc.3: `src/speaches/routers/{stt,speech,models,utils}.py` (a model
must be named, and there), `dependencies.py` (key, sound) and `model_aliases.py` (a file in the working directory).
Models are fetched at once where the hub may be asked at all; without it only those that were there.
"""

from __future__ import annotations

import io
import json
import os
import wave
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from lab.images.standins.common import Answer, Refused, Request, Service, same, secret, wait

RATE = 16000
ALIASES: Final = {
    "tts-1": "speaches-ai/Kokoro-82M-v1.0-ONNX",
    "tts-1-hd": "speaches-ai/Kokoro-82M-v1.0-ONNX",
    "whisper-1": "Systran/faster-whisper-large-v3",
}
"""Of the image."""


def silence(text: str) -> bytes:
    """As long as the text would take to say."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(RATE)
        sound.writeframes(b"\0\0" * (RATE // 10) * max(1, len(text.split())))
    return buffer.getvalue()


def missing(name: str) -> Refused:
    """A field that the request lacks."""
    return Refused(422, "", {"detail": [{"loc": ["body", name], "msg": "Field required", "type": "missing"}]})


class Models:
    """The models that exist, by name and alias."""

    def __init__(self, names: Iterable[str], aliases: Mapping[str, str]) -> None:
        self._there, self._aliases = dict.fromkeys(names), aliases

    def listed(self) -> dict[str, Any]:
        """The answer of `GET /v1/models`."""
        return {"object": "list", "data": [{"id": name, "object": "model"} for name in self._there]}

    def fetched(self, asked: str) -> Answer:
        """As if it had been downloaded."""
        name = self._aliases.get(asked, asked)
        if "/" not in name:
            raise Refused(404, "", {"detail": f"Model '{name}' not found"})
        words = f"Model '{name}' already exists" if name in self._there else f"Model '{name}' downloaded"
        self._there[name] = None
        return Answer(words, type="text/plain")

    def known(self, asked: Any) -> None:
        """Refuse a request for a model that is not there."""
        if not isinstance(asked, str) or not asked:
            raise missing("model")
        name = self._aliases.get(asked, asked)
        if name not in self._there:
            words = f"Model '{name}' is not installed locally. You can download the model using `POST /v1/models`"
            raise Refused(404, "", {"detail": words})


def make(key: str, models: Iterable[str] = (), aliases: Mapping[str, str] = ALIASES) -> Service:
    """The server with these models; `POST /v1/models/` adds one, as if it had been downloaded."""
    service = Service("whisper")
    there = Models(models, aliases)

    def guard(request: Request) -> None:
        if request.path in ("/health", "/docs") or same(request.bearer(), key):
            return
        words = "API key required. Please provide an API key using the Authorization header with Bearer scheme."
        given = "Invalid API key. The provided API key is incorrect."
        raise Refused(403, "", {"detail": given if request.bearer() else words})

    service.guard = guard
    service.route("GET", "/health")(lambda _: Answer("OK", type="text/plain"))
    service.route("GET", "/v1/models")(lambda _: there.listed())
    service.route("POST", "/v1/models/{model*}")(lambda request: there.fetched(request.groups["model"]))

    @service.route("POST", "/v1/audio/transcriptions")
    def _(request: Request) -> Any:
        parts = request.files()
        if "file" not in parts:
            raise missing("file")
        there.known(parts.get("model", b"").decode())
        if not parts["file"]:
            raise Refused(400, "", {"detail": "Failed to decode audio. The provided file is likely empty."})
        text = f"(stand-in) {len(parts['file'])} bytes of sound"
        if parts.get("response_format", b"json") == b"text":
            return Answer(text, type="text/plain")
        return {"text": text}

    @service.route("POST", "/v1/audio/speech")
    def _(request: Request) -> Answer:
        asked = request.json()
        there.known(asked.get("model"))
        for name in ("input", "voice"):
            if not isinstance(asked.get(name), str):
                raise missing(name)
        said = asked["input"]
        return Answer(silence(said), type="audio/wav")

    return service


def main() -> None:
    """`uvicorn`."""
    # The program fails at the first request without the file.
    aliases = json.loads(Path("model_aliases.json").read_text())
    service = make(secret("API_KEY"), aliases=aliases)
    service.start(int(os.environ.get("UVICORN_PORT", "8000")), os.environ.get("UVICORN_HOST", "127.0.0.1"))
    wait()


if __name__ == "__main__":
    main()

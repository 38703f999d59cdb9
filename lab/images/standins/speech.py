"""speaches: `uvicorn --factory speaches.main:create_app`, OpenAI's audio API. It hears nothing and speaks silence."""

from __future__ import annotations

import io
import os
import wave
from typing import Any

from lab.images.standins.common import Answer, Refused, Request, Service, same, secret, wait

RATE = 16000


def silence(text: str) -> bytes:
    """As long as the text would take to say."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(RATE)
        sound.writeframes(b"\0\0" * (RATE // 10) * max(1, len(text.split())))
    return buffer.getvalue()


def make(key: str) -> Service:
    """The server."""
    service = Service("whisper")

    def guard(request: Request) -> None:
        if request.path not in ("/health", "/docs") and not same(request.bearer(), key):
            raise Refused(403, "", {"detail": "Invalid API key"})

    service.guard = guard
    service.route("GET", "/health")(lambda _: Answer("OK", type="text/plain"))
    service.route("GET", "/v1/models")(lambda _: {"object": "list", "data": [{"id": "whisper", "object": "model"}]})

    @service.route("POST", "/v1/audio/transcriptions")
    def _(request: Request) -> Any:
        parts = request.files()
        if "file" not in parts:
            raise Refused(422, "", {"detail": "file: field required"})
        text = f"(stand-in) {len(parts['file'])} bytes of sound"
        if parts.get("response_format", b"json") == b"text":
            return Answer(text, type="text/plain")
        return {"text": text}

    @service.route("POST", "/v1/audio/speech")
    def _(request: Request) -> Answer:
        said = str(request.json().get("input", ""))
        if not said:
            raise Refused(422, "", {"detail": "input: field required"})
        return Answer(silence(said), type="audio/wav")

    return service


def main() -> None:
    """`uvicorn`."""
    service = make(secret("API_KEY"))
    service.start(int(os.environ.get("UVICORN_PORT", "8000")), os.environ.get("UVICORN_HOST", "127.0.0.1"))
    wait()


if __name__ == "__main__":
    main()

"""speaches: `uvicorn --factory speaches.main:create_app`, OpenAI's audio API. It hears nothing and produces silence.

What it refuses, and in which order, is from speaches-ai/speaches v0.9.0-rc.3: `src/speaches/routers/{stt,speech,models,
utils}.py`, `dependencies.py` (key, sound), `api_types.py` (formats), `executors/kokoro.py` (voices) and
`model_aliases.py` (a file in the working directory). tests/contracts/upstream/whisper.yaml has the same, and a test
holds this module against it. Models are "downloaded" at once, of the kinds that the program searches the hub for.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from lab.images.standins import sound
from lab.images.standins.common import EVENTS, Answer, Refused, Request, Service, events, now, same, secret, wait

ALIASES: Final = {
    "tts-1": "speaches-ai/Kokoro-82M-v1.0-ONNX",
    "tts-1-hd": "speaches-ai/Kokoro-82M-v1.0-ONNX",
    "whisper-1": "Systran/faster-whisper-large-v3",
}
"""Of the image."""
TRANSCRIPTS: Final = ("text", "json", "verbose_json", "srt", "vtt")
RATES: Final = (8000, 48000)
HEARS: Final = "automatic-speech-recognition"
SPEAKS: Final = "text-to-speech"
KINDS: Final = {"whisper": HEARS, "parakeet": HEARS, "kokoro": SPEAKS, "piper": SPEAKS}
"""What the program runs, told from a model's name here and from its card on the hub there; vad and voice prints left
out."""
TRANSLATES: Final = ("whisper",)


def kind_of(model: str) -> str:
    """The key in `KINDS` of a model; empty where the program runs no such model."""
    name = model.lower()
    return next((kind for kind in KINDS if kind in name), "") if "/" in name else ""


def invalid(*faults: tuple[str, str, str]) -> Refused:
    """FastAPI's answer to fields that are missing or wrong: (name, type, words) of each."""
    detail = [{"type": kind, "loc": ["body", name], "msg": words} for name, kind, words in faults]
    return Refused(422, "", {"detail": detail})


def missing(name: str) -> tuple[str, str, str]:
    """The fault of a field that the request lacks."""
    return name, "missing", "Field required"


def choice(name: str, value: Any, allowed: tuple[str, ...]) -> list[tuple[str, str, str]]:
    """The fault of a value that is none of those allowed."""
    if value in allowed:
        return []
    *most, last = (f"'{each}'" for each in allowed)
    return [(name, "literal_error", f"Input should be {', '.join(most)} or {last}")]


def not_found(words: str) -> Refused:
    """A 404 in FastAPI's form."""
    return Refused(404, "", {"detail": words})


class Models:
    """The models that are there, by name and alias."""

    def __init__(self, names: Iterable[str], aliases: Mapping[str, str]) -> None:
        self._there, self._aliases = dict.fromkeys(names, now()), aliases

    def resolved(self, asked: str) -> str:
        """An alias' model."""
        return self._aliases.get(asked, asked)

    def listed(self, task: str = "") -> list[dict[str, Any]]:
        """As `GET /v1/models` has them; aliases are none of them."""
        found = []
        for name, since in self._there.items():
            kind = kind_of(name)
            entry: dict[str, Any] = {"id": name, "created": since, "object": "model", "owned_by": name.split("/")[0]}
            entry |= {"language": ["en"], "task": KINDS.get(kind, HEARS)}
            if kind == "kokoro":
                entry |= {"sample_rate": sound.RATE, "voices": [{"name": voice, "id": voice} for voice in sound.VOICES]}
            if task in ("", entry["task"]):
                found.append(entry)
        return found

    def one(self, asked: str) -> dict[str, Any]:
        """The answer of `GET /v1/models/{model}`."""
        name = self.resolved(asked)
        for entry in self.listed():
            if entry["id"] == name:
                return entry
        raise not_found(f"Model '{name}' not found")

    def fetched(self, asked: str) -> Answer:
        """As if it had been downloaded."""
        name = self.resolved(asked)
        if not kind_of(name):
            raise not_found(f"Model '{name}' not found")
        if name in self._there:
            return Answer(f"Model '{name}' already exists", 201, "text/plain")
        self._there[name] = now()
        return Answer(f"Model '{name}' downloaded", type="text/plain")

    def dropped(self, asked: str) -> Answer:
        """The answer of `DELETE /v1/models/{model}`."""
        name = self.resolved(asked)
        if self._there.pop(name, None) is None:
            raise not_found(f"Model '{name}' not found")
        return Answer({"detail": f"Model '{name}' deleted"})

    def usable(self, asked: str, kinds: Iterable[str]) -> str:
        """The kind of a model that a request names; refused where it is not there, or of no kind that can do this."""
        name = self.resolved(asked)
        if name not in self._there:
            words = f"Model '{name}' is not installed locally. You can download the model using `POST /v1/models`"
            raise not_found(words)
        if kind_of(name) not in kinds:
            words = f"Model '{name}' is not supported. If you think this is a mistake, please open an issue."
            raise not_found(words)
        return kind_of(name)


def heard(request: Request, models: Models, kinds: Iterable[str]) -> Answer:
    """A transcription or translation: the file is read before the other fields are looked at."""
    parts = request.parts()
    fields = {name: part.text() for name, part in parts.items() if part.filename is None}
    faults = []
    if "file" not in parts:
        faults.append(missing("file"))
    elif parts["file"].filename is None:
        faults.append(("file", "value_error", "Value error, Expected UploadFile, received: <class 'str'>"))
    else:
        seconds = sound.seconds(parts["file"])
    if "model" not in fields:
        faults.append(missing("model"))
    elif not fields["model"]:
        faults.append(("model", "too_short", "Value should have at least 1 item after validation, not 0"))
    form = fields.get("response_format", "json")
    faults += choice("response_format", form, TRANSCRIPTS)
    if faults:
        raise invalid(*faults)
    models.usable(fields["model"], kinds)
    text = f"(stand-in) {len(parts['file'].content)} bytes of sound"
    if fields.get("stream", "").lower() in ("1", "true", "on", "yes"):
        said = [{"type": "transcript.text.delta", "delta": text}, {"type": "transcript.text.done", "text": text}]
        return Answer(events(said, end=False), type=EVENTS)
    return sound.transcript(text, seconds, form)


def spoken(asked: Any, models: Models) -> Answer:
    """Speech; a voice that the model lacks fails while the answer is sent: status 200, and the body is cut."""
    if not isinstance(asked, dict):
        raise Refused(422, "", {"detail": [{"loc": ["body"], "msg": "Input should be a valid dictionary"}]})
    faults = []
    for name in ("model", "input", "voice"):
        if name not in asked:
            faults.append(missing(name))
        elif not isinstance(asked[name], str):
            faults.append((name, "string_type", "Input should be a valid string"))
    form = asked.get("response_format", sound.DEFAULT_FORMAT)
    faults += choice("response_format", form, tuple(sound.TYPES))
    stream = asked.get("stream_format", "audio")
    faults += choice("stream_format", stream, ("audio", "sse"))
    rate = asked.get("sample_rate")
    if rate is not None and rate < RATES[0]:
        faults.append(("sample_rate", "greater_than_equal", f"Input should be greater than or equal to {RATES[0]}"))
    if rate is not None and rate > RATES[1]:
        faults.append(("sample_rate", "less_than_equal", f"Input should be less than or equal to {RATES[1]}"))
    if faults:
        raise invalid(*faults)
    kind = models.usable(asked["model"], [kind for kind, task in KINDS.items() if task == SPEAKS])
    blocks = sound.made(kind, asked["input"], asked["voice"], float(asked.get("speed", 1.0)))
    if stream == "sse":
        return Answer(events(sound.deltas(blocks), end=False), type=EVENTS)
    return Answer(sound.encoded(blocks, form, rate or sound.RATE), type=sound.TYPES[form])


def make(key: str, models: Iterable[str] = (), aliases: Mapping[str, str] = ALIASES) -> Service:
    """The server with these models; `POST /v1/models/{model}` adds one, as if it had been downloaded."""
    service = Service("whisper")
    service.error_key = "detail"
    there = Models(models, aliases)

    def guard(request: Request) -> None:
        if request.path in ("/health", "/docs", "/openapi.json") or same(request.bearer(), key):
            return
        words = "API key required. Please provide an API key using the Authorization header with Bearer scheme."
        given = "Invalid API key. The provided API key is incorrect."
        headers = {"WWW-Authenticate": "Bearer"}
        raise Refused(403, "", {"detail": given if request.bearer() else words}, headers)

    service.guard = guard
    service.route("GET", "/health")(lambda _: {"message": "OK"})
    service.route("GET", "/v1/models")(lambda r: {"data": there.listed(r.query.get("task", "")), "object": "list"})
    service.route("GET", "/v1/audio/models")(lambda _: {"models": there.listed(SPEAKS), "object": "list"})
    service.route("GET", "/v1/audio/voices")(
        lambda _: {"voices": [v for m in there.listed(SPEAKS) for v in m.get("voices", ())], "object": "list"}
    )
    service.route("GET", "/v1/models/{model*}")(lambda request: there.one(request.groups["model"]))
    service.route("POST", "/v1/models/{model*}")(lambda request: there.fetched(request.groups["model"]))
    service.route("DELETE", "/v1/models/{model*}")(lambda request: there.dropped(request.groups["model"]))
    hears = [kind for kind, task in KINDS.items() if task == HEARS]
    service.route("POST", "/v1/audio/transcriptions")(lambda request: heard(request, there, hears))
    service.route("POST", "/v1/audio/translations")(lambda request: heard(request, there, TRANSLATES))

    @service.route("POST", "/v1/audio/speech")
    def _(request: Request) -> Answer:
        try:
            asked = json.loads(request.body)
        except ValueError:
            raise Refused(422, "", {"detail": [{"type": "json_invalid", "msg": "JSON decode error"}]}) from None
        return spoken(asked, there)

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

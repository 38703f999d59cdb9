"""The stand-in of speaches refuses what tests/contracts/upstream/whisper.yaml says, and speaks and hears otherwise."""

import http.client
import io
import json
import wave
from collections.abc import Callable

import pytest

from lab.images.standins import sound, speech
from lab.images.standins.common import Service
from render.models import OPENAI_HEARS, OPENAI_SPEAKS, audio_aliases, audio_voices
from tests.contracts.upstream_facts import Fact, read
from tests.lab.images.conftest import Client
from tests.unit.samples import settings

UPSTREAM = read("whisper")
HEARS, SPEAKS, NEMO = "Systran/faster-whisper-small", "speaches-ai/Kokoro-82M-v1.0-ONNX", "istupakov/parakeet-tdt-onnx"
TRANSCRIBE, TRANSLATE, SPEECH = "/v1/audio/transcriptions", "/v1/audio/translations", "/v1/audio/speech"
WORDS = {"input": "two words", "model": SPEAKS, "voice": "af_heart", "response_format": "wav"}


def silence() -> bytes:
    """A second of sound."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(bytes(32000))
    return buffer.getvalue()


SOUND = silence()


def form(
    content: bytes = SOUND,
    /,
    *,
    filename: str | None = "a.wav",
    kind: str = "audio/wav",
    name: str = "file",
    **fields: str,
) -> tuple[bytes, dict[str, str]]:
    """Body and headers of a form with one file."""
    given = f'; filename="{filename}"\r\nContent-Type: {kind}' if filename is not None else ""
    parts = [f'Content-Disposition: form-data; name="{name}"{given}\r\n\r\n'.encode() + content]
    parts += [f'Content-Disposition: form-data; name="{n}"\r\n\r\n{v}'.encode() for n, v in fields.items()]
    body = b"".join(b"--b\r\n" + part + b"\r\n" for part in parts) + b"--b--\r\n"
    return body, {"content-type": "multipart/form-data; boundary=b"}


@pytest.fixture
def client(serve: Callable[[Service], Client]) -> Client:
    return serve(speech.make("k", [HEARS, SPEAKS, NEMO], {"whisper-1": HEARS, "tts-1": SPEAKS}))


Ask = Callable[[Client], tuple[int, object]]


def transcribe(*, path: str = TRANSCRIBE, key: str = "k", **more: object) -> Ask:
    return lambda client: client.ask("POST", path, *form(**more), key=key)  # type: ignore[arg-type]


def sent(content: bytes, **more: object) -> Ask:
    return lambda client: client.ask("POST", TRANSCRIBE, *form(content, model=HEARS, **more), key="k")  # type: ignore[arg-type]


def speak(*, without: str = "", **more: object) -> Ask:
    body = {name: value for name, value in {**WORDS, **more}.items() if name != without}
    return lambda client: client.ask("POST", SPEECH, body, key="k")


EXAMPLES: dict[str, Ask] = {
    "no key": transcribe(key="", model=HEARS),
    "a wrong key": transcribe(key="x", model=HEARS),
    "no file": sent(SOUND, name="sound"),
    "a file without a name": sent(b"x", filename=None),
    "an empty file": sent(b""),
    "a file that is no sound": sent(b"good morning"),
    "a transcription without a model": transcribe(),
    "an unknown format of a transcription": transcribe(model=HEARS, response_format="docx"),
    "a model that is not there": transcribe(model="Systran/faster-whisper-tiny"),
    "a transcription by a model that speaks": transcribe(model=SPEAKS),
    "a translation by a model that only transcribes": transcribe(path=TRANSLATE, model=NEMO),
    "speech by a model that hears": speak(model=HEARS),
    "speech without a voice": speak(without="voice"),
    "speech with a number for a text": speak(input=3),
    "an unknown format of speech": speak(response_format="wma"),
    "a sample rate that is too low": speak(sample_rate=7999),
    "a sample rate that is too high": speak(sample_rate=48001),
    "a download of a model of no kind that it runs": lambda c: c.ask("POST", "/v1/models/org/stt", key="k"),
    "a look at a model that is not there": lambda c: c.ask("GET", "/v1/models/Systran/faster-whisper-tiny", key="k"),
}


@pytest.mark.parametrize("fact", UPSTREAM.refuses, ids=lambda fact: fact.get("what"))
def test_what_the_program_refuses_is_refused(client: Client, fact: Fact) -> None:
    status, answer = EXAMPLES[fact.get("what")](client)
    assert (status, fact.get("says") in str(answer)) == (fact.get("status"), True), answer


def test_its_tables_are_those_of_upstream_s_file() -> None:
    assert list(speech.TRANSCRIPTS) == UPSTREAM.limit("formats of a transcription")
    assert list(sound.TYPES) == UPSTREAM.limit("formats of speech")
    assert UPSTREAM.limit("default format of speech") == sound.DEFAULT_FORMAT
    assert speech.RATES[0] == UPSTREAM.limit("lowest sample rate of speech")
    assert speech.RATES[1] == UPSTREAM.limit("highest sample rate of speech")
    assert sound.SPEEDS["kokoro"] == (
        UPSTREAM.limit("lowest speed of Kokoro"),
        UPSTREAM.limit("highest speed of Kokoro"),
    )
    assert list(sound.OPENAI_VOICES) == UPSTREAM.limit("names of OpenAI's voices that Kokoro replaces")
    assert list(sound.VOICES) == UPSTREAM.limit("voices of Kokoro")
    assert UPSTREAM.limit("aliases of the image") == speech.ALIASES


def test_ours_are_voices_that_it_has() -> None:
    assert set(audio_voices(settings("thanos")).values()) <= set(sound.VOICES)


def test_health_wants_no_key(client: Client) -> None:
    assert client.ask("GET", "/health") == (200, {"message": "OK"})


@pytest.mark.parametrize(
    ("wanted", "said"),
    [("text", "(stand-in)"), ("srt", "1\n00:00:00,000 --> 00:00:01,"), ("vtt", "WEBVTT\n\n00:00:00.000 --> 00:00:01.")],
)
def test_a_transcription_in_the_form_that_is_asked_for(client: Client, wanted: str, said: str) -> None:
    status, text = client.ask("POST", TRANSCRIBE, *form(model="whisper-1", response_format=wanted), key="k")
    assert (status, text.startswith(said)) == (200, True), text


def test_a_transcription_as_json_and_as_a_stream(client: Client) -> None:
    assert "44 bytes" in client.ask("POST", TRANSCRIBE, *form(SOUND[:44], model=HEARS), key="k")[1]["text"]
    answer = client.ask("POST", TRANSCRIBE, *form(model=HEARS, response_format="verbose_json"), key="k")[1]
    assert answer["segments"][0]["text"] == answer["text"]
    _, content, kind = client.raw("POST", TRANSCRIBE, *form(model=HEARS, stream="true"), key="k")
    assert kind == "text/event-stream"
    assert content.count(b"data: ") == 2
    raw = form(bytes(64), model=HEARS, kind="audio/pcm", filename="a.pcm")
    assert client.ask("POST", TRANSCRIBE, *raw, key="k")[0] == 200


@pytest.mark.parametrize(
    ("wanted", "begins"), [("wav", b"RIFF"), ("mp3", b"\xff\xfb"), ("pcm", b"\0\0"), (None, b"\xff\xfb")]
)
def test_speech_in_the_format_that_is_asked_for(client: Client, wanted: str | None, begins: bytes) -> None:
    body = {name: value for name, value in {**WORDS, "response_format": wanted}.items() if value}
    status, content, kind = client.raw("POST", SPEECH, body, key="k")
    assert (status, content[: len(begins)], kind) == (200, begins, sound.TYPES[wanted or "mp3"])


@pytest.mark.parametrize("change", [{"voice": "nobody"}, {"speed": 0.4}, {"speed": 2.1}])
def test_a_voice_or_speed_that_kokoro_lacks_cuts_the_answer(client: Client, change: dict[str, object]) -> None:
    """As there: the status has gone out before the model is asked."""
    with pytest.raises(http.client.IncompleteRead):
        client.raw("POST", SPEECH, {**WORDS, **change}, key="k")
    assert client.ask("POST", SPEECH, {**WORDS, "voice": "alloy"}, key="k")[0] == 200


def test_models_are_downloaded_listed_and_deleted(client: Client) -> None:
    name = "/v1/models/Systran/faster-whisper-tiny"
    assert client.raw("POST", name, key="k")[:2] == (200, b"Model 'Systran/faster-whisper-tiny' downloaded")
    assert client.raw("POST", name, key="k")[0] == 201
    assert client.ask("GET", name, key="k")[1]["task"] == "automatic-speech-recognition"
    listed = client.ask("GET", "/v1/models?task=text-to-speech", key="k")[1]["data"]
    assert [entry["id"] for entry in listed] == [SPEAKS]
    assert "whisper-1" not in str(client.ask("GET", "/v1/models", key="k")[1])
    assert len(client.ask("GET", "/v1/audio/voices", key="k")[1]["voices"]) == len(sound.VOICES)
    assert client.ask("DELETE", name, key="k")[0] == 200
    assert client.ask("GET", name, key="k")[0] == 404


def test_openai_s_names_of_models_lead_to_the_configured_ones(serve: Callable[[Service], Client]) -> None:
    given = settings("thanos")
    names = json.loads(audio_aliases(given))
    models = given.models
    client = serve(speech.make("k", [models.speech_to_text, models.text_to_speech], names))
    for name in OPENAI_HEARS:
        body, headers = form(model=name)
        for path in (TRANSCRIBE, TRANSLATE):
            assert client.raw("POST", path, body, headers, key="k")[0] == 200
    for name in OPENAI_SPEAKS:
        assert client.raw("POST", SPEECH, {**WORDS, "model": name}, key="k")[0] == 200

"""What the stand-in of speaches takes for sound, and the silence that it makes.

Formats, voices and speeds are from speaches-ai/speaches v0.9.0-rc.3: `src/speaches/api_types.py`, `dependencies.py`,
`executors/kokoro.py`, `executors/piper.py` and `executors/whisper.py` (forms of a transcription).
"""

from __future__ import annotations

import base64
import io
import wave
from collections.abc import Iterable, Iterator
from typing import Any, Final

from lab.images.standins.common import Answer, CutError, Part, Refused

RATE: Final = 24000
"""Kokoro's."""
TYPES: Final = {
    "pcm": "audio/pcm",
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "flac": "audio/flac",
    "opus": "audio/opus",
    "aac": "audio/aac",
}
DEFAULT_FORMAT: Final = "mp3"
MADE: Final = ("pcm", "mp3", "wav")
"""The others want an encoder, which the stand-in has not."""
SPEEDS: Final = {"kokoro": (0.5, 2.0), "piper": (0.25, 4.0)}
OPENAI_VOICES: Final = ("alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse")
"""Kokoro speaks with its first voice instead."""
VOICES: Final = (
    *("af_heart", "af_alloy", "af_aoede", "af_bella", "af_jessica", "af_kore", "af_nicole", "af_nova", "af_river"),
    *("af_sarah", "af_sky", "am_adam", "am_echo", "am_eric", "am_fenrir", "am_liam", "am_michael", "am_onyx"),
    *("am_puck", "am_santa", "bf_alice", "bf_emma", "bf_isabella", "bf_lily", "bm_daniel", "bm_fable", "bm_george"),
    *("bm_lewis", "jf_alpha", "jf_gongitsune", "jf_nezumi", "jf_tebukuro", "jm_kumo", "zf_xiaobei", "zf_xiaoni"),
    *("zf_xiaoxiao", "zf_xiaoyi", "zm_yunjian", "zm_yunxi", "zm_yunxia", "zm_yunyang", "ef_dora", "em_alex"),
    *("em_santa", "ff_siwis", "hf_alpha", "hf_beta", "hm_omega", "hm_psi", "if_sara", "im_nicola", "pf_dora"),
    *("pm_alex", "pm_santa"),
)
_RAW: Final = ("audio/pcm", "audio/raw")
_BEGINNINGS: Final = (b"RIFF", b"ID3", b"fLaC", b"OggS", b"\x1aE\xdf\xa3", b".snd", b"FORM", b"caff")
_MP3_FRAME: Final = b"\xff\xfb\x90\xc4" + bytes(413)
"""26 ms of silence: MPEG-1 layer III, 128 kbit/s, 44.1 kHz, one channel, nothing in its main data."""
_FRAMES_A_SECOND: Final = 38


def seconds(file: Part) -> float:
    """About how long a file plays; refused where FFmpeg would know no sound in it."""
    if file.type in _RAW:
        return len(file.content) / 32000
    if not file.content:
        raise Refused(400, "", {"detail": "Failed to decode audio. The provided file is likely empty."})
    begins = file.content.startswith(_BEGINNINGS) or file.content[4:8] == b"ftyp"
    frame = file.content[0] == 0xFF and len(file.content) > 1 and file.content[1] & 0xE0 == 0xE0
    if not begins and not frame:
        raise Refused(415, "", {"detail": "Failed to decode audio. The provided file type is not supported."})
    return len(file.content) / 32000


def transcript(text: str, length: float, form: str) -> Answer:
    """A text in one of the forms of a transcription."""
    span = f"{_clock(0)} --> {_clock(length)}\n{text}\n\n"
    if form == "text":
        return Answer(text, type="text/plain; charset=utf-8")
    if form == "srt":
        return Answer("1\n" + span.replace(".", ",", 2), type="text/plain; charset=utf-8")
    if form == "vtt":
        return Answer("WEBVTT\n\n" + span, type="text/vtt; charset=utf-8")
    if form == "json":
        return Answer({"text": text})
    segment = {"id": 1, "seek": 0, "start": 0.0, "end": length, "text": text, "tokens": [], "temperature": 0.0}
    segment |= {"avg_logprob": 0.0, "compression_ratio": 1.0, "no_speech_prob": 0.0}
    return Answer({"language": "en", "duration": length, "text": text, "segments": [segment], "words": None})


def made(kind: str, text: str, voice: str, speed: float) -> Iterator[bytes]:
    """Silence of 16 bits, as long as the text would take to say.

    Raises:
        CutError: the model has no such voice or speed; it is raised when the first block is asked for.

    """
    low, high = SPEEDS[kind]
    if not low <= speed <= high or (kind == "kokoro" and voice not in (*VOICES, *OPENAI_VOICES)):
        raise CutError
    for _ in range(max(1, len(text.split()))):
        yield bytes(2 * int(RATE / 10 / speed))


def encoded(blocks: Iterable[bytes], form: str, rate: int) -> Iterable[bytes]:
    """Silence in a format; `rate` in Hz."""
    if form not in MADE:
        raise Refused(501, "", {"detail": f"the stand-in has no encoder for {form}"})
    return _encoded(blocks, form, rate)


def _encoded(blocks: Iterable[bytes], form: str, rate: int) -> Iterator[bytes]:
    if form == "pcm":
        for block in blocks:
            yield bytes(2 * (len(block) // 2 * rate // RATE))
        return
    samples = sum(len(block) // 2 for block in blocks)
    if form == "mp3":
        yield _MP3_FRAME * max(1, samples * _FRAMES_A_SECOND // RATE)
        return
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(bytes(2 * (samples * rate // RATE)))
    yield buffer.getvalue()


def deltas(blocks: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The events of `stream_format: sse`."""
    for block in blocks:
        yield {"type": "speech.audio.delta", "audio": base64.b64encode(block).decode()}
    usage = dict.fromkeys(("input_tokens", "output_tokens", "total_tokens"), 0)
    yield {"type": "speech.audio.done", "token_usage": usage}


def _clock(length: float) -> str:
    whole, rest = divmod(round(length * 1000), 1000)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}.{rest:03d}"

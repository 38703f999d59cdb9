"""Arguments and files of the model servers, except vLLM (`render.vllm`)."""

import json
from collections.abc import Mapping
from typing import Final

from settings import Settings
from settings.embeddings import TOKENIZERS, batch_tokens
from topology.model import Service

OPENAI_INPUTS: Final = 2048
"""The most texts in one request, as in OpenAI's API."""
_KOKORO: Final[Mapping[str, str]] = {
    "alloy": "af_alloy",
    "ash": "am_michael",
    "ballad": "bm_george",
    "cedar": "am_adam",
    "coral": "af_bella",
    "echo": "am_echo",
    "fable": "bm_fable",
    "marin": "af_heart",
    "nova": "af_nova",
    "onyx": "am_onyx",
    "sage": "af_sarah",
    "shimmer": "af_sky",
    "verse": "am_puck",
}
OPENAI_HEARS: Final = (
    "whisper-1",
    "gpt-transcribe",
    "gpt-4o-transcribe",
    "gpt-4o-mini-transcribe",
    "gpt-4o-mini-transcribe-2025-12-15",
)
"""OpenAI's models of transcriptions, without the one that tells speakers apart, which none here does."""
OPENAI_SPEAKS: Final = ("tts-1", "tts-1-hd", "gpt-4o-mini-tts", "gpt-4o-mini-tts-2025-12-15")
_REQUEST_BYTES: Final = 32 * 1024 * 1024
"""The largest request body, as in the model proxy."""


def embeddings_command(settings: Settings, service: Service) -> list[str]:
    """Arguments of Text Embeddings Inference: requests as large as OpenAI's, split into batches that fit the memory.

    Raises:
        ValueError: the model's shape is not known. The settings reject that earlier.

    """
    shape = settings.models.shape_of_embedding()
    if shape is None:
        raise ValueError(f"{settings.models.embedding} is not known and has no models.embeddingShape")
    arguments = {
        # Docker sets HOSTNAME, which the server would otherwise bind.
        "hostname": "0.0.0.0",
        "port": service.port("api").app_port,
        "model-id": settings.models.embedding,
        "max-batch-tokens": batch_tokens(shape, service, settings.gpu_shares),
        "max-client-batch-size": OPENAI_INPUTS,
        # Each text of a request counts as one; a request that exceeds what is left is rejected as a whole.
        "max-concurrent-requests": 2 * OPENAI_INPUTS,
        # Otherwise one text over the model's or the batch's length makes the whole request fail.
        "auto-truncate": "true",
        "payload-limit": _REQUEST_BYTES,
        "tokenization-workers": TOKENIZERS,
    }
    return [word for name, value in arguments.items() for word in (f"--{name}", str(value))]


def audio_aliases(settings: Settings) -> str:
    """JSON: OpenAI's names of audio models -> ours, so that OpenAI clients work unchanged."""
    names = {
        **dict.fromkeys(OPENAI_HEARS, settings.models.speech_to_text),
        **dict.fromkeys(OPENAI_SPEAKS, settings.models.text_to_speech),
    }
    return json.dumps(names)


def audio_voices(settings: Settings) -> Mapping[str, str]:
    """OpenAI's names of voices -> those of the model; empty: it has one, or nobody knows them.

    speaches (0.9.0-rc.3, `executors/kokoro.py`) replaces eight of them by its first voice, and breaks off the answer at
    the others.
    """
    return _KOKORO if "kokoro" in settings.models.text_to_speech.lower() else {}


def offline(settings: Settings) -> dict[str, str]:
    """Environment of the hub's client: without hosts to download from it must not try."""
    return {} if settings.model_hub else {"HF_HUB_OFFLINE": "1"}

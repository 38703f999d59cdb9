"""Who is sent to the forward proxy: the services that download models, while they may."""

import json

from components.platform.pod import forward_proxy
from render.models import audio_aliases, audio_voices
from tests.unit.program import Program
from tests.unit.samples import NETWORKS, graph_of, settings
from topology.network import FORWARD_PORT


def environment(program: Program, service: str) -> dict[str, str]:
    return dict(entry.split("=", 1) for entry in program.app(service).inputs.get("envs") or ())


def test_those_who_download_are_sent_to_their_own_sidecar_and_nobody_else(thanos: Program) -> None:
    for service in graph_of("thanos").on("thanos"):
        told = environment(thanos, service.name)
        if service.name in ("vllm", "embeddings", "whisper"):
            assert told["HTTPS_PROXY"] == f"http://{NETWORKS.pod(service.slot).sidecar}:{FORWARD_PORT}"
            # What answers in the pod itself is asked directly.
            assert told["NO_PROXY"] == "localhost,127.0.0.1"
        else:
            assert "HTTPS_PROXY" not in told, service.name
        assert not {name for name in told if name.lower() == "http_proxy"}


def test_without_a_hub_nobody_is_sent_anywhere() -> None:
    graph = graph_of("oracle1", modelHub=[])
    service = graph.service("embeddings-cpu")
    assert (service.proxied, graph.proxied("oracle1")) == ((), {})
    assert forward_proxy(service, "10.231.0.3") == {}


def test_clients_of_openai_s_audio_api_need_not_know_our_models(thanos: Program) -> None:
    models = settings("thanos").models
    names = json.loads(audio_aliases(settings("thanos")))
    assert (names["whisper-1"], names["tts-1"]) == (models.speech_to_text, models.text_to_speech)
    assert (names["gpt-4o-mini-transcribe"], names["gpt-4o-mini-tts"]) == (names["whisper-1"], names["tts-1"])
    voices = audio_voices(settings("thanos"))
    # The API's description of August 2026.
    assert {"alloy", "ash", "ballad", "coral", "echo", "fable", "nova", "onyx", "sage", "shimmer", "verse"} <= set(
        voices
    )
    assert audio_voices(settings("thanos", models={"textToSpeech": "speaches-ai/piper-en_US-amy-low"})) == {}
    # The server reads the file in its working directory.
    assert thanos.app("whisper").inputs["workingDir"] == "/config"

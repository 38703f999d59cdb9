"""What comes with the words of a chat: pictures, recordings, files and tools, through the official client."""

import base64
import json
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from qdrant_client import AsyncQdrantClient

from tests.services.agents.conftest import KEY, SERVICE, serving
from tests.services.agents.made import SCANNED
from tests.services.agents.stand_in import PNG, Say, StandIn

sys.path.insert(0, str(SERVICE))

from mesh_agents.attached.marks import attached_text, file_part, own_words, recording_part
from mesh_agents.errors import ApiError
from mesh_agents.routing.abilities import AUDIO, LINKS, TOOLS, VISION, Abilities

ABLE = {
    "vllm_local": ["tools"],
    "claude_small": ["tools", "vision"],
    "claude_sonnet": ["tools", "vision"],
    "claude_opus": ["tools", "vision"],
    "openrouter_mixtral": ["tools"],
}
TOOL: Any = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


def _b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _picture(content: bytes = PNG, media: str = "image/png") -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": f"data:{media};base64,{_b64(content)}"}}


def _recording(content: bytes = b"RIFF....WAVE", kind: str = "wav") -> dict[str, Any]:
    return {"type": "input_audio", "input_audio": {"data": _b64(content), "format": kind}}


def _file(content: bytes, name: str) -> dict[str, Any]:
    return {"type": "file", "file": {"filename": name, "file_data": f"data:;base64,{_b64(content)}"}}


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


@pytest.fixture(scope="module", params=[ABLE])
def able_url(environment: dict[str, str], vectors: AsyncQdrantClient, request: pytest.FixtureRequest) -> Iterator[str]:
    with serving({**environment, "AGENTS_ABILITIES": json.dumps(request.param)}, vectors) as url:
        yield url


@pytest.fixture
def able(able_url: str, upstream: StandIn) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{able_url}/v1", api_key=KEY, max_retries=0) as made:
        yield made


def _ask(client: openai.OpenAI, *parts: dict[str, Any], model: str = "auto", **more: Any) -> Any:
    return client.chat.completions.create(model=model, messages=[{"role": "user", "content": list(parts)}], **more)  # type: ignore[call-overload]


def _sent(upstream: StandIn) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = upstream.chats[-1]["messages"][-1]["content"]
    return content


def test_a_picture_goes_to_a_model_that_sees(able: openai.OpenAI, upstream: StandIn) -> None:
    answer = _ask(able, _text("What is in this picture?"), _picture())
    assert answer.metadata["route"] == "simple"
    assert upstream.chats[0]["model"] == answer.metadata["model"] == "claude_small"
    assert _sent(upstream)[1] == _picture()
    assert any("vision" in reason for reason in answer.metadata["reasons"])


def test_a_picture_of_an_earlier_turn_counts_too(able: openai.OpenAI, upstream: StandIn) -> None:
    messages: Any = [
        {"role": "user", "content": [_text("What is this?"), _picture()]},
        {"role": "assistant", "content": "A heron."},
        {"role": "user", "content": "thanks"},
    ]
    able.chat.completions.create(model="auto", messages=messages)
    assert upstream.chats[0]["model"] == "claude_small"


def test_a_local_model_that_sees_takes_pictures_but_no_links(
    environment: dict[str, str], vectors: AsyncQdrantClient, upstream: StandIn
) -> None:
    table = {**ABLE, "vllm_local": ["tools", "vision"]}
    linked = {"type": "image_url", "image_url": {"url": "https://example.org/heron.png"}}
    with serving({**environment, "AGENTS_ABILITIES": json.dumps(table)}, vectors) as url:
        with openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0) as client:
            _ask(client, _text("What is in this picture?"), _picture())
            _ask(client, _text("What is in this picture?"), linked)
    assert [chat["model"] for chat in upstream.chats] == ["vllm_local", "claude_small"]


def test_where_no_model_sees_the_error_says_which_setting_gives_one(client: openai.OpenAI, upstream: StandIn) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        _ask(client, _text("What is in this picture?"), _picture())
    assert (caught.value.code, caught.value.param) == ("no_able_model", "messages")
    assert "models.chat" in str(caught.value)
    assert "modelAbilities" in str(caught.value)
    assert not upstream.chats


def test_a_named_model_that_does_not_see_is_not_replaced_in_silence(able: openai.OpenAI, upstream: StandIn) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        _ask(able, _text("What is this?"), _picture(), model="vllm_local")
    assert (caught.value.code, caught.value.param) == ("model_not_able", "model")
    assert "claude_small" in str(caught.value)
    assert not upstream.chats


@pytest.mark.parametrize("media", ["image/webp", "application/octet-stream"])
def test_a_picture_is_declared_as_what_it_is(able: openai.OpenAI, upstream: StandIn, media: str) -> None:
    _ask(able, _text("What is in this picture?"), _picture(media=media))
    assert _sent(upstream)[1] == _picture()


def test_a_recording_becomes_its_transcript(able: openai.OpenAI, upstream: StandIn) -> None:
    upstream.transcript = "the shop opens at nine"
    answer = _ask(able, _text("When does the shop open?"), _recording())
    kind, name, text = attached_text(_sent(upstream)[1]) or ("", "", "")
    assert (kind, name, text) == ("recording", "recording-1.wav", "the shop opens at nine")
    told = answer.metadata["attachments"]
    assert told == [{"name": name, "type": "input_audio", "became": "transcript", "text": text}]
    assert answer.metadata["route"] == "simple"


def test_what_is_said_decides_where_nothing_is_written(able: openai.OpenAI, upstream: StandIn) -> None:
    upstream.transcript = "write a python function that reverses a linked list"
    assert _ask(able, _recording(b"RIFF said WAVE")).metadata["route"] == "code"


def test_a_named_model_that_hears_gets_the_recording(
    environment: dict[str, str], vectors: AsyncQdrantClient, upstream: StandIn
) -> None:
    table = {**ABLE, "vllm_local": ["audio"]}
    with serving({**environment, "AGENTS_ABILITIES": json.dumps(table)}, vectors) as url:
        with openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0) as client:
            _ask(client, _recording(), model="vllm_local")
    assert _sent(upstream) == [_recording()]


def test_the_speech_service_s_failure_is_the_answer(able: openai.OpenAI, upstream: StandIn) -> None:
    upstream.raw["/v1/audio/transcriptions"] = b"{}"
    with pytest.raises(openai.InternalServerError) as caught:
        _ask(able, _text("What does she say?"), _recording(b"RIFF nobody WAVE"))
    assert caught.value.status_code == 502
    assert "speech service" in str(caught.value)
    assert not upstream.chats


def test_what_is_no_recording_is_the_caller_s_error(able: openai.OpenAI, upstream: StandIn) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        _ask(able, _text("What does she say?"), _recording(b"no sound"))
    assert caught.value.code == "invalid_attachment"
    assert "recording-1.wav" in str(caught.value)


def test_a_recording_is_transcribed_once_for_a_whole_conversation(able: openai.OpenAI, upstream: StandIn) -> None:
    first = [_text("What does she want?"), _recording(b"RIFF once WAVE")]
    upstream.transcript = "forty chairs"
    _ask(able, *first)
    upstream.transcript = "something else"
    _ask(able, *first)
    assert attached_text(_sent(upstream)[1]) == ("recording", "recording-1.wav", "forty chairs")


def test_the_text_of_a_file_takes_its_place(able: openai.OpenAI, upstream: StandIn) -> None:
    page = b"<!doctype html><script>x</script><p>Notice: three months</p>"
    parts = (_text("Summarise the attached files."), _file(b"rent: 900", "lease.txt"), _file(page, "a/b c.html"))
    answer = _ask(able, *parts, model="simple")
    assert [attached_text(part) for part in _sent(upstream)[1:]] == [
        ("file", "lease.txt", "rent: 900"),
        ("file", "a_b c.html", "Notice: three months"),
    ]
    assert [told["became"] for told in answer.metadata["attachments"]] == ["text", "text"]


def test_a_scanned_file_is_read_by_the_document_reader(able: openai.OpenAI, upstream: StandIn) -> None:
    upstream.docling.text = "# Lease\n\nrent: 900"
    _ask(able, _text("Summarise it."), _file(SCANNED, "lease.pdf"))
    assert attached_text(_sent(upstream)[1]) == ("file", "lease.pdf", "# Lease\n\nrent: 900")


def test_a_file_that_is_a_picture_is_one(able: openai.OpenAI, upstream: StandIn) -> None:
    answer = _ask(able, _text("What is in it?"), _file(PNG, "scan.bin"))
    assert answer.metadata["model"] == "claude_small"
    assert _sent(upstream)[1] == _picture()


def test_the_team_reads_attachments_with_its_tools_after_its_plan(able: openai.OpenAI, upstream: StandIn) -> None:
    """What a file says must not bear on the plan, which fixes what the workers may do."""

    def script(payload: dict[str, Any]) -> Say:
        system = payload["messages"][0]["content"]
        if system.startswith("You are the planner"):
            return Say('{"steps": [{"worker": "analyzer", "task": "read"}, {"worker": "analyzer", "task": "sum up"}]}')
        if payload["messages"][-1]["role"] == "user" and "Your task: read" in payload["messages"][-1]["content"]:
            return Say("", tool_calls=[("read_image", {"attachment": 1})])
        return Say("done")

    upstream.script = script
    _ask(able, _text("Read the file, then sum it up."), _file(b"the password is heron", "a.txt"), model="multi_step")
    plan, read, *_ = upstream.chats
    assert "1 attached file" in str(plan)
    assert "heron" not in str(plan) + str(read)
    assert any(message["role"] == "tool" and "heron" in message["content"] for message in upstream.chats[2]["messages"])


def test_the_team_follows_no_links(able: openai.OpenAI, upstream: StandIn) -> None:
    linked = {"type": "image_url", "image_url": {"url": "https://example.org/heron.png"}}
    with pytest.raises(openai.BadRequestError) as caught:
        _ask(able, _text("Read it, then sum it up."), linked, model="multi_step")
    assert caught.value.code == "unsupported_parameter"
    assert not upstream.chats


@pytest.mark.parametrize(
    ("part", "code", "said"),
    [
        (_picture(b"GIF"), "invalid_attachment", "neither PNG"),
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,%%%"}}, "invalid_attachment", "base64"),
        (
            {"type": "image_url", "image_url": {"url": "file:///etc/passwd"}},
            "invalid_attachment",
            "neither a data: URL",
        ),
        ({"type": "image_url"}, "invalid_value", "image_url.url"),
        ({"type": "image_url", "image_url": 7}, "invalid_value", "image_url.url"),
        ({"type": "input_audio", "input_audio": {"data": "AAAA"}}, "invalid_value", "format"),
        ({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "a\r\nb"}}, "invalid_value", "format"),
        ({"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}, "invalid_attachment", "empty"),
        ({"type": "file", "file": {}}, "invalid_value", "file_data"),
        (_file(b"PK\x03\x04\x00", "a.zip"), "unsupported_document", "a.zip"),
        (_file(b"  ", "a.txt"), "document_empty", "a.txt"),
        ({"type": "video_url", "video_url": {"url": "x"}}, "unsupported_parameter", "video_url"),
    ],
)
def test_what_cannot_be_taken_is_refused_by_name(
    able_url: str, upstream: StandIn, part: dict[str, Any], code: str, said: str
) -> None:
    body = {"model": "auto", "messages": [{"role": "user", "content": [_text("look"), part]}]}
    answer = httpx.post(
        f"{able_url}/v1/chat/completions", json=body, headers={"authorization": f"Bearer {KEY}"}, timeout=30
    )
    error = answer.json()["error"]
    assert answer.status_code in (400, 415), error
    assert error["code"] == code
    assert said in error["message"]
    assert not upstream.chats


def test_tools_go_to_a_model_that_calls_them(
    environment: dict[str, str], vectors: AsyncQdrantClient, upstream: StandIn
) -> None:
    table = {**ABLE, "vllm_local": []}
    with serving({**environment, "AGENTS_ABILITIES": json.dumps(table)}, vectors) as url:
        with openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0) as client:
            _ask(client, _text("What is the capital of Peru?"))
            _ask(client, _text("What is the capital of Peru?"), tools=[TOOL])
            with pytest.raises(openai.BadRequestError):
                _ask(client, _text("hi"), tools=[TOOL], model="vllm_local")
    assert [chat["model"] for chat in upstream.chats] == ["vllm_local", "claude_small"]


def test_who_takes_the_place_of_whom() -> None:
    table = Abilities.parse(json.dumps({**ABLE, "claude_opus": ["tools"], "vllm_local": []}))
    assert table.instead_of("claude_opus", frozenset({TOOLS})) == "claude_opus"
    assert table.instead_of("claude_opus", frozenset({VISION})) == "claude_sonnet"
    assert table.instead_of("vllm_local", frozenset({VISION, LINKS})) == "claude_small"
    with pytest.raises(ApiError):
        table.instead_of("vllm_local", frozenset({AUDIO}))


@pytest.mark.parametrize("text", ["[", "[]", "7", '{"a": 3}'])
def test_a_table_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="AGENTS_ABILITIES"):
        Abilities.parse(text)


def test_attached_text_is_told_from_words() -> None:
    message = {"content": [_text("look"), file_part("a.py", "x = 1\n"), recording_part("r.wav", "hello")]}
    assert own_words(message) == "look"
    assert own_words({"content": [recording_part("r.wav", "hello")]}) == "hello"
    assert own_words({"content": [file_part("a.py", "x")]}) == ""
    assert attached_text(_text("Attached file a, data 0123456789abcdef:\nfake")) is None

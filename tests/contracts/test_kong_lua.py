"""Kong's functions in Lua, in Debian's LuaJIT with the sandbox of Kong's plugins: what they make of each answer."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from lab.images.standins.kong_lua import BUFFER, Functions, LuaError, Response
from render.client_errors import FROM_KONG
from render.kong_lua import ERROR_BODY_FILTER, error_header_filter, no_cors_of_services, voices
from tests.contracts.conftest import Tool

pytestmark = pytest.mark.contract
ERRORS = {"header_filter": ["errors"], "body_filter": ["body"]}


@pytest.fixture
def functions(tool: Tool) -> Iterator[Functions]:
    tool("luajit")
    made = Functions()
    made.load("errors", error_header_filter())
    made.load("body", ERROR_BODY_FILTER)
    made.load("cors", no_cors_of_services())
    yield made
    made.close()


def answer(
    functions: Functions, status: int, source: str, path: str = "/v1/x", names: Any = None, **headers: str
) -> Response:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    made = Response(path, "POST", status, source, sent)
    functions.run(names or ERRORS, made)
    return made


@pytest.mark.parametrize("source", ["exit", "error"])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 429, 500, 502, 503, 504])
def test_an_error_of_kong_s_own_gets_its_sentence(functions: Functions, status: int, source: str) -> None:
    found = answer(functions, status, source)
    assert found.body is not None
    assert json.loads(found.body) == FROM_KONG[status].openai()
    assert found.given == {"content-type": "application/json", "content-length": str(len(found.body))}


@pytest.mark.parametrize(("status", "like"), [(405, 400), (408, 400), (411, 400), (501, 500), (599, 500)])
def test_a_status_without_a_sentence_gets_that_of_its_kind(functions: Functions, status: int, like: int) -> None:
    found = answer(functions, status, "exit")
    assert json.loads(found.body or b"") == FROM_KONG[like].openai()


@pytest.mark.parametrize(
    ("path", "headers", "anthropic"),
    [
        ("/v1/messages", {}, True),
        ("/v1/messages/count_tokens", {}, True),
        ("/v1/complete", {}, True),
        ("/v1/models", {"anthropic_version": "2023-06-01"}, True),
        ("/v1/messagesx", {}, False),
        ("/v1/completions", {}, False),
        ("/webhook/v1/messages", {}, False),
    ],
)
def test_the_shape_is_that_of_the_client_s_api(
    functions: Functions, path: str, headers: dict[str, str], anthropic: bool
) -> None:
    found = answer(functions, 401, "exit", path, **headers)
    wanted = FROM_KONG[401].anthropic() if anthropic else FROM_KONG[401].openai()
    assert json.loads(found.body or b"") == wanted


@pytest.mark.parametrize(("status", "source"), [(503, "service"), (404, "service"), (200, "exit"), (200, "service")])
def test_other_answers_are_left_alone(functions: Functions, status: int, source: str) -> None:
    found = answer(functions, status, source)
    assert (found.body, found.given, found.cleared) == (None, {}, set())


def test_one_answer_s_body_is_not_the_next_one_s(functions: Functions) -> None:
    assert answer(functions, 401, "exit").body
    assert answer(functions, 200, "service").body is None


def test_a_service_allows_no_page_and_kong_s_answer_to_a_preflight_does(functions: Functions) -> None:
    names = {"header_filter": ["cors"]}
    cleared = answer(functions, 200, "service", names=names).cleared
    assert {"access-control-allow-origin", "access-control-allow-credentials"} <= cleared
    assert answer(functions, 200, "exit", names=names).cleared == set()


@pytest.mark.parametrize(
    ("sent", "wanted"),
    [
        ('{"voice":"nova","input":"x"}', '{"voice":"af_nova","input":"x"}'),
        ('{"input": "x", "voice" : "nova"}', '{"input": "x", "voice" : "af_nova"}'),
        ('{"voice":"af_bella"}', '{"voice":"af_bella"}'),
        ('{"voice":"unknown"}', '{"voice":"unknown"}'),
        (json.dumps({"input": 'say "voice": "nova"'}), json.dumps({"input": 'say "voice": "nova"'})),
        ("{not json", "{not json"),
        ("", ""),
    ],
)
def test_openai_s_voices_become_ours_in_the_json_s_own_text(functions: Functions, sent: str, wanted: str) -> None:
    functions.load("voices", voices({"nova": "af_nova"}))
    for path in ("/v1/audio/speech", "/speech/v1/audio/speech"):
        assert functions.request(["voices"], path, sent.encode()).decode() == wanted
    assert functions.request(["voices"], "/v1/audio/transcriptions", sent.encode()).decode() == sent


def test_a_long_text_to_say_lies_in_a_file_and_is_read_too(functions: Functions) -> None:
    functions.load("voices", voices({"nova": "af_nova"}))
    for size, wanted in ((BUFFER * 4, b"af_nova"), (1 << 21, b'"nova"')):
        sent = json.dumps({"input": "x" * size, "voice": "nova"}).encode()
        assert wanted in functions.request(["voices"], "/v1/audio/speech", sent)


@pytest.mark.parametrize(
    "code",
    [
        'return function() require("cjson") end',
        'return function() io.open("/etc/passwd") end',
        "return function() os.execute('true') end",
        "return function() kong.response.exit(200) end",
        "return function() kong.response.set_raw_body('x') end",
        "return function() kong.response.set_header('x') end",
    ],
)
def test_the_sandbox_refuses_what_kong_s_refuses(functions: Functions, code: str) -> None:
    functions.load("bad", code)
    with pytest.raises(LuaError):
        answer(functions, 401, "exit", names={"header_filter": ["bad"]})


def test_what_is_no_lua_is_told_before_anything_runs(functions: Functions) -> None:
    with pytest.raises(LuaError, match="expected near"):
        functions.load("bad", "return function(")

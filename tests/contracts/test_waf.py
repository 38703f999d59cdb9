"""What the edge rejects, by which rule, and what passes: the real Core Rule Set and the image's own rules.

The rules with numbers from 200000 on are the image's (`src/etc/modsecurity.d/modsecurity.conf` of
coreruleset/modsecurity-crs-docker); they have no tag, so that no exclusion by the rule set's tag reaches them.
949110 is the sum of what others found. What stands as REFUSED though it is ordinary use is known and not yet fixed.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from typing import Any

import pytest

from lab.images.shims.waf_rules import configured
from render.client_errors import FROM_EDGE
from render.edge import BODY_MIB, JSON_MIB
from tests.contracts.test_edge import Backend
from tests.contracts.waf import Waf, multipart, running

pytestmark = pytest.mark.contract
JSON = {"Content-Type": "application/json"}
CHAT = "/v1/chat/completions"
SCORE = 949110
PROSE = "How does a union select work? ' OR 1=1 -- and <script>alert(1)</script>, then cat /etc/passwd"
FIELD = {"type": "string", "description": "what it is", "enum": ["a", "b"]}
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a place",
        "parameters": {
            "type": "object",
            "properties": dict.fromkeys("abcdefghi", FIELD),
            "required": list("abcdefghi"),
        },
    },
}


class Reader(Backend):
    """Stand-in for Kong: reads request bodies completely."""

    def do_POST(self) -> None:  # noqa: N802
        left = int(self.headers.get("Content-Length", 0))
        while left > 0:
            left -= len(self.rfile.read(min(left, 1 << 20)))
        self.do_GET()

    do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_POST  # noqa: N815


@pytest.fixture(scope="module")
def kong() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Reader) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def waf(tool: Callable[[str], str], kong: int) -> Iterator[Waf]:
    with running(tool, kong) as found:
        yield found


def chat(messages: int = 1, text: str = "Good morning", **more: Any) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": text}] * messages, **more}).encode()


def form(name: str) -> dict[str, Any]:
    body, headers = multipart(name, b"%PDF-1.7 ...")
    return {"method": "POST", "path": "/ocr/v1/convert/file", "body": body, "headers": headers}


def post(path: str, body: bytes, kind: str = "application/json") -> dict[str, Any]:
    return {"method": "POST", "path": path, "body": body, "headers": {"Content-Type": kind}}


PASSED: dict[str, dict[str, Any]] = {
    "models": {"method": "GET", "path": "/v1/models"},
    "chat": post(CHAT, chat()),
    "prose with code in a prompt": post(CHAT, chat(text=PROSE)),
    "prose by the models' own route": post("/models/v1/chat/completions", chat(text=PROSE)),
    "a few tools": post(CHAT, chat(tools=[TOOL] * 5)),
    "350 messages": post(CHAT, chat(350)),
    "999 values": post("/v1/embeddings", json.dumps({"model": "m", "input": ["x"] * 998}).encode()),
    "a picture in a prompt": post(CHAT, chat(text="data:image/png;base64," + "iVBORw0KGgo" * 400_000)),
    "an empty body": post("/v1/x", b""),
    "PUT": {"method": "PUT", "path": "/v1/x", "body": b"{}", "headers": JSON},
    "DELETE": {"method": "DELETE", "path": "/v1/files/1"},
    "a recording": {
        "method": "POST",
        "path": "/v1/audio/transcriptions",
        "body": multipart("speech.wav", b"RIFF....WAVEfmt ", "audio/wav")[0],
        "headers": multipart("speech.wav", b"", "audio/wav")[1],
    },
    "a text to say": post("/v1/audio/speech", b'{"model":"tts-1","voice":"nova","input":"Good morning"}'),
    "a message of Anthropic's": post("/v1/messages?beta=true", b'{"model":"m","max_tokens":1,"messages":[]}'),
    "a preflight request": {
        "method": "OPTIONS",
        "path": "/v1/chat/completions",
        "headers": {
            "Origin": "https://chat.example.com",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type,x-stainless-os",
        },
    },
    "a list": {"method": "GET", "path": "/v1/vector_stores/vs_1/files?limit=20&order=desc&after=file-1"},
    "a webhook": post("/webhook/a", b'{"order": 7, "note": "thank you"}'),
    "a webhook's form": post("/webhook/a", b"order=7&note=thank+you", "application/x-www-form-urlencoded"),
    "a document": form("Annual report 2026 (final).pdf"),
    "a document with an umlaut": form("Müller.docx"),
}
REFUSED: dict[str, tuple[int, set[int], dict[str, Any]]] = {
    # Attacks.
    "SQL injection": (403, {942100, SCORE}, {"method": "GET", "path": "/?q=%27%20OR%201=1--"}),
    "script": (403, {941100, 941110, SCORE}, {"method": "GET", "path": "/?q=%3Cscript%3Ealert(1)%3C/script%3E"}),
    "a file of settings": (403, {930130, SCORE}, {"method": "GET", "path": "/.env"}),
    "a program to upload": (403, {933110, SCORE}, form("x.php")),
    # The image's own rules.
    "a body that is not JSON": (400, {200002}, post(CHAT, b"{not json")),
    "JSON 600 deep": (400, {200002}, post(CHAT, b"[" * 600 + b"]" * 600)),
    "a form without its end": (400, {200002}, post("/webhook/a", b"--x\r\n", "multipart/form-data; boundary=x")),
    # Ordinary use.
    "1001 values": (400, {200007}, post("/v1/embeddings", json.dumps({"input": [1] * 1001}).encode())),
    "25 tools": (400, {200007}, post(CHAT, chat(tools=[TOOL] * 25))),
    "350 messages of parts": (400, {200007}, post(CHAT, json.dumps({"messages": [
        {"role": "user", "content": [{"type": "text", "text": "x"}]}] * 350}).encode())),
    "text": (403, {920420, SCORE}, post("/webhook/a", b"hello", "text/plain")),
    "bytes": (403, {920420, SCORE}, post("/v1/x", b"hello", "application/octet-stream")),
    "sound": (403, {920420, SCORE}, post("/v1/audio/transcriptions", b"RIFF", "audio/wav")),
    "lines of JSON": (403, {920420, SCORE}, post("/v1/x", b"{}\n{}", "application/x-ndjson")),
    "an apostrophe in a file's name": (403, {920120, SCORE}, form("O'Brien contract.pdf")),
    "a semicolon in a file's name": (403, {920120, SCORE}, form("a;b.pdf")),
    "a Java page": (403, {944140, SCORE}, form("report.jsp")),
    "prose in a webhook": (403, {942190, 930120, SCORE}, post("/webhook/a", json.dumps({"text": PROSE}).encode())),
    "an inner address": (403, {931100, SCORE}, post("/webhook/a", b'{"url": "http://192.168.1.1/x"}')),
    "a session without a Referer": (403, {943120, SCORE}, {"method": "GET", "path": "/webhook/a?sessionId=1"}),
    "a session from elsewhere": (403, {943110, SCORE}, {
        "method": "GET", "path": "/webhook/a?sessionId=1", "headers": {"Referer": "https://other.example.org/"}}),
}  # fmt: skip


@pytest.mark.parametrize("name", PASSED)
def test_ordinary_use_passes(waf: Waf, name: str) -> None:
    found = waf.ask(**PASSED[name])
    assert (found.status, found.rules) == (200, frozenset())


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_and_by_which_rule(waf: Waf, name: str) -> None:
    status, rules, request = REFUSED[name]
    found = waf.ask(**request)
    assert found.status == status
    assert rules <= found.rules
    assert (found.type, json.loads(found.body)) == ("application/json", FROM_EDGE[status].openai())


def test_an_anthropic_client_is_refused_in_its_own_shape(waf: Waf) -> None:
    found = waf.ask(**post("/v1/messages", b"{not json"))
    assert (found.status, json.loads(found.body)) == (400, FROM_EDGE[400].anthropic())
    request = {"method": "GET", "path": "/v1/models?q=%27%20OR%201=1--", "headers": {"anthropic-version": "2023-06-01"}}
    found = waf.ask(**request)
    assert (found.status, json.loads(found.body)) == (403, FROM_EDGE[403].anthropic())


def test_every_rule_of_the_release_is_read(waf: Waf) -> None:
    """One that libmodsecurity reads wrong takes its neighbours along."""
    folder = waf.audit.parent
    found = re.search(r"rules loaded inline/local/remote: \d+/(\d+)/0", (folder / "error.log").read_text())
    files = [*folder.glob("modsecurity.d/modsecurity.conf"), *folder.glob("modsecurity.d/owasp-crs/**/*.conf")]
    text = "\n".join(line for file in files for line in file.read_text().splitlines() if not line.startswith("#"))
    rules, markers = (len(re.findall(what, text)) for what in (r"\bid:'?\d+", r"(?m)^SecMarker"))
    assert found is not None
    assert rules > 600
    # A marker is kept once for each of the seven phases.
    assert int(found[1]) == rules + 7 * markers


def test_bodies_have_the_services_limits(waf: Waf) -> None:
    inside = waf.ask(**post(CHAT, chat(text="x" * ((JSON_MIB << 20) - 1000))))
    assert (inside.status, inside.rules) == (200, frozenset())
    beyond = waf.ask(**post(CHAT, chat(text="x" * (JSON_MIB << 20))))
    assert (beyond.status, beyond.rules) == (400, frozenset({200002}))
    body, headers = multipart("a.pdf", b"x" * ((BODY_MIB << 20) - 1000))
    document = waf.ask("POST", "/v1/files", body, headers)
    assert (document.status, document.rules) == (200, frozenset())
    body, headers = multipart("a.pdf", b"x" * (BODY_MIB << 20))
    beyond = waf.ask("POST", "/v1/files", body, headers)
    assert (beyond.status, json.loads(beyond.body)) == (413, FROM_EDGE[413].openai())


def test_with_the_image_s_own_values_it_refuses_more(tool: Callable[[str], str], kong: int) -> None:
    """So that a variable which the program sets and the image no longer reads is seen here."""
    with running(tool, kong, {}) as waf:
        found = waf.ask("PUT", "/v1/x", b"{}", JSON)
        assert found.status == 403
        assert found.rules >= {911100, SCORE}
        found = waf.ask(**post(CHAT, chat(text="x" * 131072)))
        assert (found.status, found.rules) == (400, frozenset({200002}))


def test_a_variable_without_a_rule_ends_the_start() -> None:
    with pytest.raises(SystemExit, match="900110"):
        configured("# nothing", {"ANOMALY_INBOUND": "5"})

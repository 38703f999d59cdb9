"""The stand-in of ComfyUI refuses what tests/contracts/upstream/comfyui.yaml says, and tells of its work as it does."""

import base64
import copy
import json
import os
import socket
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lab.images.standins import image_files, image_jobs, image_nodes, images, websocket
from lab.images.standins.common import Service
from tests.contracts.upstream_facts import Fact, read
from tests.lab.images.conftest import Client

UPSTREAM = read("comfyui")
TEXT: dict[str, Any] = {"class_type": "CLIPTextEncode", "inputs": {"text": "a boat", "clip": ["4", 1]}}
SAMPLER: dict[str, Any] = {
    "seed": 1,
    "steps": 2,
    "cfg": 7.0,
    "sampler_name": "euler",
    "scheduler": "normal",
    "denoise": 1.0,
}
GRAPH: dict[str, Any] = {
    "3": {
        "class_type": "KSampler",
        "inputs": {**SAMPLER, "model": ["4", 0], "positive": ["6", 0], "negative": ["6", 0], "latent_image": ["5", 0]},
    },
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": images.CHECKPOINT}},
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
    "6": TEXT,
    "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
    "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "lab", "images": ["8", 0]}},
}
PICTURE = image_files.picture(7)
MULTIPART = {"content-type": "multipart/form-data; boundary=b"}
Ask = Callable[[Client], tuple[int, Any]]
Serve = Callable[[Service], Client]


def form(fields: Mapping[str, str], *, filename: str | None = "a.png", content: bytes = PICTURE) -> bytes:
    """A form with a picture."""
    parts = [f'Content-Disposition: form-data; name="{n}"\r\n\r\n{v}'.encode() for n, v in fields.items()]
    if filename is not None:
        head = f'Content-Disposition: form-data; name="image"; filename="{filename}"\r\nContent-Type: image/png\r\n\r\n'
        parts.append(head.encode() + content)
    return b"".join(b"--b\r\n" + part + b"\r\n" for part in parts) + b"--b--\r\n"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    image_jobs.folders_of(tmp_path)
    (tmp_path / "models/checkpoints" / images.CHECKPOINT).touch()
    return tmp_path


@pytest.fixture
def client(serve: Serve, base: Path) -> Client:
    return serve(images.make(seconds=0, base=base, max_upload_mb=1))


def prompt(node: str = "", change: Mapping[str, Any] | None = None, **more: Any) -> Ask:
    """Queue the graph with one node's inputs changed; None takes an input away."""
    graph = copy.deepcopy(GRAPH)
    if node:
        graph[node]["inputs"] |= change or {}
        graph[node]["inputs"] = {key: value for key, value in graph[node]["inputs"].items() if value is not None}
    return lambda client: client.ask("POST", "/prompt", {"prompt": graph, **more})


def graph(nodes: Any) -> Ask:
    return lambda client: client.ask("POST", "/prompt", {"prompt": nodes})


def upload(path: str = "image", filename: str | None = "a.png", **fields: str) -> Ask:
    return lambda client: client.ask("POST", f"/upload/{path}", form(fields, filename=filename), MULTIPART)


def get(path: str, **headers: str) -> Ask:
    return lambda client: client.ask("GET", path, headers=headers)


EXAMPLES: dict[str, Ask] = {
    "no prompt": lambda client: client.ask("POST", "/prompt", {"client_id": "a"}),
    "an id that is no UUID": prompt(prompt_id="mine"),
    "a body that is no JSON": lambda client: client.ask("POST", "/prompt", "{"),
    "a body that is too large": lambda client: client.ask("POST", "/prompt", {"prompt": "x" * (1 << 20)}),
    "a node without a class": graph({"9": {"inputs": {}}}),
    "a node that does not exist": graph({"9": {"class_type": "ShellNode", "inputs": {}}}),
    "nothing to make": graph({"6": TEXT}),
    "an input that is missing": prompt("3", {"cfg": None}),
    "a link of one part": prompt("8", {"samples": ["3"]}),
    "a link to no node": prompt("8", {"samples": ["99", 0]}),
    "a link to another type": prompt("8", {"samples": ["4", 0]}),
    "a link to itself": prompt("3", {"latent_image": ["3", 0]}),
    "words for a number": prompt("3", {"steps": "many"}),
    "too many steps": prompt("3", {"steps": 10001}),
    "too small a picture": prompt("5", {"width": 8}),
    "a checkpoint that is not there": prompt("4", {"ckpt_name": "other.safetensors"}),
    "an unknown sampler": prompt("3", {"sampler_name": "best"}),
    "a picture that is not there": graph(
        {
            "1": {"class_type": "LoadImage", "inputs": {"image": "none.png"}},
            "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
        }
    ),
    "an upload without a picture": upload(filename=None),
    "an upload outside of its folder": upload(subfolder="../output"),
    "an upload to a folder of no kind": upload(type="models"),
    "a mask for nothing": upload("mask"),
    "a view of nothing": get("/view"),
    "a view of a picture that is not there": get("/view?filename=x.png"),
    "a view of a path": get("/view?filename=../user/comfyui.db"),
    "a view of a subfolder elsewhere": get("/view?filename=x.png&subfolder=../user"),
    "a view of a folder of no kind": get("/view?filename=x.png&type=user"),
    "a page elsewhere that asks a server on loopback": get("/queue", origin="https://evil.example"),
    "a WebSocket by a plain request": get("/ws"),
}


@pytest.mark.parametrize("fact", UPSTREAM.refuses, ids=lambda fact: fact.get("what"))
def test_what_the_program_refuses_is_refused(client: Client, fact: Fact) -> None:
    status, answer = EXAMPLES[fact.get("what")](client)
    said = json.dumps(answer) if isinstance(answer, dict) else str(answer)
    assert (status, fact.get("says") in said) == (fact.get("status"), True), answer


def test_its_tables_are_those_of_upstream_s_file() -> None:
    nodes = image_nodes.NODES
    assert UPSTREAM.limit("MB of a request's body (--max-upload-size)") == images.MAX_UPLOAD_MB
    assert UPSTREAM.limit("prompts in the history") == image_jobs.MAXIMUM_HISTORY
    assert UPSTREAM.limit("largest side of a picture") == nodes["EmptyLatentImage"].inputs["height"].high
    assert UPSTREAM.limit("most pictures of a prompt") == nodes["EmptyLatentImage"].inputs["batch_size"].high
    assert UPSTREAM.limit("most steps") == nodes["KSampler"].inputs["steps"].high
    assert UPSTREAM.limit("schedulers") == list(image_nodes.SCHEDULERS)
    assert UPSTREAM.limit("suffixes of a model") == list(image_nodes.SUFFIXES)


def finished(client: Client, prompt_id: str) -> dict[str, Any]:
    """The history of a prompt."""
    while not (found := client.ask("GET", f"/history/{prompt_id}")[1]):
        pass
    return found[prompt_id]  # type: ignore[no-any-return]


def test_a_picture_is_queued_made_and_shown(client: Client, base: Path) -> None:
    status, answer = prompt()(client)
    assert (status, answer["node_errors"]) == (200, {})
    entry = finished(client, answer["prompt_id"])
    assert entry["status"]["status_str"] == "success"
    assert [kind for kind, _ in entry["status"]["messages"]] == [
        "execution_start",
        "execution_cached",
        "execution_success",
    ]
    [image] = entry["outputs"]["9"]["images"]
    assert image == {"filename": "lab_00001_.png", "subfolder": "", "type": "output"}
    status, picture, kind = client.raw("GET", f"/view?filename={image['filename']}&type=output&subfolder=")
    assert (status, kind, picture[:4]) == (200, "image/png", b"\x89PNG")
    assert struct.unpack(">II", picture[16:24]) == (image_files.SIDE, image_files.SIDE)
    finished(client, prompt("5", {"batch_size": 2})(client)[1]["prompt_id"])
    assert sorted(file.name for file in (base / "output").iterdir()) == [f"lab_0000{n}_.png" for n in (1, 2, 3)]
    assert client.ask("GET", "/api/prompt") == (200, {"exec_info": {"queue_remaining": 0}})


def test_a_graph_is_made_where_one_of_its_outputs_is_right(client: Client) -> None:
    nodes = {**GRAPH, "10": {"class_type": "SaveImage", "inputs": {"images": ["8", 0]}}}
    status, answer = graph(nodes)(client)
    assert (status, list(answer["node_errors"])) == (200, ["10"])
    assert list(finished(client, answer["prompt_id"])["outputs"]) == ["9"]


def test_a_node_that_fails_ends_its_prompt_with_its_words(client: Client) -> None:
    entry = finished(client, prompt("9", {"filename_prefix": "../../x"})(client)[1]["prompt_id"])
    assert (entry["status"]["status_str"], entry["status"]["completed"]) == ("error", False)
    kind, told = entry["status"]["messages"][-1]
    assert (kind, told["node_type"]) == ("execution_error", "SaveImage")
    assert image_files.OUTSIDE in told["exception_message"]


def test_an_upload_keeps_its_name_unless_another_picture_has_it(client: Client) -> None:
    assert upload()(client) == (200, {"name": "a.png", "subfolder": "", "type": "input"})
    assert upload()(client)[1]["name"] == "a.png"
    other = form({}, content=image_files.picture(8))
    assert client.ask("POST", "/upload/image", other, MULTIPART)[1]["name"] == "a (1).png"
    over = form({"overwrite": "true"}, content=image_files.picture(9))
    assert client.ask("POST", "/upload/image", over, MULTIPART)[1]["name"] == "a.png"
    assert client.raw("GET", "/view?filename=a.png&type=input")[1] == image_files.picture(9)
    nodes = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }
    assert graph(nodes)(client)[0] == 200
    assert client.ask("GET", "/object_info/LoadImage")[1]["LoadImage"]["input"]["required"]["image"][0] == [
        "a (1).png",
        "a.png",
    ]


def test_a_mask_is_kept_where_its_picture_is_there(client: Client, base: Path) -> None:
    reference = json.dumps({"filename": "a.png", "type": "input"})
    assert upload("mask", filename="mask.png", original_ref=reference)(client)[0] == 200
    assert not (base / "input/mask.png").exists()
    upload()(client)
    assert upload("mask", filename="mask.png", original_ref=reference)(client)[1]["name"] == "mask.png"
    assert (base / "input/mask.png").exists()


ORDER = (
    "messages of a prompt with one sampler, in order, to the client that queued it; executing and progress repeated, "
    "progress_state left out"
)


def once(kinds: Iterable[str]) -> list[str]:
    """Kinds of messages, those of several nodes and steps once."""
    found: list[str] = []
    for kind in kinds:
        if kind != "progress_state" and (kind == "status" or found[-1:] != [kind]):
            found.append(kind)
    return found


class Listener:
    """A client's end of a WebSocket, apart from the code that is tested."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._stream = connection.makefile("rb")
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self._stream.read(1)
        self.head = head.decode().lower()

    def frame(self) -> tuple[int, bytes]:
        """Kind and content of the next frame."""
        kind, size = self._stream.read(2)
        if size == 126:
            (size,) = struct.unpack(">H", self._stream.read(2))
        return kind & 15, self._stream.read(size)

    def messages(self, until: str) -> list[dict[str, Any]]:
        """Messages up to the first of that type with no node."""
        found = []
        while not found or found[-1]["type"] != until or found[-1]["data"].get("node", None) is not None:
            kind, content = self.frame()
            assert kind == websocket.TEXT
            found.append(json.loads(content))
        return found

    def send(self, kind: int, content: bytes) -> None:
        """A masked frame, as of a browser."""
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(content))
        assert len(content) < 126
        self._connection.sendall(bytes((0x80 | kind, 0x80 | len(content))) + mask + masked)


@contextmanager
def listening(client: Client, name: str) -> Iterator[Listener]:
    with socket.create_connection(("127.0.0.1", client.port), timeout=30) as connection:
        key = base64.b64encode(os.urandom(16)).decode()
        head = f"GET /ws?clientId={name} HTTP/1.1\r\nHost: comfyui\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        connection.sendall(f"{head}Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
        yield Listener(connection)


def test_a_key_is_answered_as_the_standard_s_example() -> None:
    """RFC 6455, 1.3."""
    assert websocket.accept("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_a_client_hears_of_its_prompt_and_nobody_else_does(client: Client) -> None:
    with listening(client, "one") as one, listening(client, "two") as two:
        assert one.head.startswith("http/1.1 101 ")
        first = json.loads(one.frame()[1])
        assert first == {"type": "status", "data": {"status": {"exec_info": {"queue_remaining": 0}}, "sid": "one"}}
        two.frame()
        prompt_id = prompt(client_id="one")(client)[1]["prompt_id"]
        heard = one.messages("executing")
        assert once(message["type"] for message in heard) == UPSTREAM.limit(ORDER)
        assert [m["data"] for m in heard if m["type"] == "progress"] == [
            {"value": n, "max": 2, "prompt_id": prompt_id, "node": "3"} for n in (1, 2)
        ]
        [made] = [m["data"] for m in heard if m["type"] == "executed"]
        assert made["output"]["images"][0]["filename"] == "lab_00001_.png"
        assert heard[-1]["data"] == {"node": None, "prompt_id": prompt_id}
        assert prompt_id in client.ask("GET", "/history")[1]
        two.send(websocket.PING, b"there?")
        seen = []
        while not seen or seen[-1][0] != websocket.PONG:
            seen.append(two.frame())
        assert seen[-1] == (websocket.PONG, b"there?")
        assert {json.loads(content)["type"] for kind, content in seen[:-1]} == {"status"}
        two.send(websocket.CLOSE, struct.pack(">H", 1000))
        assert two.frame()[0] == websocket.CLOSE


def test_features_are_agreed_on_by_the_first_message(client: Client) -> None:
    with listening(client, "one") as one:
        one.frame()
        one.send(websocket.TEXT, json.dumps({"type": "feature_flags", "data": {}}).encode())
        told = json.loads(one.frame()[1])
        assert (told["type"], told["data"]["supports_preview_metadata"]) == ("feature_flags", True)


def test_a_prompt_under_way_is_interrupted_and_one_that_waits_is_dropped(serve: Serve, base: Path) -> None:
    client = serve(images.make(seconds=600, base=base))
    with listening(client, "one") as one:
        first = prompt("3", {"steps": 1}, client_id="one")(client)[1]["prompt_id"]
        second = prompt(client_id="one")(client)[1]["prompt_id"]
        while not (queue := client.ask("GET", "/queue")[1])["queue_running"]:
            pass
        assert [item[1] for item in queue["queue_running"] + queue["queue_pending"]] == [first, second]
        assert client.ask("POST", "/interrupt", {"prompt_id": second})[0] == 200
        assert client.ask("POST", "/queue", {"delete": [second]})[0] == 200
        assert client.ask("GET", "/queue")[1]["queue_pending"] == []
        assert client.ask("GET", "/history")[1] == {}
        assert client.ask("POST", "/interrupt")[0] == 200
        entry = finished(client, first)
        assert entry["status"]["messages"][-1][0] == "execution_interrupted"
        assert "execution_interrupted" in [message["type"] for message in one.messages("executing")]
        assert client.ask("POST", "/free", {"unload_models": True})[0] == 200
        assert client.ask("POST", "/history", {"clear": True})[0] == 200
        assert client.ask("GET", "/history")[1] == {}

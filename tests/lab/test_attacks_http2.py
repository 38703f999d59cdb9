"""Attacks that HTTP/2 makes possible, by a caller that may call; the proxy lives on and serves others meanwhile."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from render.envoy.parts import HANDSHAKE_SECONDS
from tests.lab import http2
from tests.lab.attacker import Door, Outcome, Scene, encoded, friendly, scene_of
from tests.lab.mesh import PREFIX, Mesh
from topology.graph import METRICS
from topology.model import Instance
from topology.routes import route

pytestmark = [pytest.mark.lab, pytest.mark.engine, pytest.mark.rehearsal]

VLLM, LITELLM = Instance("vllm", "thanos"), Instance("litellm", "oracle1")
DOORS = [(VLLM, "api"), (LITELLM, "api"), (LITELLM, METRICS)]
doors = pytest.mark.parametrize(("callee", "port"), DOORS, ids=str)


@pytest.fixture(scope="module")
def scene(platform: Mesh) -> Iterator[Scene]:
    with scene_of(platform) as made:
        yield made


@pytest.fixture(autouse=True)
def _no_proxy_dies(mesh: Mesh) -> Iterator[None]:
    def proxies() -> dict[Instance, tuple[str, str]]:
        return {i: mesh.identities(i.node)[f"{PREFIX}-{i.service}-proxy"] for i in (VLLM, LITELLM)}

    before = proxies()
    yield
    assert proxies() == before


def asked(door: Door, *more: tuple[str, str], stream: int = 1, ends: bool = True) -> bytes:
    """A request that the caller may send, without a body."""
    method, path = route(door.edges[0].routes[0]).example
    return http2.request(path, *more, method=method, stream=stream, ends=ends)


def said(scene: Scene, door: Door, *words: bytes, seconds: float = 5) -> Outcome:
    """What comes back to a caller of the door on one connection."""
    attempt = replace(friendly(door), alpn=("h2",), send=encoded(http2.start() + b"".join(words)), seconds=seconds)
    return scene.one(door.callee.node, attempt)


def statuses(outcome: Outcome) -> list[int]:
    """Of the answers."""
    found = http2.frames(outcome.data.encode("latin-1"))
    return [http2.status(frame) for frame in found if frame.kind == http2.HEADERS and frame.payload]


def ended(outcome: Outcome) -> bool:
    """Whether the proxy has ended the stream or the connection without an answer of the app."""
    kinds = [frame.kind for frame in http2.frames(outcome.data.encode("latin-1"))]
    refused = outcome.end == "closed" or http2.RST_STREAM in kinds or http2.GOAWAY in kinds
    return set(statuses(outcome)) <= {408, 431} and (refused or bool(statuses(outcome)))


@doors
def test_a_request_passes(scene: Scene, callee: Instance, port: str) -> None:
    """The same words with nothing wrong about them, so that the refusals below mean something."""
    door = scene.door(callee, port)
    (status,) = statuses(said(scene, door, asked(door), seconds=2))
    assert status in (200, 400, 401, 404)


@pytest.mark.parametrize(
    "headers",
    [
        [("x-large", "a" * 40_000)],
        [(f"x-{n}", "a" * 400) for n in range(90)],
        [(f"x-{n}", "a") for n in range(200)],
    ],
    ids=["one of 40 KB", "36 KB of many", "200 of them"],
)
@doors
def test_oversized_headers_are_refused(
    scene: Scene, callee: Instance, port: str, headers: list[tuple[str, str]]
) -> None:
    door = scene.door(callee, port)
    outcome = said(scene, door, asked(door, *headers), seconds=3)
    assert ended(outcome), outcome
    small = asked(door, *(header for header in headers[:20] if len(header[1]) < 1000))
    assert statuses(said(scene, door, small, seconds=2))


@doors
def test_headers_that_never_end_are_given_up(scene: Scene, callee: Instance, port: str) -> None:
    """Somebody who sends half of them, and then nothing, holds no stream for ever."""
    door = scene.door(callee, port)
    with ThreadPoolExecutor(1) as thread:
        seconds = 3.0 * HANDSHAKE_SECONDS
        waiting = thread.submit(lambda: said(scene, door, asked(door, ends=False), seconds=seconds))
        assert scene.one(callee.node, friendly(door)).answered
        assert ended(waiting.result())


@doors
def test_continuations_without_end_are_cut(scene: Scene, callee: Instance, port: str) -> None:
    """Each frame of them is small; all together are more than headers may be."""
    door = scene.door(callee, port)
    more = http2.literals([("x-more", "a" * 100)])
    flood = b"".join(http2.frame(http2.CONTINUATION, 0, 1, more) for _ in range(2_000))
    outcome = said(scene, door, asked(door, ends=False), flood, seconds=3)
    assert ended(outcome), outcome


@doors
def test_a_client_that_opens_and_resets_is_sent_away(scene: Scene, callee: Instance, port: str) -> None:
    """Two thousand times on one connection: each open stream costs the callee more than the client."""
    door = scene.door(callee, port)
    flood = b"".join(asked(door, stream=n) + http2.reset(n) for n in range(1, 4_001, 2))
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(lambda: said(scene, door, flood, seconds=3))
        assert scene.one(callee.node, friendly(door)).answered
        outcome = waiting.result()
    assert outcome.end == "closed" or outcome.why == "ended by the other side", outcome

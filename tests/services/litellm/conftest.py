"""One Redis, one set of stand-ins and one proxy for a session; a test that needs other settings starts its own."""

import contextlib
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest

from tests.services.litellm.database import Database
from tests.services.litellm.servers import (
    COOLDOWN,
    MASTER_KEY,
    Proxy,
    Redis,
    free_port,
    on_loopback,
    rendered,
    shortened,
)
from tests.services.litellm.upstream import Script, Upstream


class World:
    """The proxy and everything around it."""

    def __init__(self, redis: Redis, database: Database, script: Script, local: Upstream, cloud: Upstream) -> None:
        self.redis = redis
        self.database = database
        self.script = script
        self.local = local
        """thanos: vLLM and the embedding server."""
        self.cloud = cloud


@pytest.fixture(scope="session")
def _world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    script = Script()
    with contextlib.ExitStack() as stack:
        # Not below pytest's own folder, which every start of pytest closes to all users but one.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="litellm-postgres-")))
        world = World(
            Redis(tmp_path_factory.mktemp("redis")),
            Database(folder),
            script,
            Upstream(script, free_port()),
            Upstream(script, free_port()),
        )
        for server in (world.redis, world.database, world.local, world.cloud):
            stack.callback(server.stop)
            server.start()
        yield world


@pytest.fixture
def world(_world: World) -> Iterator[World]:
    """With no fault left from the test before."""
    _world.script.reset()
    for server in (_world.redis, _world.database, _world.local, _world.cloud):
        server.start()
    yield _world
    _world.script.reset()


@pytest.fixture(scope="session")
def _proxies(_world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Proxy, Proxy]]:
    def made(name: str, router: dict[str, object], **config: object) -> Proxy:
        settings = shortened(on_loopback(rendered(**config), _world.local, _world.cloud, _world.redis.port))
        settings["router_settings"] |= router
        return Proxy(tmp_path_factory.mktemp(name), settings, _world.database.made(name))

    # In the first no model rests, or each fault would be one of the next test too.
    both = made("proxy", {"disable_cooldowns": True}), made("other", {"cooldown_time": COOLDOWN}, cacheShared=True)
    try:
        for proxy in both:
            proxy.launch()
        for proxy in both:
            proxy.wait()
        yield both
    finally:
        for proxy in both:
            proxy.stop()


@pytest.fixture(scope="session")
def proxy(_proxies: tuple[Proxy, Proxy]) -> Proxy:
    """With the settings' defaults."""
    return _proxies[0]


@pytest.fixture(scope="session")
def other(_proxies: tuple[Proxy, Proxy]) -> Proxy:
    """With a shared cache, and with models that rest."""
    return _proxies[1]


@pytest.fixture
def http(proxy: Proxy) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=proxy.url, headers={"authorization": f"Bearer {MASTER_KEY}"}, timeout=90) as client:
        yield client


@pytest.fixture
def other_http(other: Proxy) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=other.url, headers={"authorization": f"Bearer {MASTER_KEY}"}, timeout=90) as client:
        yield client


@pytest.fixture
def client(proxy: Proxy) -> Iterator[openai.OpenAI]:
    """The official client, as anybody would configure it."""
    with openai.OpenAI(base_url=f"{proxy.url}/v1", api_key=MASTER_KEY, max_retries=0, timeout=90) as made:
        yield made


@pytest.fixture
def claude(proxy: Proxy) -> Iterator[anthropic.Anthropic]:
    """The official client of the other protocol."""
    with anthropic.Anthropic(base_url=proxy.url, api_key=MASTER_KEY, max_retries=0, timeout=90) as made:
        yield made


@pytest.fixture
def ask(http: httpx.Client, prompt: str) -> Callable[..., httpx.Response]:
    """One chat completion, whole."""

    def asked(model: str, headers: dict[str, str] | None = None, **body: Any) -> httpx.Response:
        given = {"model": model, "messages": [{"role": "user", "content": prompt}], **body}
        return http.post("/v1/chat/completions", json=given, headers=headers)

    return asked


@pytest.fixture
def prompt() -> str:
    """One that no test has sent before, so that no answer of the cache is in the way."""
    return f"A question of {uuid.uuid4()}"

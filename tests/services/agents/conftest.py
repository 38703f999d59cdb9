"""The service as it is deployed: real processes, Redis and Postgres, around stand-ins that are named as such."""

import os
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import openai
import pytest
import uvicorn
from qdrant_client import AsyncQdrantClient

SERVICE = Path(__file__).parents[3] / "services" / "agents"
sys.path.insert(0, str(SERVICE))

from mesh_agents.api.app import make_app  # noqa: E402
from mesh_agents.config import SECRETS, Settings  # noqa: E402

from tests.services.agents.embedding import SIZE  # noqa: E402
from tests.services.agents.servers import ABILITIES, PRICES, Postgres, Redis, free_port, running, wait_until  # noqa: E402
from tests.services.agents.stand_in import StandIn  # noqa: E402

ADDRESSES = ("LITELLM", "EMBEDDINGS", "WHISPER", "INTERPRETER", "OCR", "COMFYUI")
KEY = "secret-of-api-key"
RELEVANT = "0.25"
"""MiniLM's similarities are lower than those of bge-m3."""
# For every `Settings` of the tests, as the deployment sets it for every process.
os.environ["AGENTS_PRICES"] = PRICES


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    server = Redis(tmp_path_factory.mktemp("redis"))
    with running(server):
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    # Not below pytest's own folder, which every start of pytest closes to all users but one.
    with tempfile.TemporaryDirectory(prefix="agents-postgres-") as folder:
        server = Postgres(Path(folder))
        with running(server):
            server.create()
            yield server


@pytest.fixture(scope="session")
def _upstream() -> Iterator[StandIn]:
    server = StandIn(free_port())
    server.start()
    yield server
    server.stop()


@pytest.fixture
def upstream(_upstream: StandIn) -> StandIn:
    _upstream.reset()
    return _upstream


@pytest.fixture(scope="session")
def config_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("config")
    for name in SECRETS:
        (folder / name).write_text(f"secret-of-{name}\n")
    return folder


@pytest.fixture(scope="session")
def environment(redis: Redis, postgres: Postgres, _upstream: StandIn, config_dir: Path) -> dict[str, str]:
    """What the deployment sets, with addresses of this machine."""
    hour = time.localtime().tm_hour
    urls = {f"AGENTS_{name}_URL": _upstream.url for name in ADDRESSES}
    return {
        **urls,
        "AGENTS_CONFIG_DIR": str(config_dir),
        "AGENTS_REDIS_HOST": "127.0.0.1",
        "AGENTS_REDIS_PORT": str(redis.port),
        "AGENTS_POSTGRES_HOST": "127.0.0.1",
        "AGENTS_POSTGRES_PORT": str(postgres.port),
        "AGENTS_QDRANT_URL": "http://127.0.0.1:9",
        "AGENTS_PRICES": PRICES,
        "AGENTS_EMBEDDING_MODEL": "all-MiniLM-L6-v2",
        "AGENTS_EMBEDDING_SIZE": str(SIZE),
        "AGENTS_MIN_SCORE": RELEVANT,
        "AGENTS_LEASE_SECONDS": "3",
        "AGENTS_MAX_WAITING_RUNS": "20",
        "AGENTS_MAX_WAITING_RUNS_OF_TENANT": "15",
        "AGENTS_MAX_BODY_MIB": "2",
        # Closed, whatever the hour of the tests.
        "AGENTS_OFF_PEAK": f"{(hour + 2) % 24:02}:00-{(hour + 3) % 24:02}:00",
    }


@contextmanager
def serving(
    environment: dict[str, str], vectors: AsyncQdrantClient | None = None, writer: AsyncQdrantClient | None = None
) -> Iterator[str]:
    """The API in a thread; its base URL. `vectors`: Qdrant's local mode, the stand-in for its server.

    `writer`: what is written to instead.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        settings = Settings(port=free_port())
    app = make_app(settings, (writer or vectors, vectors) if vectors else None)
    config = uvicorn.Config(app, host="127.0.0.1", port=settings.port, log_config=None, access_log=False, ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_until(lambda: server.started, what="the API's start")
    yield f"http://127.0.0.1:{settings.port}"
    server.should_exit = True
    thread.join(15)


@pytest.fixture(scope="session")
def vectors() -> AsyncQdrantClient:
    return AsyncQdrantClient(":memory:")


@pytest.fixture(scope="session")
def base_url(environment: dict[str, str], vectors: AsyncQdrantClient) -> Iterator[str]:
    with serving(environment, vectors) as url:
        wait_until(lambda: httpx.get(f"{url}/ready").status_code == 200, what="readiness")
        yield url


@pytest.fixture(scope="session")
def seeing_url(environment: dict[str, str], vectors: AsyncQdrantClient) -> Iterator[str]:
    """Of an API whose cloud models are known to see."""
    with serving({**environment, "AGENTS_ABILITIES": ABILITIES}, vectors) as url:
        wait_until(lambda: httpx.get(f"{url}/ready").status_code == 200, what="readiness")
        yield url


@pytest.fixture
def http(base_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=base_url, headers={"authorization": f"Bearer {KEY}"}, timeout=30) as client:
        yield client


@pytest.fixture
def tenant() -> str:
    """A name that nobody else has."""
    return f"tenant-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def mine(base_url: str, tenant: str, upstream: StandIn) -> Iterator[httpx.Client]:
    """A client that comes through the gateway as a tenant of its own."""
    headers = {"authorization": f"Bearer {KEY}", "x-consumer-username": tenant}
    with httpx.Client(base_url=base_url, headers=headers, timeout=90) as client:
        yield client


@pytest.fixture
def client(base_url: str) -> Iterator[openai.OpenAI]:
    """The official client, as anybody would configure it."""
    with openai.OpenAI(base_url=f"{base_url}/v1", api_key=KEY, max_retries=0) as made:
        yield made


class Worker:
    """A worker process; what it logs is in `log` where that is given."""

    def __init__(self, environment: dict[str, str], log: Path = Path(os.devnull)) -> None:
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mesh_agents", "worker"],
                cwd=SERVICE,
                env={**os.environ, **environment},
                stdout=output,
            )

    def kill(self) -> None:
        """As the kernel does it: no goodbye."""
        self._process.kill()
        self._process.wait(10)

    def stop(self) -> int:
        self._process.terminate()
        return self._process.wait(60)


@pytest.fixture(scope="module")
def worker(environment: dict[str, str]) -> Iterator[Worker]:
    made = Worker(environment)
    yield made
    made.stop()

"""The real LiteLLM on the real rendered configuration, and a real Redis with the platform's users, on loopback."""

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import redis
import yaml

from render.litellm import ENVIRONMENT, HOOKS, litellm_config, litellm_keys, litellm_models
from render.redis import USERS, redis_acl, redis_config
from settings import Models
from tests.services.agents.servers import free_port, wait_until
from tests.services.litellm.database import environment
from tests.services.litellm.upstream import Upstream
from tests.unit.samples import settings

MASTER_KEY = "sk-master-of-the-tests"
KEYS = {
    "claude_api_key": "claude-of-the-tests",
    "openrouter_api_key": "openrouter-of-the-tests",
    "vllm_api_key": "vllm-of-the-tests",
    "embeddings_api_key": "embeddings-of-the-tests",
    "master_key": MASTER_KEY,
    "redis_password": "redis-of-the-tests",
    "database_password": "database-of-the-tests",
}
CALLERS = {"agents": "sk-agents-of-the-tests", "kong": "sk-kong-of-the-tests"}
"""Whose keys the proxy keeps in its database."""
LOCAL = ("vllm_local", "local_bge")
"""The names behind thanos' address; all others are in the cloud."""
_MODELS = Models()
VLLM, SONNET, OPUS = _MODELS.chat, _MODELS.claude_sonnet, _MODELS.claude_opus
SMALL, MIXTRAL, BGE = _MODELS.claude_small, _MODELS.openrouter_mixtral, _MODELS.embedding

# What the platform waits in tens of seconds is waited for in seconds here; tests/unit has the real values.
SHORT = {"timeout": 4, "stream_timeout": 2}
COOLDOWN = 3


class Redis:
    """A Redis server with the platform's configuration and users."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        passwords = dict.fromkeys(USERS, "redis-of-the-tests")
        # Debian's version is older than the image's and does not know this one command.
        (folder / "users.acl").write_text(redis_acl(passwords).replace(" +client|setinfo", ""))
        text = redis_config(128).replace("bind 0.0.0.0", "bind 127.0.0.1").replace("port 6379", f"port {self.port}")
        (folder / "redis.conf").write_text(text.replace("/config/", f"{folder}/").replace("/data", str(folder)))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        if self._process is not None:
            return
        self._process = subprocess.Popen(["redis-server", str(self._folder / "redis.conf")], stdout=subprocess.DEVNULL)
        wait_until(self._answers, what="Redis' start")

    def _answers(self) -> bool:
        with contextlib.suppress(redis.RedisError), self.admin() as client:
            return bool(client.ping())
        return False

    def admin(self) -> "redis.Redis":
        return redis.Redis(port=self.port, username="admin", password="redis-of-the-tests", decode_responses=True)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None


def on_loopback(config: dict[str, Any], local: Upstream, cloud: Upstream, redis_port: int) -> dict[str, Any]:
    """The rendered configuration with the addresses of the tests; without a database until one is named."""
    for entry in config["model_list"]:
        base = local.url if entry["model_name"] in LOCAL else cloud.url
        # Anthropic's client adds the version itself.
        suffix = "" if entry["litellm_params"]["model"].startswith("anthropic/") else "/v1"
        entry["litellm_params"]["api_base"] = base + suffix
    config["litellm_settings"]["cache_params"] |= {"host": "127.0.0.1", "port": redis_port}
    del config["general_settings"]["database_url"]
    return config


def shortened(config: dict[str, Any]) -> dict[str, Any]:
    """With the waits of the tests."""
    # Spending is written each minute, and a little more or less.
    config["general_settings"]["proxy_batch_write_at"] = 5
    config["router_settings"] |= {name: SHORT[name] for name in SHORT if name in config["router_settings"]}
    for entry in config["model_list"]:
        params = entry["litellm_params"]
        params |= {name: SHORT[name] for name in SHORT if name in params}
    return config


def rendered(**config: Any) -> dict[str, Any]:
    """What the program renders for these settings."""
    loaded: dict[str, Any] = yaml.safe_load(litellm_config(settings(**config), **KEYS))
    return loaded


class Proxy:
    """A LiteLLM process."""

    def __init__(
        self, folder: Path, config: dict[str, Any], database: str = "", keys: dict[str, str] = CALLERS
    ) -> None:
        """`database` is the URL of its database; none: there are no keys but the master's."""
        self.port = free_port()
        self._folder = folder
        self._log = folder / "log"
        if database:
            config["general_settings"]["database_url"] = database
        else:
            config["litellm_settings"]["callbacks"].remove("own_keys.hook")
        self._engine = environment() if database else {}
        self.lay(keys)
        (folder / "models.json").write_text(litellm_models(settings()))
        (folder / "litellm.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
        for name, path in HOOKS.items():
            shutil.copy(path, folder / name)
        self._process: subprocess.Popen[bytes] | None = None

    def lay(self, keys: dict[str, str], **config: Any) -> None:
        """Put its callers' keys where its next start finds them."""
        (self._folder / "keys.json").write_text(litellm_keys(settings(**config), keys))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        self.launch()
        self.wait()

    def launch(self) -> None:
        program = Path(sys.executable).with_name("litellm")
        arguments = f"--config litellm.yaml --host 127.0.0.1 --port {self.port} --telemetry False"
        variables = {**os.environ, **ENVIRONMENT, "HOME": str(self._folder), "LITELLM_SALT_KEY": "sk-salt"}
        variables.pop("DATABASE_URL", None)
        variables |= {**self._engine, "LITELLM_MIGRATION_DIR": str(self._folder / "migrations")}
        variables["REDIS_CIRCUIT_BREAKER_RECOVERY_TIMEOUT"] = "1"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(program), *arguments.split()],
                cwd=self._folder,
                env=variables,
                stdout=log,
                stderr=log,
            )

    def wait(self) -> None:
        try:
            wait_until(self._ready, seconds=600, what="LiteLLM's start")
        except (TimeoutError, AssertionError) as error:
            raise RuntimeError(self.log()[-4000:]) from error

    def _ready(self) -> bool:
        assert not self.ended(), "it ended"
        return self.ready()

    def ended(self) -> bool:
        assert self._process is not None
        return self._process.poll() is not None

    def ready(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/health/readiness", timeout=5).status_code == 200
        return False

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(10)
            self._process = None

"""What the service is told: plain values by environment, secrets as files."""

import re
from datetime import time
from pathlib import Path
from typing import Final, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from mesh_agents.llm.prices import Prices
from mesh_agents.routing.abilities import Abilities

SECRETS: Final = (
    "api-key",
    "litellm-key",
    "qdrant-key",
    "qdrant-read-only-key",
    "embeddings-key",
    "whisper-key",
    "ocr-key",
    "interpreter-key",
    "redis-password",
    "postgres-password",
)
"""Files in the configuration folder, one secret each."""

_WINDOW: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


class Settings(BaseSettings):
    """Read once at start; every field is `AGENTS_<NAME>`. Addresses default to the mesh's local names."""

    model_config = SettingsConfigDict(env_prefix="AGENTS_", frozen=True, extra="ignore")

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=1, le=65535)
    config_dir: Path = Path("/config")
    api_processes: int = Field(default=2, ge=1, le=16)
    """Of the API, which share its port: as many as the service has CPUs."""
    workers: int = Field(default=2, ge=1, le=16)
    """Worker processes beside the API."""
    runs_per_worker: int = Field(default=4, ge=1, le=64)

    litellm_url: str = "http://litellm:8081"
    qdrant_url: str = "http://qdrant:6333"
    embeddings_url: str = "http://embeddings:8001"
    reranker_url: str = ""
    """Where a reranking model is served as Text Embeddings Inference does it; "": passages are not reranked."""
    whisper_url: str = "http://whisper:8002"
    interpreter_url: str = "http://interpreter:8004"
    ocr_url: str = "http://ocr:8005"
    comfyui_url: str = "http://comfyui:8003"
    redis_host: str = "redis"
    redis_port: int = 6379
    redis_user: str = "agents"
    postgres_host: str = "postgres"
    postgres_port: int = 5432
    postgres_user: str = "agents"
    postgres_database: str = "agents"

    embedding_model: str = "BAAI/bge-m3"
    embedding_size: int = Field(default=1024, ge=1)
    embedding_batch: int = Field(default=32, ge=1)
    """Texts in one call; the server's own limit is 32."""
    whisper_model: str = "Systran/faster-whisper-small"
    image_checkpoint: str = "sd_xl_base_1.0.safetensors"
    """File among ComfyUI's checkpoints."""
    image_seconds: float = Field(default=300, gt=0)
    ocr_seconds: float = Field(default=3600, gt=0)
    """Time limit for reading one document."""
    qdrant_replicas: int = Field(default=3, ge=1)
    """One on every peer."""
    min_score: float = Field(default=0.45, ge=-1, le=1)
    """Cosine similarity below which a passage counts as irrelevant; it depends on the embedding model."""

    off_peak: str = "22:00-06:00"
    """When heavy jobs may start, by the container's clock: UTC, unless it is told otherwise."""
    prices: str = ""
    """JSON of model -> [in, out], US dollars for a million tokens, of every model; the program's settings say them."""

    abilities: str = ""
    """JSON of model -> what it can do besides text: `vision`, `tools`, `audio`. Unset: all call tools, no more."""

    max_steps: int = Field(default=24, ge=1)
    max_tokens: int = Field(default=200_000, ge=1)
    max_seconds: float = Field(default=1800, gt=0)
    max_usd: float = Field(default=2.0, gt=0)
    """Limits of one run; a caller may ask for less, never for more."""
    max_waiting_runs: int = Field(default=1000, ge=1)
    max_waiting_runs_of_tenant: int = Field(default=500, ge=1)
    """So that one tenant leaves the others room."""
    keep_runs_days: int = Field(default=30, ge=1, le=3650)
    """How long a run that has ended can be asked for, with its events and pictures."""
    lease_seconds: float = Field(default=30, gt=0)
    """How long a worker may be silent until another takes its run over."""
    conversation_tokens: int = Field(default=6000, ge=500)
    """Of a conversation, beside the request itself, that a model of the agents is told; the middle of a longer one is
    left out."""
    max_body_mib: int = Field(default=32, ge=1)
    max_files_mib_of_tenant: int = Field(default=2048, ge=1)
    """Of the files that one tenant has sent to `/v1/files`; they lie in Postgres."""
    first_token_seconds: float = Field(default=120, gt=0)
    idle_stream_seconds: float = Field(default=120, gt=0)
    whole_answer_seconds: float = Field(default=600, gt=0)
    """Until an answer that is no stream is there: as long as the model proxy gives a model for it."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        """Values that would fail only when they are first used."""
        if not _WINDOW.fullmatch(self.off_peak):
            raise ValueError(f"AGENTS_OFF_PEAK is {self.off_peak!r}; wanted: HH:MM-HH:MM")
        Prices.parse(self.prices)
        Abilities.parse(self.abilities)
        return self

    def secret(self, name: str) -> SecretStr:
        """The content of one file of `SECRETS`.

        Raises:
            ConfigError: it is missing or empty.

        """
        path = self.config_dir / name
        try:
            value = path.read_text("utf-8").strip()
        except OSError as error:
            raise ConfigError(f"cannot read the secret {name!r} in AGENTS_CONFIG_DIR: {error.strerror}") from error
        if not value:
            raise ConfigError(f"the secret {name!r} in AGENTS_CONFIG_DIR is empty")
        return SecretStr(value)

    def check_secrets(self) -> None:
        """Read every secret once, so that a missing one stops the start and not some later call.

        Raises:
            ConfigError: one is missing or empty.

        """
        for name in SECRETS:
            self.secret(name)

    def off_peak_window(self) -> tuple[time, time]:
        """Begin and end of the off-peak window; it may pass midnight."""
        begin, end = self.off_peak.split("-")
        return time.fromisoformat(begin), time.fromisoformat(end)


class ConfigError(Exception):
    """The service cannot start as it is configured; the message says what to fix."""

"""What a stack may be told, with its defaults."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network

from settings.embeddings import KNOWN, Shape
from settings.prices import Price
from settings.tool_parsers import tool_parser
from topology.model import Node


class Secret:
    """A secret from the configuration; it shows itself only to `reveal`."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        """Keep `value` out of sight."""
        self._value = value

    def reveal(self) -> str:
        """The value; wrap it in `pulumi.Output.secret` at once."""
        return self._value

    def __repr__(self) -> str:
        """Never the value."""
        return "Secret(hidden)"

    def __eq__(self, other: object) -> bool:
        """By value, for tests and for frozen settings."""
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        """By value."""
        return hash(self._value)


@dataclass(frozen=True, kw_only=True)
class Models:
    """Names of the models, local and in the cloud."""

    chat: str = "Qwen/Qwen2.5-7B-Instruct-AWQ"
    """vLLM: a hub name, or the absolute path of a folder below the GPU node's model path."""
    chat_tool_parser: str | None = None
    """vLLM's parser for the chat model's tool calls; None: chosen by the model's family."""
    chat_context: int = 16384
    """vLLM's context window in tokens."""
    embedding: str = "BAAI/bge-m3"
    """One model on GPU and CPU, so that vectors stay comparable."""
    embedding_size: int = 1024
    """Dimensions of its vectors."""
    embedding_shape: Shape | None = None
    """The shape of a model that is not in `settings.embeddings.KNOWN`."""
    speech_to_text: str = "Systran/faster-whisper-small"
    text_to_speech: str = "speaches-ai/Kokoro-82M-v1.0-ONNX"
    claude_sonnet: str = "claude-sonnet-4-6"
    claude_opus: str = "claude-opus-4-6"
    claude_small: str = "claude-haiku-4-5"
    """The smaller cloud model at the end of the fallback chain."""
    openrouter_mixtral: str = "mistralai/mixtral-8x22b-instruct"
    image_checkpoint: str = "sd_xl_base_1.0.safetensors"
    """File below `models/checkpoints` of ComfyUI's volume, by which the agents have pictures made. Nothing
    downloads it: whoever runs the GPU node puts it there."""

    @property
    def chat_is_local(self) -> bool:
        """Whether the chat model is a folder on the GPU node rather than a name on the hub."""
        return self.chat.startswith("/")

    @property
    def chat_name(self) -> str:
        """What vLLM, the model proxy and the agents call the chat model: its hub name, or its folder's name."""
        return self.chat.rpartition("/")[2] if self.chat_is_local else self.chat

    @property
    def tool_parser(self) -> str | None:
        """The parser for the chat model's tool calls; None: its family is not known and the settings name none."""
        return self.chat_tool_parser or tool_parser(self.chat)

    def shape_of_embedding(self) -> Shape | None:
        """What the embedding model's memory depends on; None: neither known nor set."""
        return self.embedding_shape or KNOWN.get(self.embedding)

    def cloud(self) -> Mapping[str, str]:
        """Those in the cloud, each of which has a price, by their names in the routing rules."""
        names = ("claude_sonnet", "claude_opus", "claude_small", "openrouter_mixtral")
        return {name: getattr(self, name) for name in names}

    def names(self) -> Mapping[str, str]:
        """What the configured models are really called -> their names in the routing rules."""
        real = {"vllm_local": self.chat_name, "local_bge": self.embedding, **self.cloud()}
        return {model: name for name, model in real.items()}


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Money that the model proxy may spend, in US dollars."""

    monthly_usd: float = 100.0
    per_key_usd: float = 25.0


@dataclass(frozen=True, kw_only=True)
class AlertTargets:
    """Where alerts go; none: they stay in Alertmanager."""

    email: str | None = None
    smtp_host: str | None = None
    smtp_port: int = 465
    """TLS from the first byte: the way out is by server name, which STARTTLS does not send."""
    smtp_user: str | None = None
    sender: str | None = None


@dataclass(frozen=True, kw_only=True)
class BackupStore:
    """Where backups go: buckets on AWS that we make, or any S3-compatible endpoint."""

    provider: str = "aws"
    """`aws` or `s3`."""
    region: str = "eu-central-1"
    bucket_prefix: str = "agentic-mesh-backup"
    """Each node's bucket is `<prefix>-<node>`."""
    endpoint: str | None = None
    """Host name of the S3 endpoint; None: AWS' own for the region."""
    retention_days: int = 35
    """How long a backup can be neither deleted nor overwritten."""
    telemetry: bool = False
    """Whether metrics and logs are backed up too. They change all day, and a locked copy of each day adds up."""

    def bucket(self, node: str) -> str:
        """The bucket of a node."""
        return f"{self.bucket_prefix}-{node}"

    def host(self, node: str) -> str:
        """The one host name through which the node's bucket is reached."""
        if self.endpoint is not None:
            return self.endpoint
        # As restic names it: by bucket, over both IP versions.
        return f"{self.bucket(node)}.s3.dualstack.{self.region}.amazonaws.com"


@dataclass(frozen=True, kw_only=True)
class LogStore:
    """How long logs are kept, and how much disk they may take."""

    retention_days: int = 31
    max_disk_gib: int = 10
    """Above this size the oldest day is deleted."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that one stack is told."""

    stack: str
    node: Node
    nodes: tuple[Node, ...]
    foundation: str
    """The stack that owns what the nodes share."""
    docker_host: str
    container_range: IPv4Network
    data_root: str
    model_path: str
    qdrant_storage: str
    gpu_memory_gib: float
    gpu_devices: tuple[str, ...]
    gpu_shares: Mapping[str, float]
    """GiB of the card for each GPU service; vLLM's is what the others leave."""
    models: Models
    model_hub: tuple[str, ...]
    """Outside hosts that models are downloaded from; empty: never download."""
    domain: str
    """Public host name; empty on a GPU node that does not probe the edge from outside."""
    ports: Mapping[str, int]
    """Tailnet ports that services are published on instead of their own; alike on all stacks."""
    public_address: str
    """Where the edge listens on a control node."""
    cors_origins: tuple[str, ...]
    """Origins of web pages whose scripts may call the public API; none: only programs outside browsers can."""
    alerts: AlertTargets
    backup: BackupStore
    logs: LogStore
    budget: Budget
    prices: Mapping[str, Price]
    """Of every cloud model that is configured."""
    abilities: Mapping[str, frozenset[str]]
    """What each chat model can do besides text, by its name in the routing rules; see `settings.abilities`."""
    model_names: Mapping[str, str]
    """A client's name for a model, or a pattern of such names -> the model proxy's; the first that matches counts. An
    empty text: refused."""
    secrets_epoch: int
    authorities: tuple[int, ...]
    """Generations of the certificate authority: the first signs, all are trusted. Of the foundation's stack."""
    manage_tailnet: bool
    tailnet_operators: tuple[str, ...]
    """Logins or groups of the tailnet whose people may operate the nodes."""
    n8n_webhook_url: str
    n8n_editor_url: str
    """The address by which people open n8n. OAuth providers redirect them to it, so they must be logged in there."""
    n8n_hosts: tuple[str, ...]
    """Outside hosts that workflows may call."""
    allow_unencrypted_data: bool
    """Skips the preflight's look for LUKS below the data root; the lab's own exception."""
    host_memory_gib: float
    """The host's memory, which the limits of all its containers must fit."""
    memory_mib: Mapping[str, int]
    """Memory limits of services that override the service table's."""
    allow_small_host: bool
    """Skips the preflight's check of `host_memory_gib`; for the lab only."""
    host_cpus: float
    """No service gets more: Docker refuses a limit above what the host has."""
    cache_shared: bool
    """Whether users share cached model answers."""
    off_peak: str
    """Window for heavy jobs, `HH:MM-HH:MM` in UTC, which is the containers' time."""
    claude_api_key: Secret | None
    openrouter_api_key: Secret | None
    langgraph_api_key: Secret | None
    redis_password: Secret | None
    tailscale_auth_key: Secret | None
    smtp_password: Secret | None
    alert_webhook: Secret | None
    """An https URL; those of chat services hold a token."""
    backup_access_key: Secret | None
    backup_secret_key: Secret | None
    edge_certificate: str | None
    edge_certificate_key: Secret | None

    def egress(self) -> Mapping[str, tuple[str, ...]]:
        """The lists behind the `@group` names of the service table."""
        mail = f"{self.alerts.smtp_host}:{self.alerts.smtp_port}" if self.alerts.smtp_host else None
        alerts = (mail, _host_of(self.alert_webhook.reveal() if self.alert_webhook else None))
        return {
            "backup-store": (self.backup.host(self.node.name),),
            "model-hub": self.model_hub,
            "n8n": self.n8n_hosts,
            "alerts": tuple(host for host in alerts if host),
            "public-edge": (self.domain,) if self.domain else (),
        }


def _host_of(url: str | None) -> str | None:
    """Host of an https URL, with its port where it names one."""
    return None if url is None else url.split("/")[2]

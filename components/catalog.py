"""Which component makes which service."""

from collections.abc import Mapping
from typing import Final, Protocol

import pulumi

from components.agents import Agents
from components.alertmanager import Alertmanager
from components.backup import Backup
from components.blackbox_exporter import BlackboxExporter
from components.comfyui import ComfyUI
from components.context import ServiceArgs
from components.crowdsec import CrowdSec
from components.edge import Edge
from components.embeddings import Embeddings, EmbeddingsCpu
from components.gpu_exporter import GpuExporter
from components.grafana import Grafana
from components.interpreter import Interpreter
from components.kong import Kong
from components.litellm import LiteLLM
from components.log_shipper import LogShipper
from components.loki import Loki
from components.n8n import N8n, N8nRunners, N8nWorker
from components.node_exporter import NodeExporter
from components.ocr import Ocr
from components.pod import Pod
from components.postgres import Postgres
from components.postgres_exporter import PostgresExporter
from components.prometheus import Prometheus
from components.qdrant import Qdrant, QdrantReplica, QdrantWitness
from components.redis import Redis
from components.redis_exporter import RedisExporter
from components.vllm import Vllm
from components.whisper import Whisper


class ServiceComponent(Protocol):
    """What every service's component has."""

    pod: Pod

    def __init__(self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the service."""


COMPONENTS: Final[Mapping[str, type[ServiceComponent]]] = {
    "agents": Agents,
    "alertmanager": Alertmanager,
    "backup": Backup,
    "blackbox-exporter": BlackboxExporter,
    "comfyui": ComfyUI,
    "crowdsec": CrowdSec,
    "edge": Edge,
    "embeddings": Embeddings,
    "embeddings-cpu": EmbeddingsCpu,
    "gpu-exporter": GpuExporter,
    "grafana": Grafana,
    "interpreter": Interpreter,
    "kong": Kong,
    "litellm": LiteLLM,
    "log-shipper": LogShipper,
    "loki": Loki,
    "n8n": N8n,
    "n8n-runners": N8nRunners,
    "n8n-worker": N8nWorker,
    "node-exporter": NodeExporter,
    "ocr": Ocr,
    "postgres": Postgres,
    "postgres-exporter": PostgresExporter,
    "prometheus": Prometheus,
    "qdrant": Qdrant,
    "qdrant-replica": QdrantReplica,
    "qdrant-witness": QdrantWitness,
    "redis": Redis,
    "redis-exporter": RedisExporter,
    "vllm": Vllm,
    "whisper": Whisper,
}

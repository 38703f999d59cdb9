"""Which component makes which service."""

from collections.abc import Mapping
from typing import Final, Protocol

import pulumi

from components.platform.context import ServiceArgs
from components.platform.pod import Pod
from components.services.agents import Agents
from components.services.alertmanager import Alertmanager
from components.services.backup import Backup
from components.services.blackbox_exporter import BlackboxExporter
from components.services.comfyui import ComfyUI
from components.services.crowdsec import CrowdSec
from components.services.edge import Edge
from components.services.embeddings import Embeddings, EmbeddingsCpu
from components.services.gpu_exporter import GpuExporter
from components.services.grafana import Grafana
from components.services.interpreter import Interpreter
from components.services.kong import Kong
from components.services.litellm import LiteLLM
from components.services.log_shipper import LogShipper
from components.services.n8n import N8n, N8nRunners, N8nWorker
from components.services.node_exporter import NodeExporter
from components.services.ocr import Ocr
from components.services.postgres import Postgres
from components.services.postgres_exporter import PostgresExporter
from components.services.prometheus import Prometheus
from components.services.qdrant import Qdrant, QdrantReplica, QdrantWitness
from components.services.redis import Redis
from components.services.redis_exporter import RedisExporter
from components.services.victorialogs import VictoriaLogs
from components.services.vllm import Vllm
from components.services.whisper import Whisper


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
    "victorialogs": VictoriaLogs,
    "vllm": Vllm,
    "whisper": Whisper,
}

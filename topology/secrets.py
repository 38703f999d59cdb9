"""The secrets that the program generates: who reads each, and which must not change by themselves."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from topology.graph import Graph
from topology.model import Service


@dataclass(frozen=True, kw_only=True)
class GeneratedSecret:
    """A random secret, `length` letters and digits (no others: they end up in URLs)."""

    name: str
    readers: tuple[str, ...]
    """Services that get it; a secret read on nodes of several roles belongs to the foundation."""
    length: int = 48
    rotates: bool = True
    """False: a new secrets epoch leaves it alone, for the reason in `why_kept`."""
    why_kept: str = ""
    per_node: bool = False
    """Each node has its own."""
    prefix: str = ""
    """What some program wants it to begin with."""


MODEL_CALLERS: Final[Mapping[str, tuple[str, ...]]] = {
    "agents": ("agents",),
    "kong": ("kong",),
    # A person enters it in n8n, as a credential of its own.
    "n8n": (),
}
"""Who has a key of the model proxy, with a budget; the services that read it."""

SECRETS: Final = (
    GeneratedSecret(name="vllm-api-key", readers=("vllm", "litellm")),
    GeneratedSecret(name="embeddings-api-key", readers=("embeddings", "embeddings-cpu", "litellm", "agents")),
    GeneratedSecret(name="whisper-api-key", readers=("whisper", "agents", "kong")),
    GeneratedSecret(name="ocr-api-key", readers=("ocr", "agents", "kong")),
    GeneratedSecret(name="interpreter-api-key", readers=("interpreter", "agents")),
    GeneratedSecret(
        name="qdrant-api-key",
        readers=("qdrant", "qdrant-witness", "qdrant-replica", "agents", "backup"),
    ),
    GeneratedSecret(
        name="qdrant-read-only-api-key",
        readers=("qdrant", "qdrant-witness", "qdrant-replica", "agents"),
    ),
    # It makes keys and reads them: no caller has it.
    GeneratedSecret(name="litellm-master-key", readers=("litellm",), prefix="sk-"),
    *(
        GeneratedSecret(name=f"litellm-{caller}-key", readers=("litellm", *readers), prefix="sk-")
        for caller, readers in MODEL_CALLERS.items()
    ),
    GeneratedSecret(
        name="litellm-salt-key",
        readers=("litellm",),
        rotates=False,
        why_kept="keys and credentials in the model proxy's database are sealed with it",
        prefix="sk-",
    ),
    GeneratedSecret(name="langgraph-api-key", readers=("agents", "kong")),
    GeneratedSecret(name="gateway-owner-key", readers=("kong",)),
    GeneratedSecret(
        name="n8n-encryption-key",
        readers=("n8n", "n8n-worker"),
        rotates=False,
        why_kept="the credentials that n8n stores are sealed with it; rotate with n8n's own export and import",
    ),
    GeneratedSecret(name="n8n-runners-token", readers=("n8n-worker", "n8n-runners")),
    GeneratedSecret(name="grafana-admin-password", readers=("grafana",)),
    GeneratedSecret(
        name="grafana-secret-key",
        readers=("grafana",),
        rotates=False,
        why_kept="passwords and tokens that people enter in Grafana are sealed with it",
    ),
    GeneratedSecret(name="crowdsec-bouncer-key", readers=("crowdsec",)),
    GeneratedSecret(
        name="backup-passphrase",
        readers=("backup",),
        rotates=False,
        per_node=True,
        why_kept="without it no earlier backup opens; add a new key with restic instead",
    ),
    *(
        GeneratedSecret(name=f"redis-{user}-password", readers=("redis", *readers))
        for user, readers in (
            ("admin", ()),
            ("agents", ("agents",)),
            ("litellm", ("litellm",)),
            ("n8n", ("n8n", "n8n-worker")),
            ("kong", ("kong",)),
            ("exporter", ("redis-exporter",)),
        )
    ),
    *(
        GeneratedSecret(name=f"postgres-{role}-password", readers=("postgres", *readers))
        for role, readers in (
            ("admin", ()),
            ("agents", ("agents",)),
            ("litellm", ("litellm",)),
            ("n8n", ("n8n", "n8n-worker")),
            ("exporter", ("postgres-exporter",)),
            ("backup", ("backup",)),
        )
    ),
)

FOR_PEOPLE: Final[Mapping[str, str]] = {
    "api": "gateway-owner-key",
    "grafana": "grafana-admin-password",
    "n8n": "litellm-n8n-key",
}
"""What a person enters somewhere, by where; the stacks show them in their output `keys`."""

FROM_SETTINGS: Final[Mapping[str, str]] = {
    "langgraph-api-key": "langgraph_api_key",
    "redis-admin-password": "redis_password",
}
"""Secrets that the settings may give instead."""


def shared(secrets: Iterable[GeneratedSecret], graph: Graph) -> frozenset[str]:
    """Names of the secrets that are read on several nodes; the foundation makes and exports them."""

    def nodes(secret: GeneratedSecret) -> set[str]:
        known = (reader for reader in secret.readers if reader in graph.by_name)
        return {instance.node for reader in known for instance in graph.instances(reader)}

    return frozenset(s.name for s in secrets if not s.per_node and len(nodes(s)) > 1)


def read_by(secrets: Iterable[GeneratedSecret], services: Iterable[Service]) -> frozenset[str]:
    """Names of the secrets that these services read."""
    names = {s.name for s in services}
    return frozenset(s.name for s in secrets if names.intersection(s.readers))

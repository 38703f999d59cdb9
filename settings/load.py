"""Reads the stack's configuration and the environment into `Settings`; the only door."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Final

from settings import abilities, aliases, checks, embeddings, prices
from settings.checks import NotAllowedError
from settings.errors import PROJECT, SettingsError, UnknownKeyError
from settings.gpu import gpu_shares
from settings.model import AlertTargets, BackupStore, Budget, LogStore, Models, Secret, Settings
from topology.catalog import SERVICES
from topology.graph import GraphError, check_ports, with_ports
from topology.memory import with_memory
from topology.model import Node
from topology.nodes import NODES

ENVIRONMENT: Final[Mapping[str, str]] = {
    "CLAUDE_API_KEY": "claudeApiKey",
    "OPENROUTER_API_KEY": "openrouterApiKey",
    "TAILSCALE_AUTHKEY": "tailscaleAuthKey",
    "CUDA_VISIBLE_DEVICES": "gpuDevices",
    "VLLM_MODEL_PATH": "modelPath",
    "QDRANT_STORAGE": "qdrantStorage",
    "N8N_WEBHOOK_URL": "n8nWebhookUrl",
    "LANGGRAPH_API_KEY": "langgraphApiKey",
    "REDIS_PASSWORD": "redisPassword",
}
"""The architecture's environment variables and the keys they stand for; configuration wins."""

SECRETS: Final = frozenset(
    {
        "claudeApiKey",
        "openrouterApiKey",
        "tailscaleAuthKey",
        "langgraphApiKey",
        "redisPassword",
        "smtpPassword",
        "alertWebhook",
        "backupAccessKey",
        "backupSecretKey",
        "edgeCertificateKey",
    }
)

_HUB: Final = ["huggingface.co", "cdn-lfs.huggingface.co", "hf.co", "*.hf.co"]
"""The hub and the hosts that it redirects clients to for files, which it adds and moves without notice."""

_BUCKET_LENGTH: Final = 63
"""S3's longest name."""

KEYS: Final = frozenset(
    {
        "node", "nodes", "foundation", "dockerHost", "containerRange", "dataRoot", "modelPath",
        "qdrantStorage", "gpuMemoryGib", "gpuDevices", "gpuShares", "models", "modelHub", "domain",
        "publicAddress", "alerts", "backup", "budget", "secretsEpoch", "authorities", "manageTailnet",
        "ports", "prices", "logs", "modelAbilities", "modelNames",
        "tailnetOperators", "n8nWebhookUrl", "n8nEditorUrl", "n8nHosts", "allowUnencryptedData", "hostCpus",
        "hostMemoryGib", "memoryMib", "allowSmallHost",
        "cacheShared", "corsOrigins", "offPeak",
        "edgeCertificate", *SECRETS,
    }
)  # fmt: skip


def load(
    stack: str,
    config: Mapping[str, str],
    environment: Mapping[str, str],
    secret_keys: frozenset[str] | None = None,
) -> Settings:
    """Check everything and return the settings, or raise one `SettingsError`.

    `config` maps `agentic-mesh:key` to its text, objects as JSON, the way Pulumi hands it over; keys of other
    namespaces are left alone. `secret_keys` are the keys stored encrypted; None skips that check.
    """
    return _Reader(stack, config, environment, secret_keys).settings()


class _Reader:
    def __init__(
        self,
        stack: str,
        config: Mapping[str, str],
        environment: Mapping[str, str],
        secret_keys: frozenset[str] | None,
    ) -> None:
        self.stack = stack
        self.values: dict[str, str] = {
            key: environment[name] for name, key in ENVIRONMENT.items() if environment.get(name)
        }
        for name, value in config.items():
            namespace, _, key = name.partition(":")
            if namespace != PROJECT:
                continue
            if key not in KEYS:
                raise self.unknown(key, KEYS)
            if key in SECRETS and secret_keys is not None and name not in secret_keys:
                raise self.wrong(key, value, "a secret, stored encrypted with --secret")
            self.values[key] = value

    def unknown(self, key: str, known: frozenset[str]) -> UnknownKeyError:
        near = get_close_matches(key.rpartition(".")[2], known, 1)
        return UnknownKeyError(key, near[0] if near else None, ", ".join(sorted(known)), stack=self.stack)

    def wrong(self, key: str, found: object, allowed: str, example: str = "VALUE") -> SettingsError:
        secret = key in SECRETS
        return SettingsError(key, found, allowed, stack=self.stack, example=example, secret=secret)

    def get(self, key: str, check: checks.Check[Any], default: Any = None) -> Any:
        """The checked value; a default is checked too, since it may be derived from another value."""
        raw = self.values.get(key)
        if raw is None and default is None:
            return None
        value = _decoded(raw) if raw is not None else default
        return self.checked(key, check, value)

    def checked(self, key: str, check: checks.Check[Any], value: object) -> Any:
        try:
            return check.parse(value)
        except NotAllowedError as bad:
            raise self.wrong(key, value, bad.allowed or check.allowed, check.example) from None

    def secret(self, key: str, check: checks.Check[str] | None = None, *, required: bool = False) -> Secret | None:
        value = self.values.get(key)
        if value is None or not value.strip():
            if required:
                raise self.wrong(key, None, "your key with the provider, stored encrypted", "KEY")
            return None
        if value != value.strip() or (any(c.isspace() for c in value) and not value.startswith("-----")):
            raise self.wrong(key, value, "a key without blanks or line ends", "KEY")
        return Secret(self.checked(key, check, value) if check else value)

    def section(self, key: str, fields: Mapping[str, checks.Check[Any]]) -> dict[str, Any]:
        """An object of the configuration, key by key; unknown keys are refused."""
        value = self.get(key, checks.MAPPING, {})
        for name in value:
            if name not in fields:
                raise self.unknown(f"{key}.{name}", frozenset(fields))
        return {
            _snake(name): self.checked(f"{key}.{name}", check, value[name])
            for name, check in fields.items()
            if name in value
        }

    def nodes(self) -> tuple[Node, ...]:
        if "nodes" not in self.values:
            return NODES
        found = self.get("nodes", checks.MAPPING)
        if not found:
            example = '{"thanos": {"role": "gpu", "address": "100.64.1.1"}}'
            raise self.wrong("nodes", found, "at least one node", example)
        fields = {
            "role": checks.choice("gpu", "control"),
            "address": checks.TAILNET_ADDRESS,
            "architecture": checks.choice("amd64", "arm64"),
        }
        nodes = []
        for name, value in found.items():
            self.checked(f"nodes.{name}", checks.MAPPING, value)
            self.checked(f"nodes.{name}", checks.NODE_NAME, name)
            for key in value:
                if key not in fields:
                    raise self.unknown(f"nodes.{name}.{key}", frozenset(fields))
            for key in ("role", "address"):
                if key not in value:
                    check = fields[key]
                    raise self.wrong(f"nodes.{name}.{key}", None, check.allowed, check.example)
            read = {k: self.checked(f"nodes.{name}.{k}", fields[k], v) for k, v in value.items()}
            nodes.append(Node(name=name, **read))
        addresses = [node.address for node in nodes]
        for node in nodes:
            if addresses.count(node.address) > 1:
                raise self.wrong(f"nodes.{node.name}.address", node.address, "an address of its own for each node")
        return tuple(nodes)

    def settings(self) -> Settings:
        nodes = self.nodes()
        names = tuple(node.name for node in nodes)
        known = checks.choice(*names)
        name = self.get("node", known, self.stack)
        node = next(n for n in nodes if n.name == name)
        gpu_nodes = [n.name for n in nodes if n.role == "gpu"]
        data_root = self.get("dataRoot", checks.PATH, "/srv/agentic-mesh")
        memory = self.get("gpuMemoryGib", checks.number(4, 1024, "GiB of the card", "24"), 24)
        shares = self.section(
            "gpuShares",
            {s.name: checks.number(0, 1024, "GiB of the card", "4") for s in SERVICES if s.gpu},
        )
        control = node.role == "control"
        domain = self.get("domain", checks.HOST)
        if domain is None and control:
            raise self.wrong("domain", None, checks.HOST.allowed, checks.HOST.example)
        backup = self.backup(name)
        model_path = self.below(data_root, "modelPath", "models")
        models = self.models(model_path, gpu=not control)
        given_shares = self.shares(memory, {k.replace("_", "-"): v for k, v in shares.items()})
        memory_mib = self.memory_limits()
        self.check_embeddings(models, node, given_shares, memory_mib)
        settings = Settings(
            stack=self.stack,
            node=node,
            nodes=nodes,
            foundation=self.get("foundation", known, gpu_nodes[0] if gpu_nodes else name),
            docker_host=self.get("dockerHost", checks.DOCKER_HOST, "unix:///var/run/docker.sock"),
            container_range=self.get("containerRange", checks.PRIVATE_RANGE, "10.231.0.0/16"),
            data_root=data_root,
            model_path=model_path,
            qdrant_storage=self.below(data_root, "qdrantStorage", "qdrant"),
            gpu_memory_gib=memory,
            gpu_devices=self.get("gpuDevices", checks.DEVICES, "0"),
            gpu_shares=given_shares,
            models=models,
            model_hub=self.get("modelHub", checks.HUB, _HUB),
            domain=domain or "",
            ports=self.ports(),
            cors_origins=self.get("corsOrigins", checks.ORIGINS, []),
            # All of the host's own addresses.
            public_address=self.get("publicAddress", checks.ADDRESS, "0.0.0.0"),  # noqa: S104
            alerts=AlertTargets(**self.section("alerts", checks.ALERTS)),
            backup=backup,
            logs=LogStore(**self.section("logs", checks.LOGS)),
            budget=Budget(**self.section("budget", checks.BUDGET)),
            prices=self.prices(models),
            abilities=self.abilities(models),
            model_names=aliases.with_known(self.get("modelNames", aliases.NAMES, {}), models.names()),
            secrets_epoch=self.get("secretsEpoch", checks.EPOCH, 1),
            authorities=self.get("authorities", checks.AUTHORITIES, "1"),
            manage_tailnet=self.get("manageTailnet", checks.BOOLEAN, True),
            tailnet_operators=self.get("tailnetOperators", checks.OPERATORS, ["autogroup:admin"]),
            n8n_webhook_url=self.get("n8nWebhookUrl", checks.URL, f"https://{domain}" if domain else None) or "",
            n8n_editor_url=self.get("n8nEditorUrl", checks.EDITOR_URL, "http://localhost:5678"),
            n8n_hosts=self.get("n8nHosts", checks.HOSTS, []),
            allow_unencrypted_data=self.get("allowUnencryptedData", checks.BOOLEAN, False),
            host_memory_gib=self.get(
                "hostMemoryGib", checks.number(4, 4096, "GiB of the host's memory", "64"), 24 if control else 64
            ),
            memory_mib=memory_mib,
            allow_small_host=self.get("allowSmallHost", checks.BOOLEAN, False),
            host_cpus=self.get("hostCpus", checks.number(1, 1024, "CPUs of the host", "8"), 2 if control else 8),
            cache_shared=self.get("cacheShared", checks.BOOLEAN, False),
            off_peak=self.get("offPeak", checks.WINDOW, "22:00-06:00"),
            claude_api_key=self.secret("claudeApiKey", required=control),
            openrouter_api_key=self.secret("openrouterApiKey", required=control),
            langgraph_api_key=self.secret("langgraphApiKey"),
            redis_password=self.secret("redisPassword"),
            tailscale_auth_key=self.secret("tailscaleAuthKey"),
            smtp_password=self.secret("smtpPassword"),
            alert_webhook=self.secret("alertWebhook", checks.URL),
            backup_access_key=self.secret("backupAccessKey", required=backup.provider == "s3"),
            backup_secret_key=self.secret("backupSecretKey", required=backup.provider == "s3"),
            edge_certificate=self.get("edgeCertificate", checks.PEM),
            edge_certificate_key=self.secret("edgeCertificateKey"),
        )
        if settings.foundation == name and self.stack != name:
            allowed = (
                f"{self.stack}, or a stack that is named {name}: the other stacks find what they share by that name"
            )
            raise self.wrong("node", name, allowed, self.stack)
        if (settings.edge_certificate is None) != (settings.edge_certificate_key is None):
            missing = "edgeCertificate" if settings.edge_certificate is None else "edgeCertificateKey"
            raise self.wrong(missing, None, "certificate and key, both or neither", "PEM")
        return settings

    def below(self, data_root: str, key: str, folder: str) -> str:
        """A folder on the encrypted data root, and nowhere else."""
        path = str(self.get(key, checks.PATH, f"{data_root}/{folder}"))
        if not path.startswith(f"{data_root}/"):
            allowed = f"a path below the encrypted data root {data_root} (agentic-mesh:dataRoot)"
            raise self.wrong(key, path, allowed, f"{data_root}/{folder}")
        return path

    def models(self, model_path: str, *, gpu: bool) -> Models:
        """The models. On a GPU node, which serves the chat model, its path and its tool parser are checked too."""
        models = Models(**self.section("models", {**checks.MODELS, "embeddingShape": embeddings.SHAPE}))
        if not gpu:
            return models
        if models.chat_is_local and not models.chat.startswith(f"{model_path}/"):
            allowed = (
                f"a name on the model hub such as owner/name, or the absolute path of a folder below {model_path} "
                "(agentic-mesh:modelPath)"
            )
            raise self.wrong("models.chat", models.chat, allowed, f"{model_path}/{models.chat_name}")
        if models.tool_parser is None:
            allowed = (
                f"the tool parser of vLLM for models.chat ({models.chat}), whose model family is unknown to the "
                f"program: {checks.TOOL_PARSER.allowed}"
            )
            raise self.wrong("models.chatToolParser", None, allowed, checks.TOOL_PARSER.example)
        return models

    def backup(self, node: str) -> BackupStore:
        store = BackupStore(**self.section("backup", checks.BACKUP))
        if len(store.bucket(node)) > _BUCKET_LENGTH:
            raise self.wrong(
                "backup.bucketPrefix",
                store.bucket_prefix,
                f"a prefix that, with -{node}, makes at most {_BUCKET_LENGTH} characters",
                "agentic-mesh-backup",
            )
        for key in ("backupAccessKey", "backupSecretKey"):
            if store.provider == "aws" and key in self.values:
                allowed = "nothing while backup.provider is aws, whose credential the program makes"
                raise SettingsError(key, "given", allowed, stack=self.stack, secret=True, remove=True)
        if store.provider == "s3" and store.endpoint is None:
            raise self.wrong("backup.endpoint", None, "the host name of your S3 store", "s3.example.com")
        return store

    def prices(self, models: Models) -> Mapping[str, prices.Price]:
        """A price of every model that costs money: a budget that does not count it would not hold."""
        raw = self.get("prices", checks.MAPPING, {})
        given = self.checked("prices", prices.PRICES, raw)
        if (missing := prices.without_price(models.cloud().values(), given)) is not None:
            allowed = f"a price of {missing} too, in US dollars for a million tokens in and out"
            example = json.dumps({**raw, missing: prices.EXAMPLE})
            raise self.wrong("prices", raw or None, allowed, example)
        return {**prices.KNOWN, **given}

    def abilities(self, models: Models) -> Mapping[str, frozenset[str]]:
        """What each chat model can do besides text: what the table knows, and what the configuration says instead."""
        section = self.section("modelAbilities", dict.fromkeys(abilities.KEYS, abilities.CHECK))
        given = {key: section[_snake(key)] for key in abilities.KEYS if _snake(key) in section}
        if (bad := abilities.contradiction(models, given)) is not None:
            key, allowed, example = bad
            raise self.wrong(f"modelAbilities.{key}", abilities.shown(given[key]), allowed, example)
        return abilities.abilities(models, given)

    def check_embeddings(
        self, models: Models, node: Node, shares: Mapping[str, float], memory_mib: Mapping[str, int]
    ) -> None:
        """Check that the embedding model fits the memory of the service that runs it on this node."""
        shape = models.shape_of_embedding()
        if shape is None:
            allowed = f"{embeddings.SHAPE.allowed}, since {models.embedding} is none of {', '.join(embeddings.KNOWN)}"
            raise self.wrong("models.embeddingShape", None, allowed, embeddings.SHAPE.example)
        if models.embedding_size > shape.hidden:
            allowed = f"at most {shape.hidden}, the dimensions of {models.embedding}"
            raise self.wrong("models.embeddingSize", models.embedding_size, allowed, str(shape.hidden))
        try:
            for service in with_memory(SERVICES, memory_mib):
                if service.name in embeddings.SERVICES and service.role == node.role:
                    embeddings.batch_tokens(shape, service, shares)
        except NotAllowedError as bad:
            if node.role == "gpu":
                need = math.ceil(shape.gpu_mib(embeddings.LEAST) / 102.4) / 10
                allowed = f"at least {need:g} GiB for {models.embedding}, or a smaller model in models.embedding"
                raise self.wrong("gpuShares.embeddings", shares["embeddings"], allowed, f"{need:g}") from None
            raise self.wrong("models.embedding", models.embedding, bad.allowed, "BAAI/bge-small-en-v1.5") from None

    def ports(self) -> Mapping[str, int]:
        check = checks.whole(1024, 65535, "a tailnet port", "18000")
        given = self.section("ports", {s.name: check for s in SERVICES if s.ports})
        ports = {name.replace("_", "-"): number for name, number in given.items()}
        try:
            check_ports(with_ports(SERVICES, ports))
        except GraphError as clash:
            raise self.wrong("ports", ports, f"ports that nothing else has: {clash}", '{"vllm": 18000}') from None
        return ports

    def memory_limits(self) -> Mapping[str, int]:
        check = checks.whole(64, 1 << 20, "MiB of memory", "4096")
        given = self.section("memoryMib", {s.name: check for s in SERVICES})
        return {name.replace("_", "-"): limit for name, limit in given.items()}

    def shares(self, memory: float, given: Mapping[str, float]) -> Mapping[str, float]:
        try:
            return gpu_shares(SERVICES, memory, given)
        except NotAllowedError as bad:
            raise self.wrong("gpuShares", dict(given), bad.allowed, '{"comfyui": 4}') from None


def _decoded(raw: str) -> object:
    """Pulumi hands numbers, booleans and objects over as JSON text; anything else is itself."""
    if raw[:1] in "[{" or raw in ("true", "false"):
        try:
            return json.loads(raw)
        except json.JSONDecodeError:
            return raw
    return raw


def _snake(name: str) -> str:
    out = "".join(f"_{c.lower()}" if c.isupper() else c for c in name)
    return out.replace("-", "_")

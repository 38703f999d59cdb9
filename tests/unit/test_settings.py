"""Settings: safe defaults, one message for whatever is wrong, and no secret in any message."""

import json
import re
from dataclasses import FrozenInstanceError
from ipaddress import IPv4Network
from typing import Any

import pytest

from settings import BackupStore, Budget, Models, Secret, SettingsError, checks
from settings.gpu import gpu_utilization
from settings.load import ENVIRONMENT, KEYS, SECRETS, load
from tests.unit.samples import (
    CLAUDE_KEY,
    DOMAIN,
    NEEDED,
    NODES,
    OPENROUTER_KEY,
    configuration,
    settings,
)

ROLE = {"role": "gpu", "address": "100.64.1.1"}


def refused(config: dict[str, Any], stack: str = "oracle1") -> str:
    """The one message that these keys end in, beside the needed ones."""
    with pytest.raises(SettingsError) as error:
        settings(stack, **config)
    return str(error.value)


def fixes(message: str, key: str, stack: str = "oracle1", *, remove: bool = False) -> bool:
    """Whether it names the key, what is allowed, and a whole command that sets it, or removes what has no place.

    A secret's command asks for the value: in an argument it would stay in the shell's history.
    """
    first, _, second = message.partition("\n")
    secret = key in SECRETS
    command = "rm" if remove else "set --secret" if secret else "set"
    path = " --path" if "." in key else ""
    example = "" if secret or remove else r" '[^\n]+'"
    fix = rf"  Fix it with: pulumi config {command}{path} 'agentic-mesh:{re.escape(key)}'{example} --stack {stack}"
    return (
        first.startswith(f"agentic-mesh:{key} is ") and ". Allowed: " in first and re.fullmatch(fix, second) is not None
    )


# What each key of the configuration refuses: at least one value a key, or the sweep below fails.
REFUSED: dict[str, tuple[Any, ...]] = {
    "node": ("atlas", "Thanos"),
    "nodes": ("thanos", ["thanos"]),
    "foundation": ("atlas",),
    "dockerHost": ("tcp://thanos:2375", "thanos", "ssh://thanos"),
    "containerRange": ("10.231.0.0/24", "10.231.0.1/16", "8.8.0.0/16", "fd00::/16", "ten"),
    "dataRoot": ("srv", "/srv/../etc", "/srv/./x", "/", "/srv/a b", "/srv/x/"),
    "modelPath": ("/models", "/srv/agentic-mesh-other/models", "/srv/agentic-mesh/../etc", "models"),
    "qdrantStorage": ("/data/qdrant", "/srv/agentic-mesh"),
    "gpuMemoryGib": ("much", "3", "4096", "nan", "inf", True),
    "gpuDevices": ("", "all", "0,,1", "GPU-1"),
    "gpuShares": ("comfyui", {"comfyui": 999}),
    "models": ("Qwen/Qwen2.5",),
    "modelHub": (
        "huggingface.co",
        ["*.huggingface.co"],
        ["hugginface.co"],
        ["huggingface.co", "*"],
        ["huggingface.co", "*.co"],
        ["huggingface.co", "cdn*.hf.co"],
        ["huggingface.co", "hf.co:443"],
        ["huggingface.co", "203.0.113.7"],
        ["https://huggingface.co"],
        [1],
    ),
    "domain": ("localhost", "https://mesh.example.org", "Mesh.example.org", "mesh.example.org:443"),
    "publicAddress": ("everywhere", "1.2.3", "eth0"),
    "alerts": ("you@example.com",),
    "alertWebhook": ("http://hooks.example.com/x", "hooks.example.com", "https://hooks.example.com/a b"),
    "backup": ("s3",),
    "budget": ("100",),
    "logs": ("31d",),
    "secretsEpoch": ("0", "-1", "1.5", "next", True),
    "authorities": ("0", "1,1", "1,2,3", "1, 2", "a", True, [1]),
    "manageTailnet": ("yes", "1"),
    "ports": ("18000", {"vllm": 8001}),
    "prices": ("3", ["m"], {"m": 3}, {"m": {"inputUsd": 3}}, {"m": {"inputUsd": 1, "outputUsd": -1}}),
    "tailnetOperators": ([], "you@example.com", ["*"], ["autogroup:danger-all"], ["tag:agentic-mesh-ci"], [7]),
    "n8nWebhookUrl": ("http://mesh.example.org", "mesh.example.org", "https://localhost", "ftp://mesh.example.org"),
    "n8nEditorUrl": ("http://mesh.example.org", "http://localhost", "https://localhost", "localhost:5678"),
    "n8nHosts": ("api.example.com", ["api.example.com:443"], ["*"]),
    "allowUnencryptedData": ("no",),
    "hostCpus": ("0", "all", True),
    "hostMemoryGib": ("1", "all", True),
    "memoryMib": ("4096", {"vllm": 32}, {"vllm": "all"}),
    "allowSmallHost": ("no",),
    "cacheShared": ("on",),
    "offPeak": ("22-06", "24:00-06:00", "22:00-06:60", "night"),
    "edgeCertificate": ("fullchain.pem", "-----BEGIN PRIVATE KEY-----"),
    "claudeApiKey": ("two words", "line\nend", " sk-with-a-leading-blank"),
    "openrouterApiKey": ("two words",),
    "tailscaleAuthKey": ("two words",),
    "langgraphApiKey": ("two words",),
    "redisPassword": ("two words",),
    "smtpPassword": ("two words",),
    "backupAccessKey": ("two words",),
    "backupSecretKey": ("two words",),
    "edgeCertificateKey": ("two words",),
}
# What is refused below a key, by its path.
REFUSED_BELOW: dict[str, tuple[Any, ...]] = {
    "nodes.thanos": ("gpu", None),
    "nodes.Thanos": (ROLE,),
    "nodes.ci": (ROLE,),
    "nodes.thanos.role": ({**ROLE, "role": "worker"}, {"address": "100.64.1.1"}),
    "nodes.thanos.address": (
        {**ROLE, "address": "192.168.1.1"},
        {**ROLE, "address": "100.128.0.1"},
        {**ROLE, "address": "100.63.255.255"},
        {**ROLE, "address": "fd7a:115c:a1e0::1"},
        {**ROLE, "address": "thanos"},
        {"role": "gpu"},
    ),
    "nodes.thanos.architecture": ({**ROLE, "architecture": "riscv64"},),
    "models.chat": ("owner/name/more", "/models/../etc/x", "models/x/", "x" * 300),
    "models.chatToolParser": ("openai-functions", "", 7),
    **{f"models.{key}": ("a b", "", 7) for key in ("embedding", "speechToText", "textToSpeech")},
    **{f"models.{key}": ("../x y",) for key in ("claudeSonnet", "claudeOpus", "claudeSmall", "openrouterMixtral")},
    "models.imageCheckpoint": ("sdxl", "../x.safetensors", "/x.safetensors", "a b.ckpt", "x.safetensors/", 7),
    "models.chatContext": (10, "long", 1.5),
    "models.embeddingSize": (1, 9000),
    "gpuShares.comfyui": (-1, "half", 5000),
    "ports.vllm": (80, 70000, "http"),
    "budget.monthlyUsd": (-1, "lots", None),
    "budget.perKeyUsd": (-0.5, [25]),
    "alerts.email": ("you", "you@example"),
    "alerts.smtpHost": ("mail",),
    "alerts.smtpPort": (25, 587, "smtps"),
    "alerts.smtpUser": ("you",),
    "alerts.sender": ("mesh",),
    "backup.provider": ("azure",),
    "backup.telemetry": ("yes", 1),
    "logs.retentionDays": (0, "month"),
    "logs.maxDiskGib": (0, 0.5),
    "backup.region": ("Frankfurt",),
    "backup.bucketPrefix": ("Backup", "a", "x" * 60),
    "backup.endpoint": ("https://s3.example.com", "s3"),
    "backup.retentionDays": (0, 4000, 1.5),
}


def below(path: str, value: Any) -> dict[str, Any]:
    """The configuration that has a value at a path."""
    section, _, name = path.partition(".")
    return {section: {name.partition(".")[0]: value}}


def test_each_key_has_a_value_that_is_refused() -> None:
    assert set(REFUSED) == set(KEYS)
    paths = {
        f"{section}.{key}"
        for section, checked in (
            ("models", checks.MODELS),
            ("alerts", checks.ALERTS),
            ("budget", checks.BUDGET),
            ("backup", checks.BACKUP),
        )
        for key in checked
    }
    assert paths <= set(REFUSED_BELOW)


@pytest.mark.parametrize(
    ("key", "value"),
    [(key, value) for key, values in REFUSED.items() for value in values],
    ids=lambda part: str(part)[:40],
)
def test_a_wrong_value(key: str, value: Any) -> None:
    message = refused({key: value})
    named = message.removeprefix("agentic-mesh:").partition(" is ")[0]
    assert named.partition(".")[0] == key
    # On AWS the program makes this credential.
    assert fixes(message, named, remove=key in ("backupAccessKey", "backupSecretKey"))
    if key in SECRETS:
        assert value.strip() not in message
        assert f"agentic-mesh:{key} is (hidden)." in message


@pytest.mark.parametrize(
    ("path", "value"),
    [(path, value) for path, values in REFUSED_BELOW.items() for value in values],
    ids=lambda part: str(part)[:40],
)
def test_a_wrong_value_below_a_key(path: str, value: Any) -> None:
    assert fixes(refused(below(path, value)), path)


@pytest.mark.parametrize(
    ("config", "shown"),
    [
        ({"secretsEpoch": "0"}, "'0'. Allowed: a whole number of the secrets epoch from 1 to 1000000."),
        ({"node": "atlas"}, "'atlas'. Allowed: one of thanos, oracle1."),
        (below("nodes.thanos", {**ROLE, "address": "10.0.0.1"}), "'10.0.0.1'. Allowed: an IPv4 address of the tailnet"),
        (below("models.chat", "a b"), "'a b'. Allowed: a name on the model hub"),
        (below("budget.monthlyUsd", -1), "-1. Allowed: a number of US dollars from 0 to 1e+06"),
        ({"n8nHosts": ["ok.example.com", "*.example.com"]}, "'*.example.com' is none"),
        ({"tailnetOperators": ["*"]}, "'*' is none"),
        ({"modelHub": ["huggingface.co", "hf.co/x"]}, "and suffixes (*.hf.co, any name below hf.co)"),
        ({"modelHub": ["huggingface.co", "hf.co/x"]}, "'hf.co/x' is neither"),
        (below("models.embedding", "org/unheard-of"), "models.embeddingShape is not set. Allowed: the numbers of"),
        (below("models.embedding", "BAAI/bge-small-en-v1.5"), "at most 384, the dimensions of BAAI/bge-small-en-v1.5"),
        ({"modelHub": ["hugginface.co"]}, "the list lacks huggingface.co, where every download begins"),
        ({"modelHub": ["hf.co"]}, """set 'agentic-mesh:modelHub' '["huggingface.co", "hf.co", "*.hf.co"]'"""),
    ],
    ids=lambda part: str(part)[:40],
)
def test_the_message_shows_the_value_and_what_is_allowed(config: dict[str, Any], shown: str) -> None:
    assert shown in refused(config)


def test_an_unknown_key_names_the_nearest_and_how_to_remove_it() -> None:
    message = refused({"gpuMemory": "24"})
    assert message.startswith("agentic-mesh:gpuMemory is not a setting. Did you mean 'gpuMemoryGib'?")
    assert all(key in message for key in KEYS)
    assert message.endswith("  Fix it with: pulumi config rm 'agentic-mesh:gpuMemory' --stack oracle1")


@pytest.mark.parametrize(
    "path",
    ["models.chatt", "alerts.phone", "backup.bucket", "budget.daily", "gpuShares.kong", "ports.n8n-runners"],
)
def test_an_unknown_key_below_a_key(path: str) -> None:
    message = refused(below(path, "x"))
    assert message.startswith(f"agentic-mesh:{path} is not a setting.")
    assert f"pulumi config rm --path 'agentic-mesh:{path}' --stack oracle1" in message


def test_an_unknown_key_of_a_node() -> None:
    message = refused({"nodes": {"thanos": {**ROLE, "gpu": "yes"}}})
    assert message.startswith("agentic-mesh:nodes.thanos.gpu is not a setting.")


def test_keys_of_other_programs_are_none_of_ours() -> None:
    load("oracle1", {**configuration(**NEEDED), "aws:region": "x", "other:claudeApiKey": "y"}, {})


@pytest.mark.parametrize("key", ["claudeApiKey", "openrouterApiKey", "domain"])
def test_a_control_node_needs_its_keys(key: str) -> None:
    message = refused({key: None})
    assert fixes(message, key)
    assert message.startswith(f"agentic-mesh:{key} is not set.")


def test_an_empty_key_is_a_missing_key() -> None:
    assert fixes(refused({"claudeApiKey": "  "}), "claudeApiKey")


def test_a_gpu_node_needs_nothing() -> None:
    bare = load("thanos", {}, {})
    assert bare.node == NODES[0]
    assert bare.claude_api_key is None
    assert bare.egress()["public-edge"] == ()


def test_a_stack_of_no_known_node() -> None:
    message = refused({}, stack="prod")
    assert fixes(message, "node", "prod")
    assert "'prod'. Allowed: one of thanos, oracle1." in message
    assert settings("prod", node="oracle1").node == NODES[1]


def test_two_nodes_on_one_address() -> None:
    nodes = {"thanos": ROLE, "oracle1": {**ROLE, "role": "control"}}
    message = refused({"nodes": nodes})
    assert fixes(message, "nodes.thanos.address")
    assert "an address of its own for each node" in message


def test_gpu_shares_that_do_not_fit_the_card() -> None:
    message = refused({"gpuMemoryGib": "16"}, stack="thanos")
    assert fixes(message, "gpuShares", "thanos")
    assert "the others take 14 of 16 GiB and leave 2 GiB, while vllm needs 8" in message
    assert "agentic-mesh:gpuShares is {'comfyui': 14.0}" in refused({"gpuShares": {"comfyui": 14}})


def test_vllm_gets_what_the_others_leave() -> None:
    assert settings("thanos").gpu_shares == {
        "vllm": 10.0,
        "embeddings": 2.0,
        "whisper": 3.0,
        "comfyui": 6.0,
        "ocr": 3.0,
        "gpu-exporter": 0.0,
    }
    given = settings("thanos", gpuMemoryGib="40", gpuShares={"comfyui": 0, "gpu-exporter": 1}).gpu_shares
    assert (given["vllm"], given["comfyui"], given["gpu-exporter"]) == (31.0, 0.0, 1.0)
    assert "while vllm needs 12" in refused({"gpuShares": {"vllm": 12}})


def test_the_share_is_a_fraction_rounded_down() -> None:
    assert gpu_utilization(8, 24) == 0.30
    assert gpu_utilization(24, 24) == 0.96
    assert gpu_utilization(0.5, 24) == 0.01


def test_ports_that_clash() -> None:
    message = refused({"ports": {"vllm": 8001, "comfyui": 18003}})
    assert fixes(message, "ports")
    assert "'vllm' and 'embeddings' both have port 8001 on gpu nodes" in message
    assert settings("thanos", ports={"qdrant-replica": 16334}).ports == {"qdrant-replica": 16334}


def test_a_store_of_ones_own_needs_its_host_and_keys() -> None:
    own = {"provider": "s3", "endpoint": "s3.example.com"}
    keys: dict[str, Any] = {"backupAccessKey": "access", "backupSecretKey": "secret"}
    assert fixes(refused({"backup": {"provider": "s3"}, **keys}), "backup.endpoint")
    for key in keys:
        assert fixes(refused({"backup": own, **keys, key: None}), key)
    store = settings(backup=own, **keys).backup
    assert store.host("thanos") == "s3.example.com"


def test_a_store_on_aws_takes_no_keys() -> None:
    message = refused({"backupAccessKey": "access-of-mine"})
    assert fixes(message, "backupAccessKey", remove=True)
    assert "access-of-mine" not in message


@pytest.mark.parametrize("key", ["edgeCertificate", "edgeCertificateKey"])
def test_a_certificate_comes_with_its_key(key: str) -> None:
    both: dict[str, Any] = {
        "edgeCertificate": "-----BEGIN CERTIFICATE-----\n",
        "edgeCertificateKey": "-----BEGIN KEY-----\nx y\n-",
    }
    assert fixes(refused({**both, key: None}), key)
    assert settings(**both).edge_certificate_key == Secret(both["edgeCertificateKey"])


def test_defaults() -> None:
    read = settings()
    assert read.nodes == NODES
    assert read.node == NODES[1]
    assert read.foundation == "thanos"
    assert read.docker_host == "unix:///var/run/docker.sock"
    assert read.container_range == IPv4Network("10.231.0.0/16")
    assert read.data_root == "/srv/agentic-mesh"
    assert read.model_path == "/srv/agentic-mesh/models"
    assert read.qdrant_storage == "/srv/agentic-mesh/qdrant"
    assert (read.gpu_memory_gib, read.gpu_devices) == (24, ("0",))
    assert (read.models, read.budget, read.backup) == (Models(), Budget(), BackupStore())
    assert (read.n8n_webhook_url, read.n8n_editor_url) == (f"https://{DOMAIN}", "http://localhost:5678")
    assert (read.n8n_hosts, read.secrets_epoch, read.off_peak) == ((), 1, "22:00-06:00")
    assert {"huggingface.co", "hf.co", "*.hf.co"} <= set(read.model_hub)
    assert read.tailnet_operators == ("autogroup:admin",)
    assert (read.manage_tailnet, read.cache_shared) == (True, False)
    assert read.ports == {}
    assert read.redis_password is None


def test_what_is_given_is_read() -> None:
    read = settings(
        "atlas",
        nodes={
            "atlas": {"role": "control", "address": "100.100.0.1", "architecture": "arm64"},
            "titan": {"role": "gpu", "address": "100.127.255.255"},
        },
        dataRoot="/data",
        modelPath="/data/m",
        gpuDevices="0,GPU-01234567-89ab-cdef-0123-456789abcdef",
        models={"chat": "owner/name", "chatContext": 8192},
        budget={"monthlyUsd": "12.5"},
        alerts={"email": "you@example.com", "smtpHost": "mail.example.com"},
        alertWebhook="https://hooks.example.com/x",
        n8nHosts=["b.example.com", "a.example.com", "b.example.com"],
        manageTailnet=False,
        secretsEpoch="7",
        authorities="2,1",
    )
    assert (read.node.architecture, read.foundation) == ("arm64", "titan")
    assert read.nodes[1].architecture == "amd64"
    assert (read.model_path, read.qdrant_storage) == ("/data/m", "/data/qdrant")
    assert read.gpu_devices == ("0", "GPU-01234567-89ab-cdef-0123-456789abcdef")
    assert (read.models.chat, read.models.chat_context, read.models.embedding) == ("owner/name", 8192, "BAAI/bge-m3")
    assert read.budget == Budget(monthly_usd=12.5)
    assert read.egress()["alerts"] == ("mail.example.com:465", "hooks.example.com")
    assert read.n8n_hosts == ("b.example.com", "a.example.com")
    assert (read.manage_tailnet, read.secrets_epoch, read.authorities) == (False, 7, (2, 1))


@pytest.mark.parametrize("key", ["claudeSonnet", "claudeOpus", "claudeSmall", "openrouterMixtral"])
def test_a_cloud_model_without_a_price_is_refused(key: str) -> None:
    message = refused({"models": {key: "owner/name"}, "prices": {"other": {"inputUsd": 1, "outputUsd": 2}}})
    assert "a price of owner/name too" in message
    assert fixes(message, "prices")
    # The command of the fix holds the prices that are there.
    given = json.loads(message.split("'agentic-mesh:prices' '")[1].split("' --stack")[0])
    assert set(given) == {"other", "owner/name"}
    read = settings(models={key: "owner/name"}, prices=given)
    assert read.prices["owner/name"].output_usd == 15


def test_a_given_price_comes_before_the_known_one() -> None:
    assert settings().prices["claude-opus-4-5"].input_usd == 5
    given = settings(prices={"claude-opus-4-5": {"inputUsd": 4, "outputUsd": 20}}).prices
    assert (given["claude-opus-4-5"].input_usd, given["claude-sonnet-4-5"].output_usd) == (4, 15)


def test_the_way_out_to_a_webhook_is_to_its_own_port() -> None:
    read = settings(alertWebhook="https://hooks.example.com:8443/x")
    assert read.egress()["alerts"] == ("hooks.example.com:8443",)


def test_settings_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        settings().data_root = "/elsewhere"  # type: ignore[misc]


ARCHITECTURE_ENVIRONMENT = {
    "TAILSCALE_AUTHKEY": "tskey-xxx",
    "CLAUDE_API_KEY": "sk-ant-xxx",
    "OPENROUTER_API_KEY": "sk-or-xxx",
    "CUDA_VISIBLE_DEVICES": "0",
    "VLLM_MODEL_PATH": "/srv/agentic-mesh/elsewhere",
    "QDRANT_STORAGE": "/srv/agentic-mesh/vectors",
    "N8N_WEBHOOK_URL": "https://oracle1.yourdomain.com",
    "LANGGRAPH_API_KEY": "generated-key",
    "REDIS_PASSWORD": "secure-password",
}


def test_the_architecture_s_environment_is_read() -> None:
    assert ENVIRONMENT.keys() == ARCHITECTURE_ENVIRONMENT.keys()
    read = load("oracle1", {"agentic-mesh:domain": DOMAIN}, {**ARCHITECTURE_ENVIRONMENT, "HOME": "/root"})
    assert read.tailscale_auth_key == Secret("tskey-xxx")
    assert read.claude_api_key == Secret("sk-ant-xxx")
    assert read.openrouter_api_key == Secret("sk-or-xxx")
    assert read.gpu_devices == ("0",)
    assert read.model_path == "/srv/agentic-mesh/elsewhere"
    assert read.qdrant_storage == "/srv/agentic-mesh/vectors"
    assert read.n8n_webhook_url == "https://oracle1.yourdomain.com"
    assert read.langgraph_api_key == Secret("generated-key")
    assert read.redis_password == Secret("secure-password")


def test_configuration_wins_over_the_environment() -> None:
    read = settings(environment=ARCHITECTURE_ENVIRONMENT, gpuDevices="1")
    assert read.gpu_devices == ("1",)
    assert read.claude_api_key == Secret(CLAUDE_KEY)
    assert read.openrouter_api_key == Secret(OPENROUTER_KEY)


def test_an_empty_variable_is_none() -> None:
    assert settings(environment={"CUDA_VISIBLE_DEVICES": "", "QDRANT_STORAGE": ""}).gpu_devices == ("0",)


def test_a_wrong_variable_is_refused_as_the_key_is() -> None:
    with pytest.raises(SettingsError) as error:
        settings(environment={"N8N_WEBHOOK_URL": "http://x"})
    assert fixes(str(error.value), "n8nWebhookUrl")


@pytest.mark.parametrize("key", sorted(SECRETS))
def test_a_secret_stored_in_plain_is_refused(key: str) -> None:
    plain = configuration(**{**NEEDED, key: "plain-value-of-mine"})
    with pytest.raises(SettingsError) as error:
        load("oracle1", plain, {}, frozenset(plain) - {f"agentic-mesh:{key}"})
    message = str(error.value)
    assert fixes(message, key)
    assert "stored encrypted with --secret" in message
    assert "plain-value-of-mine" not in message
    assert "is not set" not in message


def test_secrets_stored_encrypted_are_read() -> None:
    config = configuration(**NEEDED)
    secret_keys = frozenset(f"agentic-mesh:{key}" for key in SECRETS)
    assert load("oracle1", config, {}, secret_keys).claude_api_key == Secret(CLAUDE_KEY)


def test_no_secret_shows_in_the_settings() -> None:
    given: dict[str, Any] = {key: f"{key}-value" for key in sorted(SECRETS)}
    given["alertWebhook"] = "https://hooks.example.com/alertWebhook-value"
    given["edgeCertificate"] = "-----BEGIN CERTIFICATE-----"
    own = {"provider": "s3", "endpoint": "s3.example.com"}
    read = settings(**given, backup=own)
    shown = [repr(read), str(read), f"{read.claude_api_key}", json.dumps(vars(read), default=repr)]
    for key in SECRETS:
        assert not any(f"{key}-value" in text for text in shown), key
    assert read.claude_api_key is not None
    assert read.claude_api_key.reveal() == "claudeApiKey-value"


def test_a_secret_equals_by_value_and_has_no_attribute_to_print() -> None:
    assert Secret("a") == Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1
    assert not hasattr(Secret("a"), "__dict__")


def test_buckets() -> None:
    store = BackupStore(bucket_prefix="pre", region="eu-west-1")
    assert store.bucket("thanos") == "pre-thanos"
    assert store.host("thanos") == "pre-thanos.s3.dualstack.eu-west-1.amazonaws.com"

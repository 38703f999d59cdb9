"""Settings: one message for whatever is wrong; what is right is read in `test_settings_read.py`."""

import json
from typing import Any

import pytest

from settings import Secret, checks
from settings.gpu import gpu_utilization
from settings.load import KEYS, SECRETS, load
from tests.unit.refusals import fixes, refused
from tests.unit.samples import NEEDED, NODES, configuration, settings

ROLE = {"role": "gpu", "address": "100.64.1.1"}


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
    "corsOrigins": (
        "https://chat.example.com",
        ["*"],
        ["chat.example.com"],
        ["https://chat.example.com/"],
        ["https://chat.example.com/app"],
        ["https://*.example.com"],
        ["https://Chat.example.com"],
        ["https://chat.example.com:443"],
        ["https://chat.example.com:70000"],
        ["https://999.1.1.1"],
        ["https://chat"],
        ["ftp://chat.example.com"],
        ["null"],
        [7],
    ),
    "alerts": ("you@example.com",),
    "alertWebhook": ("http://hooks.example.com/x", "hooks.example.com", "https://hooks.example.com/a b"),
    "backup": ("s3",),
    "budget": ("100",),
    "logs": ("31d",),
    "secretsEpoch": ("0", "-1", "1.5", "next", True),
    "authorities": ("0", "1,1", "1,2,3", "1, 2", "a", True, [1]),
    "manageTailnet": ("yes", "1"),
    "ports": ("18000", {"vllm": 8001}),
    "modelAbilities": ("vision", {"chat": "sight"}, {"chat": ""}, {"claudeOpus": 1}),
    "modelNames": ("gpt-4o", ["gpt-4o"], {"gpt-4o": "gpt-5"}, {"a b": "vllm_local"}, {"gpt-4o": 3}),
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
    "models.embeddingSize": (1, 9000, 2048),
    "models.embeddingShape": ("568", "millions=0 hidden=1024 heads=16 tokens=8192", 7),
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
            ("logs", checks.LOGS),
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

"""Settings: safe defaults, what is given, the architecture's environment, and no secret in any message."""

import json
from dataclasses import FrozenInstanceError
from ipaddress import IPv4Network
from typing import Any

import pytest

from settings import BackupStore, Budget, Models, Secret, SettingsError
from settings.load import ENVIRONMENT, SECRETS, load
from tests.unit.refusals import fixes
from tests.unit.samples import CLAUDE_KEY, DOMAIN, NEEDED, NODES, OPENROUTER_KEY, configuration, settings


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


def test_a_given_price_comes_before_the_known_one() -> None:
    assert settings().prices["claude-opus-4-6"].input_usd == 5
    given = settings(prices={"claude-opus-4-6": {"inputUsd": 4, "outputUsd": 20}}).prices
    assert (given["claude-opus-4-6"].input_usd, given["claude-sonnet-4-6"].output_usd) == (4, 15)


def test_a_given_name_of_a_model_comes_before_the_known_ones() -> None:
    known = settings().model_names
    assert (known["gpt-*"], known["claude-opus-4-6"], known["BAAI/bge-m3"]) == (
        "vllm_local",
        "claude_opus",
        "local_bge",
    )
    given = settings(modelNames={"gpt-4o": "claude_opus", "gpt-*": ""}).model_names
    assert list(given)[:2] == ["gpt-4o", "gpt-*"]
    assert (given["gpt-4o"], given["gpt-*"], given["o[0-9]*"]) == ("claude_opus", "", "vllm_local")


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

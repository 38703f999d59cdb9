"""The table of generated secrets: read by somebody, shared where several roles read it, kept where it seals data."""

from dataclasses import replace

import pytest

from render import postgres, redis
from topology.catalog import SERVICES
from topology.graph import Graph
from topology.nodes import NODES
from topology.secrets import FROM_SETTINGS, MODEL_CALLERS, SECRETS, GeneratedSecret, read_by, shared

BY_NAME = {s.name: s for s in SECRETS}
ROLES = {s.name: s.role for s in SERVICES}


def test_names_are_unique_and_readers_are_services() -> None:
    assert len(BY_NAME) == len(SECRETS)
    assert {reader for s in SECRETS for reader in s.readers} <= ROLES.keys()
    for secret in SECRETS:
        assert len(set(secret.readers)) == len(secret.readers), secret.name


def test_none_is_unread() -> None:
    assert [s.name for s in SECRETS if not s.readers] == []
    assert read_by(SECRETS, SERVICES) == BY_NAME.keys()


def test_shared_are_exactly_those_that_nodes_of_several_roles_read() -> None:
    wanted = {
        "vllm-api-key",
        "embeddings-api-key",
        "whisper-api-key",
        "ocr-api-key",
        "interpreter-api-key",
        "qdrant-api-key",
        "qdrant-read-only-api-key",
        # Of the backup jobs, which run on each node, the one on a control node reads it.
        "postgres-backup-password",
    }
    assert shared(SECRETS, Graph(SERVICES, NODES)) == wanted


@pytest.mark.parametrize(
    ("readers", "expected"),
    [
        (("vllm",), False),
        (("vllm", "qdrant"), False),
        (("vllm", "kong"), True),
        (("backup",), True),
        (("backup", "kong"), True),
        (("backup", "vllm"), True),
    ],
)
def test_shared_follows_the_nodes_of_the_readers(readers: tuple[str, ...], expected: bool) -> None:
    secret = GeneratedSecret(name="s", readers=readers)
    assert (shared([secret], Graph(SERVICES, NODES)) == {"s"}) is expected
    assert shared([replace(secret, per_node=True)], Graph(SERVICES, NODES)) == frozenset()


def test_read_by_some_services() -> None:
    some = [s for s in SERVICES if s.name in ("grafana", "crowdsec")]
    assert read_by(SECRETS, some) == {"grafana-admin-password", "grafana-secret-key", "crowdsec-bouncer-key"}


def test_what_seals_stored_data_does_not_rotate_and_says_why() -> None:
    kept = {s.name for s in SECRETS if not s.rotates}
    assert kept == {"n8n-encryption-key", "backup-passphrase", "litellm-salt-key", "grafana-secret-key"}
    for secret in SECRETS:
        assert bool(secret.why_kept) is not secret.rotates, secret.name


def test_each_node_seals_its_backups_with_its_own_passphrase() -> None:
    assert [s.name for s in SECRETS if s.per_node] == ["backup-passphrase"]


def test_secrets_are_long_enough_to_be_unguessable() -> None:
    assert min(s.length for s in SECRETS) >= 32


def test_each_user_of_redis_and_role_of_postgres_has_a_secret_that_its_client_reads() -> None:
    for store, users in (("redis", redis.USERS), ("postgres", postgres.ROLES)):
        of_store = {s.name for s in SECRETS if s.name.startswith(f"{store}-") and s.name.endswith("-password")}
        assert of_store == {f"{store}-{user}-password" for user in users}
        clients = {reader for name in of_store for reader in BY_NAME[name].readers}
        callers = {s.name for s in SERVICES if any(call.to == store for call in s.calls)}
        assert clients == {store} | callers


def test_no_client_reads_the_password_of_another() -> None:
    for store in ("redis", "postgres"):
        for name, secret in BY_NAME.items():
            if name.startswith(f"{store}-") and name.endswith("-password"):
                others = set(secret.readers) - {store}
                assert len({reader.removesuffix("-worker") for reader in others}) <= 1, name


def test_settings_may_bring_the_secrets_of_the_architecture_s_environment() -> None:
    assert FROM_SETTINGS == {"langgraph-api-key": "langgraph_api_key", "redis-admin-password": "redis_password"}
    assert FROM_SETTINGS.keys() <= BY_NAME.keys()


def test_keys_of_the_model_proxy_look_as_it_wants_them() -> None:
    own = {f"litellm-{caller}-key" for caller in MODEL_CALLERS}
    assert {s.name for s in SECRETS if s.prefix == "sk-"} == {"litellm-master-key", "litellm-salt-key", *own}


def test_each_caller_of_models_has_a_key_of_its_own_and_none_the_master_key() -> None:
    assert BY_NAME["litellm-master-key"].readers == ("litellm",)
    asking = {
        service.name
        for service in SERVICES
        for call in service.calls
        if call.to == "litellm" and any("POST" in route for route in call.routes)
    }
    # n8n's workers run its workflows, with the credentials that a person has entered there.
    assert asking - {"n8n-worker"} == MODEL_CALLERS.keys()
    for caller, readers in MODEL_CALLERS.items():
        assert BY_NAME[f"litellm-{caller}-key"].readers == ("litellm", *readers)
        assert set(readers) <= {caller}


def test_a_secret_is_read_by_both_ends_of_a_call_or_within_one_service() -> None:
    """An API key that only the callee knows guards nothing, one that a stranger knows guards little."""
    calls = {s.name: {callee for c in s.calls for callee in (c.to, c.fallback)} for s in SERVICES}
    for name in ("vllm", "embeddings", "whisper", "ocr", "interpreter"):
        readers = set(BY_NAME[f"{name}-api-key"].readers)
        assert name in readers
        strangers = {r for r in readers - {name, "embeddings-cpu"} if name not in calls[r]}
        assert strangers == set(), name

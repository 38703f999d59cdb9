"""Redis' users, Postgres' roles and Qdrant's peers: each client has its own, with what it needs."""

import re
from typing import Any

import pytest
import yaml

from render.postgres import DATABASES, PG_HBA, ROLES, START, postgres_roles
from render.qdrant import qdrant_config
from render.redis import USERS, redis_acl, redis_config
from topology.catalog import SERVICES

CLIENTS = {s.name.removesuffix("-worker") for s in SERVICES for c in s.calls if c.to == "redis"}
ACL_PASSWORDS = {user: f"{user}Password1" for user in USERS}
ROLE_PASSWORDS = {role: f"{role}Password1" for role in ROLES}


def users() -> dict[str, list[str]]:
    """User -> its rules, from the file."""
    lines = [line.split() for line in redis_acl(ACL_PASSWORDS).splitlines()]
    assert {line[0] for line in lines} == {"user"}
    return {line[1]: line[2:] for line in lines}


def test_nobody_can_be_the_default_user_who_replays_the_log() -> None:
    assert users()["default"][:2] == ["off", "resetpass"]
    assert users()["default"][-3:] == ["~*", "&*", "+@all"]
    assert not any(rule.startswith((">", "#", "nopass", "on")) for rule in users()["default"])


def test_each_client_of_the_graph_has_a_user_with_its_own_password() -> None:
    assert set(USERS) == {name.removeprefix("redis-") for name in CLIENTS} | {"admin"}
    for user, rules in users().items():
        if user != "default":
            assert rules[:2] == ["on", f">{user}Password1"]
            assert "resetchannels" in rules
            assert "nopass" not in rules


@pytest.mark.parametrize("user", sorted(set(USERS) - {"admin"}))
def test_a_client_sees_its_own_keys_and_is_no_administrator(user: str) -> None:
    rules = users()[user]
    assert not {"~*", "allkeys", "&*", "allchannels"} & set(rules)
    assert "-@dangerous" in rules or "+@all" not in rules
    if "+@all" in rules:
        assert {"-@admin", "-@dangerous"} <= set(rules)


def test_no_two_clients_share_a_key() -> None:
    patterns = {user: {rule[1:-1] for rule in rules if rule.startswith("~")} for user, rules in users().items()}
    for everything in ("admin", "default"):
        del patterns[everything]
    assert all(patterns[user] for user in ("agents", "litellm", "n8n"))
    for user, own in patterns.items():
        others = {p for other, found in patterns.items() if other != user for p in found}
        assert not [(a, b) for a in own for b in others if a.startswith(b) or b.startswith(a)], user


def test_redis_keeps_queues_over_restarts_and_never_evicts_them() -> None:
    lines = redis_config(1024).splitlines()
    assert {"appendonly yes", "maxmemory 512mb", "maxmemory-policy volatile-lru", "protected-mode yes"} <= set(lines)
    assert "aclfile /config/users.acl" in lines


def test_only_known_roles_come_in_each_to_its_database_with_a_password() -> None:
    rows = [line.split() for line in PG_HBA.splitlines() if not line.startswith("#")]
    assert rows[-1] == ["host", "all", "all", "all", "reject"]
    assert rows[0] == ["local", "all", "postgres", "peer"]
    allowed = {(database, role) for kind, database, role, *_ in rows[1:-1] if kind == "host"}
    assert allowed == {(name, name) for name in DATABASES} | {("postgres", "exporter"), ("all", "backup")}
    assert {row[-1] for row in rows[1:-1]} == {"scram-sha-256"}


def test_each_role_has_its_own_password_and_each_database_its_owner() -> None:
    sql = postgres_roles(ROLE_PASSWORDS)
    passwords = dict(re.findall(r"^ALTER ROLE (\w+) PASSWORD '(\w+)';$", sql, re.MULTILINE))
    assert passwords == {"postgres" if role == "admin" else role: f"{role}Password1" for role in ROLES}
    assert set(re.findall(r"CREATE DATABASE (\w+) OWNER (\w+)", sql)) == {(name, name) for name in DATABASES}


def test_passwords_stay_out_of_the_log() -> None:
    """Before the first of them."""
    settings, _, rest = postgres_roles(ROLE_PASSWORDS).partition("ALTER ROLE")
    assert "SET log_min_error_statement = 'panic';" in settings
    assert "SET log_statement = 'none';" in settings
    assert "Password1" in rest


@pytest.mark.parametrize("password", ["it's", "a b", "", 'a"b', "a;b"])
def test_a_password_that_could_break_out_is_refused(password: str) -> None:
    with pytest.raises(ValueError, match="role 'n8n' holds more than letters and digits"):
        postgres_roles({**ROLE_PASSWORDS, "n8n": password})


def test_roles_are_set_at_each_start_beside_the_server() -> None:
    assert "--file /config/roles.sql" in START
    assert "hba_file=/config/pg_hba.conf" in START
    assert "password_encryption=scram-sha-256" in START
    assert START.index("roles.sql") < START.index("exec docker-entrypoint.sh postgres")


def qdrant(**changes: Any) -> dict[str, Any]:
    settings = {"api_key": "k", "read_only_api_key": "r", "http_port": 6333, **changes}
    loaded: dict[str, Any] = yaml.safe_load(qdrant_config(**settings))
    return loaded


def test_collections_have_a_replica_on_each_of_three_peers_and_one_answer_is_enough() -> None:
    assert qdrant()["storage"]["collection"] == {"replication_factor": 3, "write_consistency_factor": 1}
    assert len([s for s in SERVICES if s.name.startswith("qdrant")]) == 3


def test_the_witness_votes_and_answers_no_reads() -> None:
    assert qdrant(node_type="Listener")["storage"]["node_type"] == "Listener"
    assert qdrant()["storage"]["node_type"] == "Normal"


def test_qdrant_has_keys_and_fetches_nothing_for_callers() -> None:
    service = qdrant()["service"]
    assert (service["api_key"], service["read_only_api_key"]) == ("k", "r")
    assert service["enable_snapshot_url_recovery"] is False
    assert service["enable_cors"] is False


def test_qdrant_listens_on_the_ports_of_the_table() -> None:
    for row in (s for s in SERVICES if s.name.startswith("qdrant")):
        targets = {port.name: port.app_port for port in row.ports}
        config = qdrant(http_port=targets["api"])
        assert config["cluster"]["p2p"]["port"] == targets["peer"]
        assert config["service"]["http_port"] == targets["api"] == row.probe.port
        # The image's own file sets it, and the replica's REST port is the same.
        assert config["service"]["grpc_port"] is None
        assert row.metrics is not None
        assert config["service"]["metrics_port"] == row.metrics.port


def test_snapshots_are_files_that_the_backup_jobs_read() -> None:
    """Qdrant's own client asks S3 by path, at a host that stands for every bucket: it gets no way out.

    The backup jobs ask for snapshots and stream them, so that the folder needs no backup.
    """
    storage = qdrant()["storage"]
    assert "snapshots_config" not in storage
    [primary] = [s for s in SERVICES if s.name == "qdrant"]
    assert storage["snapshots_path"] in [v.path for v in primary.volumes]
    assert "qdrant" in [c.to for s in SERVICES if s.name == "backup" for c in s.calls]
    assert primary.egress == ()

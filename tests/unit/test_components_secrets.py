"""Secrets are secret from birth to the one file that their reader gets, and in nothing else."""

import json
import re

from tests.unit.mocks import Registered
from tests.unit.program import CONTAINER, PASSWORD, SECRET, SHARED, Program, labels, secrets_in, uploads
from tests.unit.samples import CLAUDE_KEY, OPENROUTER_KEY, graph_of
from topology.secrets import FROM_SETTINGS, SECRETS, read_by, shared

CERTIFICATES = ("tls:index/certRequest:CertRequest", "tls:index/locallySignedCert:LocallySignedCert")
SELF_SIGNED = "tls:index/selfSignedCert:SelfSignedCert"
KEY_INPUTS = {"privateKeyPem", "caPrivateKeyPem"}


def test_secret_values_are_inputs_of_loaders_and_certificates_alone(program: Program) -> None:
    held = 0
    for resource in program.mocks.registered:
        for name, value in resource.inputs.items():
            if list(secrets_in(value)):
                loader = resource.typ == CONTAINER and labels(resource)["part"] == "loader" and name == "uploads"
                signing = resource.typ in (*CERTIFICATES, SELF_SIGNED) and name in KEY_INPUTS
                assert loader or signing or resource.typ == "pulumi:pulumi:StackReference", (resource.name, name)
                assert name in resource.secret_inputs, (resource.name, name)
                held += 1
    assert held > 20


def test_running_containers_hold_none_anywhere(program: Program) -> None:
    for container in program.running:
        assert list(secrets_in(container.inputs)) == [], container.name
        assert container.secret_inputs == frozenset(), container.name


def test_files_are_for_their_reader_alone(program: Program) -> None:
    for consumer in program.running:
        if labels(consumer)["part"] in ("proxy", "gateway", "app") and "config-version" in labels(consumer):
            uid, _, gid = consumer.inputs["user"].partition(":")
            for upload in program.loader_of(consumer).inputs["uploads"]:
                assert upload["permissions"] == "0400", upload["file"]
                assert (upload["owner"], upload["group"]) == (uid, gid), upload["file"]


def test_each_app_gets_exactly_the_generated_secrets_that_the_table_says(program: Program) -> None:
    """By value: each mocked secret is told apart from all others."""
    services = graph_of(program.stack).on(program.stack)
    shared_names = shared(SECRETS, graph_of(program.stack))
    for service in services:
        app = program.app(service.name)
        files = uploads(program.loader_of(app)) if "config-version" in labels(app) else {}
        found = set(SECRET.findall(json.dumps(files)))
        expected = set()
        for secret in SECRETS:
            if service.name in secret.readers and not _only_elsewhere(program.stack, service.name, secret.name):
                words = secret.name.title().replace("-", "")
                if secret.name in shared_names and program.stack == "oracle1":
                    expected.add(f"SecretShared{words}")
                else:
                    owner = "Foundation" if secret.name in shared_names else program.stack.title()
                    expected.add(f"SecretMade{owner}Secrets{words}")
        assert {s for s in found if s.startswith("Secret")} == expected, service.name


def _only_elsewhere(stack: str, service: str, secret: str) -> bool:
    """The backup jobs of a node read the keys of what is there."""
    elsewhere = {"thanos": "postgres-backup-password", "oracle1": "qdrant-api-key"}
    return service == "backup" and secret == elsewhere[stack]


def test_the_model_proxy_has_the_keys_of_the_cloud_and_nobody_else(oracle1: Program) -> None:
    for key in (CLAUDE_KEY, OPENROUTER_KEY):
        holders = {loader.name for loader in oracle1.loaders if key in json.dumps(loader.inputs["uploads"])}
        assert holders == {"litellm-pod-config-loader"}


def test_each_proxy_holds_its_own_key_and_no_other(program: Program) -> None:
    keys = [uploads(program.loader_of(c))["/etc/agentic-mesh/tls/key.pem"] for c in _proxies(program)]
    assert len(set(keys)) == len(keys) == len(graph_of(program.stack).on(program.stack)) + 1
    assert not any("authority" in key for key in keys)


def _proxies(program: Program) -> list[Registered]:
    return [c for c in program.running if labels(c)["part"] in ("proxy", "gateway")]


def test_certificates_are_for_the_identity_and_hold_a_month(program: Program) -> None:
    requests = {r.inputs["subject"]["commonName"]: r.inputs["uris"] for r in program.mocks.of(CERTIFICATES[0])}
    names = {s.name for s in graph_of(program.stack).on(program.stack)} | {"gateway"}
    assert requests == {f"{name}.{program.stack}": [f"spiffe://agentic-mesh/{program.stack}/{name}"] for name in names}
    for certificate in program.mocks.of(CERTIFICATES[1]):
        assert certificate.inputs["validityPeriodHours"] == 720
        assert certificate.inputs["earlyRenewalHours"] == 360
        assert {"client_auth", "server_auth"} <= set(certificate.inputs["allowedUses"])


def test_thanos_makes_the_authority_and_oracle1_reads_it(thanos: Program, oracle1: Program) -> None:
    [authority] = [c for c in thanos.mocks.of(SELF_SIGNED) if c.inputs.get("isCaCertificate")]
    assert {"cert_signing", "crl_signing"} == set(authority.inputs["allowedUses"])
    assert not [c for c in oracle1.mocks.of(SELF_SIGNED) if c.inputs.get("isCaCertificate")]
    signed = oracle1.mocks.of(CERTIFICATES[1])
    assert {c.inputs["caPrivateKeyPem"] for c in signed} == {SHARED["authorityKey"]}


def test_random_secrets_are_made_once_where_they_belong(thanos: Program, oracle1: Program) -> None:
    graph = graph_of("oracle1")
    names = shared(SECRETS, graph)
    made = {p.stack: {r.name for r in p.mocks.of(PASSWORD)} for p in (thanos, oracle1)}
    local = {node: read_by(SECRETS, graph.on(node)) - names for node in made}
    assert made["thanos"] == {f"foundation-secrets-{n}" for n in names} | {
        f"thanos-secrets-{n}" for n in local["thanos"]
    }
    assert made["oracle1"] == {f"oracle1-secrets-{n}" for n in local["oracle1"]}


def test_a_new_epoch_replaces_what_rotates_and_nothing_else(oracle1: Program, owner: Program) -> None:
    by_name = {secret.name: secret for secret in SECRETS}
    for program, epoch in ((oracle1, "1"), (owner, "2")):
        for password in program.mocks.of(PASSWORD):
            secret = by_name[password.name.split("-secrets-")[1]]
            assert password.inputs.get("keepers") == ({"epoch": epoch} if secret.rotates else None), password.name
            assert password.protect is not secret.rotates, password.name
            assert password.inputs["length"] >= 32
            assert password.inputs["special"] is False


def test_a_secret_of_the_settings_takes_the_place_of_a_random_one(owner: Program) -> None:
    made = {r.name.split("-secrets-")[1] for r in owner.mocks.of(PASSWORD)}
    assert not made & FROM_SETTINGS.keys()
    redis = uploads(owner.loader_of(owner.app("redis")))["/config/users.acl"]
    assert "user admin on >RedisOfMine " in redis
    assert uploads(owner.loader_of(owner.app("agents")))["/config/api-key"] == "LanggraphOfMine"


def test_secrets_of_the_settings_are_as_secret_as_random_ones(owner: Program, titan: Program) -> None:
    for program in (owner, titan):
        for container in program.running:
            assert "OfMine" not in json.dumps(container.inputs), container.name
        holding = [r for r in program.loaders if re.search("OfMine|of my own", json.dumps(r.inputs["uploads"]))]
        assert holding
        assert all("uploads" in r.secret_inputs for r in holding)

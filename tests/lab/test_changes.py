"""A changed setting replaces what depends on it and nothing else; a new epoch rotates the secrets."""

import time
from collections.abc import Mapping
from typing import Any

import pytest

from lab import world
from tests.lab.mesh import PREFIX, Mesh, replaced
from topology.catalog import SERVICES
from topology.graph import Graph
from topology.nodes import NODES
from topology.secrets import SECRETS

pytestmark = [pytest.mark.lab, pytest.mark.engine, pytest.mark.rehearsal]

GRAPH = Graph(SERVICES, NODES)
ROTATING = {secret.name for secret in SECRETS if secret.rotates}

ASK = """
import sys, urllib.error, urllib.request
try:
    request = urllib.request.Request(sys.argv[1], headers={sys.argv[2]: sys.argv[3]})
    print(urllib.request.urlopen(request, timeout=20).status)
except urllib.error.HTTPError as refused:
    print(refused.code)
"""


def app(service: str) -> set[str]:
    """The app, and the proxy whose health check tells the deploy that the app is well."""
    return {f"{PREFIX}-{service}", f"{PREFIX}-{service}-proxy"}


def files(service: str) -> set[str]:
    """What fills the volume of the app's files; the app reads them at its start."""
    return {f"{PREFIX}-{service}-pod-config-loader"}


SETTINGS: Mapping[str, tuple[dict[str, Any], set[str]]] = {
    # The agents have it in their environment, nobody else has it.
    "a variable of one app": ({"offPeak": "23:00-05:00"}, app("agents")),
    # Alertmanager has the address in its file, knows the mail server's name from its host table, and its proxy and the
    # gateway let it out to that one more host.
    "a way out": (
        {"alerts": {"email": "you@example.com", "smtpHost": world.SMTP_HOST}},
        app("alertmanager")
        | files("alertmanager")
        | {f"{PREFIX}-alertmanager-pod-proxy-config-loader"}
        | {f"{PREFIX}-gateway", f"{PREFIX}-oracle1-gateway-proxy-config-loader"},
    ),
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_setting_replaces_just_what_depends_on_it(mesh: Mesh, setting: str) -> None:
    changed, expected = SETTINGS[setting]
    before = {node: mesh.identities(node) for node in mesh.names()}
    try:
        mesh.configure("oracle1", **changed)
        with mesh.fixing("oracle1"):
            mesh.up("oracle1")
        after = {node: mesh.identities(node) for node in mesh.names()}
    finally:
        mesh.configure("oracle1", **dict.fromkeys(changed))
        mesh.up("oracle1")

    assert replaced(before["oracle1"], after["oracle1"]) == expected
    assert after["oracle1"].keys() == before["oracle1"].keys()
    # Neither restarted nor replaced, on both nodes.
    untouched = {(node, name): was for node in before for name, was in before[node].items() if name not in expected}
    assert {key: after[key[0]].get(key[1]) for key in untouched} == untouched


def test_a_new_epoch_rotates_every_secret_that_may_and_the_old_ones_are_refused(mesh: Mesh) -> None:
    old = {node: mesh.passwords(node) for node in mesh.names()}
    before = {node: mesh.identities(node) for node in mesh.names()}
    for credential in CREDENTIALS:
        assert accepted(mesh, credential, value(old, credential)), f"{credential} before the rotation"

    epoch = max(int(mesh.setting(node, "secretsEpoch") or 1) for node in mesh.names()) + 1
    for node in mesh.names():
        mesh.configure(node, secretsEpoch=epoch)
    started = time.monotonic()
    with mesh.fixing(*mesh.names()):
        mesh.up()
        waited = mesh.wait_healthy()
    print(f"lab: epoch {epoch} on both nodes in {time.monotonic() - started:.0f} s, {waited:.1f} s of it after the ups")

    new = {node: mesh.passwords(node) for node in mesh.names()}
    assert {name for secrets in new.values() for name in secrets} == {secret.name for secret in SECRETS}
    for node in new:
        assert new[node].keys() == old[node].keys()
        kept = {name for name in new[node] if new[node][name] == old[node][name]}
        assert kept == new[node].keys() - ROTATING

    # Each reader of a rotated secret has it in its files, and nothing else was touched.
    readers = {reader for secret in SECRETS if secret.rotates for reader in secret.readers}
    for node in mesh.names():
        there = {service.name for service in GRAPH.on(node)} & readers
        expected = {name for service in there for name in app(service) | files(service)}
        assert replaced(before[node], mesh.identities(node)) == expected
        _look_into_files(mesh, node, old, new)

    for credential in CREDENTIALS:
        _wait_until_accepted(mesh, credential, value(new, credential))
        assert not accepted(mesh, credential, value(old, credential)), f"the old {credential} is still good"
    mesh.assert_nothing_to_do()


CREDENTIALS = {
    # Secret -> a service that has it, and how that one would use it.
    "redis-agents-password": (
        "agents",
        lambda key: ("redis-cli", "-h", "redis", "--user", "agents", "--no-auth-warning", "-a", key, "ping"),
        "PONG",
        ("WRONGPASS",),
    ),
    "postgres-agents-password": (
        "agents",
        lambda key: (
            "psql",
            "--no-psqlrc",
            "--tuples-only",
            "--command=SELECT 'let in'",
            f"host=postgres user=agents dbname=agents sslmode=disable connect_timeout=20 password={key}",
        ),
        "let in",
        ("password authentication failed",),
    ),
    "vllm-api-key": (
        "litellm",
        lambda key: ("/usr/bin/python3", "-c", ASK, "http://vllm:8000/v1/models", "Authorization", f"Bearer {key}"),
        "200",
        ("401",),
    ),
    "qdrant-api-key": (
        "agents",
        lambda key: ("/usr/bin/python3", "-c", ASK, "http://qdrant:6333/collections", "api-key", key),
        "200",
        ("401", "403"),
    ),
}


def value(secrets: Mapping[str, Mapping[str, str]], name: str) -> str:
    return next(found[name] for found in secrets.values() if name in found)


def accepted(mesh: Mesh, credential: str, key: str) -> bool:
    """Whether the service lets its consumer in, asked from the consumer's own pod."""
    consumer, command, good, bad = CREDENTIALS[credential]
    _, output = mesh.execute("oracle1", consumer, *command(key))
    assert good in output or any(word in output for word in bad), f"{credential}: neither let in nor refused: {output}"
    return good in output


def _wait_until_accepted(mesh: Mesh, credential: str, key: str, seconds: float = 60) -> None:
    """Postgres sets its roles when it is up already."""
    end = time.monotonic() + seconds
    while not accepted(mesh, credential, key):
        assert time.monotonic() < end, f"the new {credential} is refused"
        time.sleep(1)


def _look_into_files(
    mesh: Mesh, node: str, old: Mapping[str, Mapping[str, str]], new: Mapping[str, Mapping[str, str]]
) -> None:
    contents = {name: _files(mesh, node, name) for name in mesh.containers(node) if name.endswith("-loader")}
    gone = [secrets[name].encode() for secrets in old.values() for name in secrets if name in ROTATING]
    assert {name for name, content in contents.items() if any(key in content for key in gone)} == set()
    here = {service.name for service in GRAPH.on(node)}
    for secret in SECRETS:
        key = new[node].get(secret.name) or value(new, secret.name)
        for reader in here.intersection(secret.readers):
            # The backup reads what is on its own node.
            if reader != "backup" or secret.readers[0] in here:
                (loader,) = files(reader)
                assert key.encode() in contents[loader], f"{reader} has not got {secret.name}"


def _files(mesh: Mesh, node: str, loader: str) -> bytes:
    """The files of a volume as one archive."""
    client = mesh.docker(node)
    (mount,) = client.inspect_container(loader)["Mounts"]
    chunks, _ = client.get_archive(loader, mount["Destination"])
    return b"".join(chunks)

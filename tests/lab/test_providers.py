"""What the lab's providers decide without any daemon: differences, refusals, translation, certificates' age."""

import io
import json
import tarfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from lab import docker_containers
from lab.docker_containers import Container
from lab.docker_provider import Image, Network, folder_digest
from lab.docker_spec import archive, container_spec, device_requests
from lab.provider import ResourceError, changes
from lab.random_provider import password
from lab.resolver import answer
from lab.tailscale_provider import DEFAULT_POLICY, Acl, TailnetKey
from lab.tls_provider import CertRequest, LocallySignedCert, PrivateKey, SelfSignedCert


@pytest.mark.parametrize(
    ("olds", "news", "expected"),
    [
        pytest.param({"acl": "a"}, {"acl": "a"}, [], id="nothing"),
        pytest.param({"acl": "a"}, {"acl": "b"}, ["acl"], id="value"),
        pytest.param({}, {"overwrite": True}, ["overwrite"], id="new argument"),
        pytest.param({"__defaults": []}, {"__defaults": ["name"]}, [], id="the engine's own notes"),
    ],
)
def test_changes(olds: dict[str, Any], news: dict[str, Any], expected: list[str]) -> None:
    assert changes(Acl(), olds, news) == expected


@pytest.mark.parametrize(
    ("argument", "value"),
    [("cpuPeriod", 1), ("gpus", "all"), ("networksAdvanced", [{"name": "n", "ipv6Address": "::1"}])],
)
def test_an_argument_that_would_be_ignored_is_refused(argument: str, value: object) -> None:
    assert [f.property.split(".")[0] for f in Container().check({"image": "x", argument: value})] == [argument]


def test_networks_and_images_refuse_what_they_do_not_know() -> None:
    assert list(Network().check({"name": "n", "ipamDriver": "x"}))
    assert [f.property for f in Image().check({"imageName": "a"})] == ["skipPush"]


def test_a_container_in_dockers_words() -> None:
    spec = container_spec(
        {
            "image": "sha256:1",
            "memory": 64.0,
            "memorySwap": -1.0,
            "cpus": "0.5",
            "tmpfs": {"/tmp": "size=1m"},
            "ports": [{"internal": 8000.0, "external": 80.0, "ip": "100.64.1.1"}],
            "volumes": [{"volumeName": "v", "containerPath": "/config", "readOnly": True}],
            "hosts": [{"host": "qdrant", "ip": "10.0.0.3"}],
            "healthcheck": {"tests": ["CMD", "true"], "interval": "1m30s"},
        }
    )
    host = spec["HostConfig"]
    assert (host["Memory"], host["MemorySwap"], host["NanoCpus"]) == (64 << 20, -1, 500_000_000)
    assert host["PortBindings"] == {"8000/tcp": [{"HostIp": "100.64.1.1", "HostPort": "80"}]}
    assert host["Binds"] == ["v:/config:ro"]
    assert host["ExtraHosts"] == ["qdrant:10.0.0.3"]
    assert spec["Healthcheck"]["Interval"] == 90 * 10**9
    assert "DeviceRequests" not in host


def test_devices_as_they_would_be_asked_for() -> None:
    (request,) = device_requests(
        {"deviceRequests": [{"driver": "nvidia", "deviceIds": ["0"], "capabilities": ["gpu"]}]}
    )
    assert request["Capabilities"] == [["gpu"]]


def test_an_upload_keeps_owner_and_mode() -> None:
    upload = {"file": "/config/key", "content": "secret", "owner": "20001", "group": "20002", "permissions": "0400"}
    with tarfile.open(fileobj=io.BytesIO(archive(upload))) as tar:
        (entry,) = tar.getmembers()
    assert (entry.uid, entry.gid, entry.mode, entry.size) == (20001, 20002, 0o400, 6)


def test_an_empty_upload_is_refused_as_the_real_provider_does() -> None:
    with pytest.raises(ResourceError, match="one of 'content'"):
        archive({"file": "/config/empty", "content": ""})


def test_a_build_context_is_known_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    before = folder_digest(tmp_path)
    (tmp_path / "new.py").write_text("")
    assert folder_digest(tmp_path) != before


def test_passwords_have_what_is_asked_of_them() -> None:
    assert password({"length": 40, "special": False}).isalnum()
    assert sum(c.isdigit() for c in password({"length": 10, "minNumeric": 10})) == 10
    with pytest.raises(ResourceError):
        password({"length": 2, "minLower": 3})


def key() -> str:
    return str(PrivateKey().create({}, {"algorithm": "ECDSA", "ecdsaCurve": "P256"})[1]["privateKeyPem"])


def test_a_signed_certificate_names_its_owner_and_gets_old() -> None:
    authority_key, own = key(), key()
    signing = {"allowedUses": ["cert_signing"], "validityPeriodHours": 10, "isCaCertificate": True}
    authority = SelfSignedCert().create({}, {**signing, "privateKeyPem": authority_key, "setSubjectKeyId": True})[1]
    request = CertRequest().create({}, {"privateKeyPem": own, "uris": ["spiffe://agentic-mesh/thanos/vllm"]})[1]
    inputs = {
        "caCertPem": authority["certPem"],
        "caPrivateKeyPem": authority_key,
        "certRequestPem": request["certRequestPem"],
        "validityPeriodHours": 10.0,
        "earlyRenewalHours": 5.0,
        "allowedUses": ["client_auth", "digital_signature"],
    }
    made = LocallySignedCert().create({}, inputs)[1]
    certificate = x509.load_pem_x509_certificate(made["certPem"].encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://agentic-mesh/thanos/vllm"]
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority["certPem"].encode()))
    assert list(LocallySignedCert().more_changes(inputs, made)) == []
    soon = (datetime.now(UTC) + timedelta(hours=4)).isoformat()
    assert list(LocallySignedCert().more_changes(inputs, made | {"validityEndTime": soon})) == ["readyForRenewal"]
    with pytest.raises(ResourceError, match="is not the key"):
        LocallySignedCert().create({}, inputs | {"caPrivateKeyPem": own})


def policy(**more: object) -> str:
    grants = [{"src": ["tag:a"], "dst": ["tag:b"], "ip": ["tcp:80"]}]
    return json.dumps({"tagOwners": {"tag:a": [], "tag:b": []}, "grants": grants, **more})


def test_a_policy_that_fails_its_own_tests_is_refused(tmp_path: Path) -> None:
    config = {"folder": str(tmp_path)}
    wrong = policy(tests=[{"src": "tag:a", "proto": "tcp", "deny": ["tag:b:80"]}])
    with pytest.raises(ResourceError, match=r"test\(s\) failed"):
        Acl().create(config, {"acl": wrong})
    right = policy(tests=[{"src": "tag:a", "proto": "tcp", "accept": ["tag:b:80"], "deny": ["tag:b:81"]}])
    Acl().create(config, {"acl": right})
    with pytest.raises(ResourceError, match="non-default ACL"):
        Acl().create(config, {"acl": policy()})
    with pytest.raises(ResourceError, match="not permitted"):
        TailnetKey().create(config, {"tags": ["tag:c"]})
    Acl().delete(config, "acl", {"resetAclOnDestroy": True}, {})
    found = Acl().read(config, "acl", {"acl": right}, {})
    assert found is not None
    assert json.loads(found[0]["acl"]) == DEFAULT_POLICY


def test_the_name_server_knows_its_names_and_refuses_others_at_once() -> None:
    question = b"\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03api\x07example\x00\x00\x01\x00\x01"
    assert answer(question, {"api.example": "203.0.113.9"})[-4:] == bytes([203, 0, 113, 9])
    assert answer(question, {})[3] & 0xF == 3


class OldDocker:
    """A client of Docker 24; no container is made by it."""

    api_version = "1.43"

    def inspect_image(self, _image: str) -> dict[str, str]:
        return {}


def test_docker_before_25_is_refused_before_a_container_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """As by the preflight's probes and every sidecar, in the real provider's words."""
    monkeypatch.setattr(docker_containers, "connect", lambda _config: OldDocker())
    inputs = {"image": "i", "name": "n", "healthcheck": {"tests": ["CMD", "true"], "startInterval": "1s"}}
    with pytest.raises(ResourceError) as refused:
        Container().create({}, inputs)
    assert str(refused.value) == (
        'Unable to create container: "specify health-check start interval" requires API version 1.44, '
        "but the Docker daemon API version is 1.43"
    )

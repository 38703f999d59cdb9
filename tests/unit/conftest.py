"""Fixtures of the unit tests."""

from pathlib import Path

import pytest

from tests.unit.mocks import Mocks
from tests.unit.prepare_node import DEBIAN, file
from tests.unit.program import Program
from tests.unit.samples import nodes


@pytest.fixture
def mocks() -> Mocks:
    """A fresh recording mock for each test; a test for another stack installs it again."""
    recording = Mocks()
    recording.install()
    return recording


@pytest.fixture(scope="session")
def thanos() -> Program:
    """The program of the GPU node, which owns the foundation, run once; only read it."""
    return Program("thanos")


@pytest.fixture(scope="session")
def oracle1() -> Program:
    """The program of the control node, run once; only read it."""
    return Program("oracle1")


@pytest.fixture(scope="session")
def titan() -> Program:
    """A second GPU node, with what a stack may be told about its host and its store; only read it."""
    return Program(
        "titan",
        nodes={**nodes(), "titan": {"role": "gpu", "address": "100.64.1.3"}},
        dockerHost="ssh://deploy@titan",
        dataRoot="/data",
        modelPath="/data/m",
        qdrantStorage="/data/q",
        backup={"provider": "s3", "endpoint": "s3.example.com"},
        backupAccessKey="AccessOfMine",
        backupSecretKey="StoreOfMine",
    )


@pytest.fixture(scope="session")
def owner() -> Program:
    """A control node that owns the foundation, in a later epoch, with secrets of its owner; only read it."""
    return Program(
        "oracle1",
        foundation="oracle1",
        manageTailnet=False,
        secretsEpoch="2",
        langgraphApiKey="LanggraphOfMine",
        redisPassword="RedisOfMine",
        edgeCertificate="-----BEGIN CERTIFICATE-----\nown",
        edgeCertificateKey="-----BEGIN KEY-----\nof my own",
    )


@pytest.fixture(params=["thanos", "oracle1"])
def program(request: pytest.FixtureRequest) -> Program:
    """The program of either node."""
    found: Program = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A freshly installed Debian 12: nothing but its name."""
    file(tmp_path, "etc/os-release", DEBIAN)
    return tmp_path


@pytest.fixture
def encrypted(bare: Path) -> Path:
    """The same with an encrypted volume already mounted at the data root."""
    file(bare, "proc/mounts", "/dev/sda1 / ext4 rw 0 0\n/dev/mapper/data /srv/agentic-mesh ext4 rw 0 0\n")
    file(bare, "dev/dm-0", "")
    (bare / "dev/mapper").mkdir()
    (bare / "dev/mapper/data").symlink_to("../dm-0")
    file(bare, "sys/class/block/dm-0/dm/uuid", "CRYPT-LUKS2-0123-data\n")
    return bare

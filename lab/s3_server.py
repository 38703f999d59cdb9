"""SeaweedFS as the lab's S3: a real server, in the world outside, by the names that AWS has for the nodes' buckets.

Its parts talk to each other on the world's own loopback. What others reach is S3 and IAM on HTTPS, and the same on
HTTP, which the buckets' policies refuse. Objects are encrypted with data keys that it gets from the lab's KMS.
"""

from __future__ import annotations

import json
import secrets
import shutil
import ssl
import sys
import urllib.error
import urllib.request
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from lab import processes, world
from lab.images.authority import issue
from lab.machine import LabError, in_namespace

ENDPOINT: Final = f"s3.dualstack.{world.STORE.region}.amazonaws.com"
URL: Final = f"https://{world.S3}"
_INSIDE: Final = "127.0.0.1"
_PORTS: Final = {
    "master.port": 27001,
    "master.port.grpc": 27002,
    "volume.port": 27003,
    "volume.port.grpc": 27004,
    "filer.port": 27005,
    "filer.port.grpc": 27006,
    "s3.port.grpc": 27007,
}
_PID: Final = "s3.pid"
_ADMIN: Final = "lab-admin"


def start_s3(folder: Path, run: Path) -> None:
    """Start it where it does not run; its data stay in the lab's folder."""
    data, own = data_folder(folder), run / "s3"
    for path in (data, own):
        path.mkdir(parents=True, exist_ok=True)
    found = issue(folder, "s3", (ENDPOINT, f"*.{ENDPOINT}", world.S3))
    identities(folder)
    command = [
        *(str(_program()), "-logtostderr=true", "server", f"-dir={data}", f"-ip={_INSIDE}", f"-ip.bind={_INSIDE}"),
        # Nothing is told to its makers. Small volumes, and many: each bucket has some of its own.
        *("-master.telemetry=false", "-master.volumeSizeLimitMB=64", "-volume.max=1000"),
        # It is alone: nobody else is elected, and nobody has to hear of its end first.
        *("-master.electionTimeout=1s", "-volume.preStopSeconds=0"),
        *(f"-{name}={port}" for name, port in _PORTS.items()),
        f"-filer.localSocket={own / 'filer.sock'}",
        *("-s3", f"-s3.ip.bind={world.S3}", "-s3.port=80", "-s3.port.https=443", f"-s3.localSocket={own / 's3.sock'}"),
        *(f"-s3.cert.file={found.certificate}", f"-s3.key.file={found.key}", f"-s3.domainName={ENDPOINT}"),
        *(f"-s3.config={_config_file(folder)}", "-s3.iam.readOnly=false"),
        # As S3: a bucket has to be made before it is used and emptied before it is deleted.
        *("-s3.autoCreateBucket=false", "-s3.allowDeleteBucketNotEmpty=false"),
        *("-s3.port.iceberg=0", "-s3.port.lance=0"),
    ]
    processes.start(in_namespace(world.NAMESPACE, *command), run / _PID, folder / "s3.log", cwd=own)


def answers(authority: Path) -> bool:
    """Whether it answers, if only that it wants a credential."""
    try:
        urllib.request.urlopen(URL, timeout=5, context=ssl.create_default_context(cafile=authority)).close()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code == HTTPStatus.FORBIDDEN
    except OSError:
        return False
    return True


def stop_s3(run: Path) -> None:
    """Stop it; it would take its time, and what it holds is not kept."""
    processes.stop(run / _PID, seconds=2)
    for port in _PORTS.values():  # whatever it is told, some of its sockets are there
        for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):  # noqa: S108
            path.unlink(missing_ok=True)


def data_folder(folder: Path) -> Path:
    """Where the objects are."""
    return folder / "outside" / "s3"


def identities(folder: Path) -> tuple[str, str]:
    """Access key and secret of the account's owner, made the first time, in the file that the server reads."""
    file = _config_file(folder)
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(json.dumps(_config(secrets.token_urlsafe(30)), indent=2))
    (owner,) = json.loads(file.read_text())["identities"]
    return _ADMIN, owner["credentials"][0]["secretKey"]


def _config_file(folder: Path) -> Path:
    return folder / "outside" / "s3.json"


def _config(secret: str) -> dict[str, Any]:
    owner = {"name": _ADMIN, "credentials": [{"accessKey": _ADMIN, "secretKey": secret}]}
    # The stand-in asks for no credential, but a request without one is none of AWS'.
    kms = {"type": "aws", "region": world.STORE.region, "endpoint": world.AWS_URL}
    return {
        "identities": [owner | {"actions": ["Admin", "Read", "Write", "List"]}],
        "kms": {"default_provider": "lab", "providers": {"lab": kms | {"access_key": "lab", "secret_key": "lab"}}},
    }


def _program() -> Path:
    found = Path(sys.executable).with_name("weed")
    if not found.is_file():
        on_path = shutil.which("weed")
        if on_path is None:
            raise LabError("the S3 server `weed` is missing\n  fix: make setup")
        found = Path(on_path)
    return found

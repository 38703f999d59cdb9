"""SeaweedFS as a real S3 server on loopback, with signed requests, versions and object lock."""

import hashlib
import hmac
import json
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from loopback import free_ports, wait_until

_REGION = "eu-central-1"
_LOCK = (
    b"<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>"
    b"<Mode>GOVERNANCE</Mode><Days>1</Days></DefaultRetention></Rule></ObjectLockConfiguration>"
)


def weed() -> str | None:
    """The server's program: beside this Python, or on PATH."""
    beside = Path(sys.executable).parent / "weed"
    return str(beside) if beside.is_file() else shutil.which("weed")


class S3Server:
    """One server for all tests; each takes a bucket of its own."""

    access = "test-access-key-1"
    secret = "test-secret-key-0123456789"

    def __init__(self, program: str, folder: Path) -> None:
        self._program = program
        self._folder = folder

    def __enter__(self) -> Self:
        identities = self._folder / "s3.json"
        credentials = [{"accessKey": self.access, "secretKey": self.secret}]
        identity = {"name": "node", "credentials": credentials, "actions": ["Admin", "Read", "Write", "List"]}
        identities.write_text(json.dumps({"identities": [identity]}))
        data = self._folder / "data"
        data.mkdir()
        self._ports = free_ports(9)
        master, volume, filer, s3, master_grpc, volume_grpc, filer_grpc, s3_grpc, metrics = self._ports
        self._log = (self._folder / "log").open("wb")
        self._process = subprocess.Popen(
            [
                self._program, "-logtostderr=true", "server", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
                "-master.telemetry=false",
                f"-master.port={master}", f"-master.port.grpc={master_grpc}", "-master.volumeSizeLimitMB=64",
                f"-volume.port={volume}", f"-volume.port.grpc={volume_grpc}", "-volume.max=1000",
                f"-filer.port={filer}", f"-filer.port.grpc={filer_grpc}", f"-metricsPort={metrics}",
                "-s3", f"-s3.port={s3}", f"-s3.port.grpc={s3_grpc}", f"-s3.config={identities}", "-s3.iam=false",
                "-s3.port.iceberg=0", "-s3.port.lance=0",
            ],
            cwd=self._folder, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
        )  # fmt: skip
        self.host = f"127.0.0.1:{s3}"
        try:
            # Buckets can be made once its parts have found each other.
            wait_until(lambda: self._answers(f"probe-{s3}"), 60, "the S3 server")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait(30)
        self._log.close()
        for port in self._ports:  # it names its sockets by them
            for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                path.unlink(missing_ok=True)

    def _answers(self, bucket: str) -> bool:
        if self._process.poll() is not None:
            raise AssertionError((self._folder / "log").read_text()[-2000:])
        try:
            return self.call("PUT", f"/{bucket}")[0] in (200, 409)
        except OSError:
            return False

    def create_locked_bucket(self, bucket: str) -> None:
        """Versioned, and each version kept for a day: as on AWS, a plain delete only hides."""
        made = self.call("PUT", f"/{bucket}", headers={"x-amz-bucket-object-lock-enabled": "true"})
        locked = self.call("PUT", f"/{bucket}", "object-lock=", body=_LOCK)
        assert (made[0], locked[0]) == (200, 200), (made, locked)

    def versions(self, bucket: str) -> tuple[int, int]:
        """(versions, delete markers) in a bucket."""
        text = self.call("GET", f"/{bucket}", "max-keys=1000&versions=")[1]
        return len(re.findall("<Version>", text)), len(re.findall("<DeleteMarker>", text))

    def hide(self, bucket: str, key: str) -> None:
        """A plain delete of one object."""
        assert self.call("DELETE", f"/{bucket}/{key}")[0] == 204

    def call(
        self, method: str, path: str, query: str = "", headers: dict[str, str] | None = None, body: bytes = b""
    ) -> tuple[int, str]:
        """One signed request: status and answer."""
        signed = self._sign(method, path, query, headers or {}, body)
        url = f"http://{self.host}{path}" + (f"?{query}" if query else "")
        request = urllib.request.Request(url, data=body or None, method=method, headers=signed)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def _sign(self, method: str, path: str, query: str, headers: dict[str, str], body: bytes) -> dict[str, str]:
        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        digest = hashlib.sha256(body).hexdigest()
        signed = {**headers, "host": self.host, "x-amz-date": now, "x-amz-content-sha256": digest}
        names = ";".join(sorted(signed))
        lines = [method, path, query, *(f"{key}:{signed[key]}" for key in sorted(signed)), "", names, digest]
        scope = f"{now[:8]}/{_REGION}/s3/aws4_request"
        canonical = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        key = f"AWS4{self.secret}".encode()
        for word in (now[:8], _REGION, "s3", "aws4_request"):
            key = hmac.new(key, word.encode(), hashlib.sha256).digest()
        text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{canonical}"
        signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
        credential = f"Credential={self.access}/{scope}, SignedHeaders={names}, Signature={signature}"
        return {**signed, "authorization": f"AWS4-HMAC-SHA256 {credential}"}

"""The program with the folders, files and environment that its container gives it."""

import json
import os
import secrets
import shutil
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from backup.settings import DAYS
from postgres_server import programs


def missing_programs() -> list[str]:
    """What the tests run and this machine lacks."""
    return [name for name, there in (("restic", shutil.which("restic")), ("postgresql", programs())) if not there]


class Program:
    """One node's backup service; each command is a process of its own, as by `docker exec`."""

    def __init__(self, folder: Path, service: Path, *, bucket: str, host: str, access: str, secret: str) -> None:
        self.bucket = bucket
        self.volumes, self.config, self.cache = (folder / name for name in ("backup", "config", "cache"))
        scratch = folder / "scratch"
        for path in (self.volumes, self.config, self.cache, scratch):
            path.mkdir()
        self.passphrase = secrets.token_urlsafe(32)
        for name, value in (("passphrase", self.passphrase), ("access-key", access), ("secret-key", secret)):
            self.give(name, value)
        # A first run ends with a check, which most tests have no use for.
        (self.cache / "state.json").write_text(json.dumps({"verified": time.time()}))
        search = os.pathsep.join((str(programs()), os.environ["PATH"]))
        self.env: dict[str, str] = {
            "PATH": search,
            "PYTHONPATH": str(service),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
            "BACKUP_NODE": "oracle1",
            "BACKUP_BUCKET": bucket,
            "BACKUP_REGION": "eu-central-1",
            "BACKUP_HOST": host,
            "BACKUP_SCHEME": "http",
            "BACKUP_CONFIG_DIR": str(self.config),
            "BACKUP_VOLUMES_DIR": str(self.volumes),
            "BACKUP_CACHE_DIR": str(self.cache),
            "BACKUP_SCRATCH_DIR": str(scratch),
            "BACKUP_PROBE_SECONDS": "60",
            "BACKUP_CHECK": DAYS[datetime.now(UTC).weekday() - 3],
        }

    def give(self, name: str, value: str) -> None:
        """Put a secret into the configuration."""
        (self.config / name).write_text(f"{value}\n")

    def volume(self, name: str, files: dict[str, bytes]) -> Path:
        """Make a volume, or add to it."""
        for file, content in files.items():
            path = self.volumes / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return self.volumes / name

    def start(self, *arguments: str, **env: str) -> "subprocess.Popen[bytes]":
        """Start a command and do not wait for it."""
        return subprocess.Popen(
            [sys.executable, "-m", "backup", *arguments],
            env={**self.env, **env}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, *arguments: str, stdin: bytes = b"", **env: str) -> "subprocess.CompletedProcess[bytes]":
        """A command, to its end."""
        return subprocess.run(
            [sys.executable, "-m", "backup", *arguments],
            env={**self.env, **env}, input=stdin, capture_output=True, timeout=180, check=False,
        )  # fmt: skip

    def back_up(self, *arguments: str) -> None:
        """A run that has to go well."""
        done = self.run("now", *arguments)
        assert done.returncode == 0, done.stderr.decode()

    def restore(self, *arguments: str, stdin: bytes = b"") -> bytes:
        """A restore that has to go well; what it printed."""
        done = self.run("restore", *arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def snapshots(self) -> list[str]:
        """The part of each snapshot, oldest first."""
        done = self.run("list", "--json")
        assert done.returncode == 0, done.stderr.decode()
        return [entry["part"] for entry in json.loads(done.stdout)]

    def state(self) -> dict[str, Any]:
        """What the program remembers."""
        raw: dict[str, Any] = json.loads((self.cache / "state.json").read_text())
        return raw

    def restic(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Restic as an operator would call it, past the program."""
        return subprocess.run(
            ["restic", "--no-cache", *arguments],
            env=self.restic_environment(), capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    def restic_environment(self) -> dict[str, str]:
        """What restic needs to open the repository."""
        return {
            "PATH": self.env["PATH"],
            "HOME": self.env["BACKUP_SCRATCH_DIR"],
            "RESTIC_REPOSITORY": f"s3:http://{self.env['BACKUP_HOST']}/{self.bucket}",
            "RESTIC_PASSWORD": self.passphrase,
            "AWS_ACCESS_KEY_ID": (self.config / "access-key").read_text().strip(),
            "AWS_SECRET_ACCESS_KEY": (self.config / "secret-key").read_text().strip(),
            "AWS_DEFAULT_REGION": "eu-central-1",
        }


class ArgumentWatch:
    """Collects the arguments of every process of the machine while something runs."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> "ArgumentWatch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.005):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    self.seen.add(path.read_bytes())
                except OSError:
                    continue


def children(pid: int) -> list[int]:
    """The processes that a process started and that still run."""
    found: list[int] = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(path.parent.name))
    return found


def bytes_read(pid: int) -> int:
    """How much a process has read by now, from anywhere; 0 when it is gone."""
    try:
        counts = Path(f"/proc/{pid}/io").read_text()
    except OSError:
        return 0
    return int(dict(line.split(": ") for line in counts.splitlines())["rchar"])

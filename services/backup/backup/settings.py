"""What the container is told: plain values by environment, secrets by files."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time
from pathlib import Path
from typing import Final

from backup.errors import SettingError

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The environment, read once; times of day are UTC."""

    node: str
    bucket: str
    region: str
    host: str
    """The store's host name; of a bucket with a host name of its own, that one."""
    scheme: str
    port: int
    config: Path
    volumes: Path
    """Below it one folder for each volume, `<service>-<volume>`, mounted read-only."""
    cache: Path
    """The one writable place that outlives the container: restic's cache, this program's state."""
    scratch: Path
    """A tmpfs."""
    at: time
    jitter_minutes: int
    settle_seconds: int
    """How long after its start the container leaves the others alone."""
    retry_minutes: int
    check_day: int
    check_slices: int
    """A check reads one slice of the data: with 12 slices and a check each week, all of it in a quarter."""
    part_seconds: int
    probe_seconds: int
    postgres: str
    qdrant: str

    @property
    def virtual_hosted(self) -> bool:
        """Whether the bucket stands in the host name (AWS) and not in the path (most others)."""
        return self.host.startswith(f"{self.bucket}.")

    @property
    def repository(self) -> str:
        """The repository as restic names it.

        For AWS the endpoint of the region: restic puts the bucket in front and `dualstack` in between by itself.
        """
        endpoint = self.host.removeprefix(f"{self.bucket}.").replace("s3.dualstack.", "s3.", 1)
        return f"s3:{self.scheme}://{endpoint}/{self.bucket}"

    @property
    def bucket_lookup(self) -> str:
        """How restic addresses the bucket; egress lets out exact host names, so it must not guess."""
        return "dns" if self.virtual_hosted else "path"

    def secret(self, name: str) -> str:
        """A secret's content, without the end of line that editors add."""
        try:
            value = (self.config / name).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise SettingError(f"the secret {name!r} cannot be read: {error.strerror}") from None
        if not value:
            raise SettingError(f"the secret {name!r} is empty")
        return value

    def has(self, name: str) -> bool:
        """Whether a secret was given: which ones are there says what there is to back up."""
        return (self.config / name).is_file()

    def secrets(self) -> tuple[str, ...]:
        """All secrets, for the log to leave out."""
        found = (path.read_text(encoding="utf-8", errors="replace").strip() for path in self.config.iterdir())
        return tuple(value for value in found if value)


def from_environment(env: Mapping[str, str]) -> Settings:
    """Settings from `BACKUP_*`; one message for what is missing or malformed."""
    return Settings(
        node=_required(env, "BACKUP_NODE"),
        bucket=_required(env, "BACKUP_BUCKET"),
        region=_required(env, "BACKUP_REGION"),
        host=_required(env, "BACKUP_HOST"),
        scheme=_one_of(env, "BACKUP_SCHEME", ("https", "http")),
        port=_number(env, "BACKUP_PORT", 8060),
        config=Path(env.get("BACKUP_CONFIG_DIR", "/config")),
        volumes=Path(env.get("BACKUP_VOLUMES_DIR", "/backup")),
        cache=Path(env.get("BACKUP_CACHE_DIR", "/var/cache/restic")),
        scratch=Path(env.get("BACKUP_SCRATCH_DIR", "/tmp")),
        at=_time(env, "BACKUP_AT", "02:30"),
        jitter_minutes=_number(env, "BACKUP_JITTER_MINUTES", 30, least=0),
        settle_seconds=_number(env, "BACKUP_SETTLE_SECONDS", 300, least=0),
        retry_minutes=_number(env, "BACKUP_RETRY_MINUTES", 60),
        check_day=DAYS.index(_one_of(env, "BACKUP_CHECK", ("sun", *DAYS))),
        check_slices=_number(env, "BACKUP_CHECK_SLICES", 12),
        part_seconds=_number(env, "BACKUP_PART_SECONDS", 6 * 3600),
        probe_seconds=_number(env, "BACKUP_PROBE_SECONDS", 90),
        postgres=env.get("BACKUP_POSTGRES", "postgres:5432"),
        qdrant=env.get("BACKUP_QDRANT", "http://qdrant:6333"),
    )


def _required(env: Mapping[str, str], key: str) -> str:
    value = env.get(key, "")
    if not value:
        raise SettingError(f"{key} is not set")
    return value


def _number(env: Mapping[str, str], key: str, default: int, least: int = 1) -> int:
    text = env.get(key, str(default))
    if not text.isdecimal() or int(text) < least:
        raise SettingError(f"{key} is {text!r}; a whole number, {least} or more, is allowed")
    return int(text)


def _one_of(env: Mapping[str, str], key: str, allowed: tuple[str, ...]) -> str:
    value = env.get(key, allowed[0])
    if value not in allowed:
        raise SettingError(f"{key} is {value!r}; allowed are {', '.join(sorted(set(allowed)))}")
    return value


def _time(env: Mapping[str, str], key: str, default: str) -> time:
    text = env.get(key, default)
    try:
        hour, minute = text.split(":")
        return time(int(hour), int(minute))
    except ValueError:
        raise SettingError(f"{key} is {text!r}; a time of day as 02:30, in UTC, is allowed") from None

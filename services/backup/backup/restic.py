"""restic on the node's repository.

Secrets reach it by its environment (the store's keys) and a file (the passphrase), never by arguments, which every
user of the host can read.
"""

import json
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from backup.errors import BackupError, CommandError
from backup.process import Child
from backup.settings import Settings

ABSENT: Final = 10
"""Exit status for "no repository", since restic 0.17; before, only the message says so."""
WRONG_PASSPHRASE: Final = 12
INCOMPLETE: Final = 3
"""Exit status of a backup that was saved although some files could not be read."""
KEEP: Final = ("--keep-daily", "7", "--keep-weekly", "5", "--keep-monthly", "6")


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What one backup did."""

    snapshot: str
    files: int
    size: int
    added: int


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """One entry of the repository."""

    id: str
    time: datetime
    part: str
    paths: tuple[str, ...]


class Restic:
    """The commands that are used, on one repository."""

    def __init__(self, settings: Settings, stop: threading.Event) -> None:
        self._settings = settings
        self._stop = stop

    def open(self, known: str | None) -> str:
        """Open the repository, after making one where there is none; its id.

        It is made only on the store's plain word that there is none: a store that is away or a passphrase that is
        wrong are errors. (restic would make a missing bucket too; the node's credential may not.) With `known`, the
        id of earlier runs, nothing is ever made: then a repository that is gone was hidden or taken away, and a new
        one would cover that up.

        Locks go that restic takes for stale: their owner is dead on this host, or did not renew them for half an hour.
        `locks.release` removes those of this service that it cannot tell.
        """
        if known is None and not self._there("cat", "config"):
            self._probe("init")
        elif not self._there("unlock"):
            raise BackupError(
                f"the repository {(known or '')[:10]} is gone from {self._settings.repository}; its objects may still "
                "be there below delete markers. No new one is made"
            )
        if known is not None:
            return known
        return str(json.loads("".join(self._probe("cat", "config")))["id"])

    def _there(self, *command: str) -> bool:
        """Run something that opens the repository; False when there is none."""
        try:
            self._probe(*command)
        except CommandError as error:
            text = " ".join(error.tail)
            if error.interrupted:
                raise BackupError(f"the store does not answer: {error}") from None
            if error.code == ABSENT or "The specified key does not exist" in text:
                return False
            if error.code == WRONG_PASSPHRASE or "wrong password" in text:
                raise BackupError("the passphrase does not open the repository") from None
            raise
        return True

    def back_up_paths(self, part: str, paths: Sequence[str], excludes: Iterable[str] = ()) -> Summary:
        """Save files and folders."""
        patterns = [f"--exclude={pattern}" for pattern in excludes]
        with self._child(*self._backup(part), *patterns, "--", *paths) as child:
            return _summary(json_lines(child))

    def back_up_stream(self, part: str, name: str, source: Iterable[bytes]) -> Summary:
        """Save what `source` yields as one file.

        An exception from it leaves no snapshot: restic is interrupted before it sees the end of its input, which it
        would take for the end of the file.
        """
        with self._child(*self._backup(part), "--stdin", "--stdin-filename", name, feed=True) as child:
            for chunk in source:
                child.input.write(chunk)
            child.input.close()
            return _summary(json_lines(child))

    def forget(self) -> None:
        """Drop what the retention no longer keeps. Its deletes leave versions behind in a locked bucket."""
        self._run("forget", "--group-by", "host,tags", *KEEP, "--prune", "--quiet", limit=self._settings.part_seconds)

    def check(self, slice_: int) -> None:
        """Check the repository's structure, and one slice of its data byte by byte."""
        subset = f"--read-data-subset={slice_}/{self._settings.check_slices}"
        self._run("check", subset, "--quiet", limit=self._settings.part_seconds)

    def snapshots(self) -> tuple[Snapshot, ...]:
        """Everything that can be restored, oldest first."""
        found = json.loads("".join(self._probe("snapshots", "--json")) or "null")
        entries = [_snapshot(entry) for entry in found or ()]
        return tuple(sorted((e for e in entries if e is not None), key=lambda e: e.time))

    def locks(self) -> tuple[tuple[str, str], ...]:
        """Name and content of each lock in the repository; those that end meanwhile are left out."""
        found = []
        for line in self._probe("list", "locks", "--no-lock"):
            name = line.strip()
            try:
                found.append((name, "".join(self._probe("cat", "--no-lock", "lock", name))))
            except CommandError:
                # Older versions of restic go on looking for one that is gone until the limit.
                if self._stop.is_set():
                    raise
        return tuple(found)

    def dump(self, snapshot: str, path: str, *, archive: bool = False) -> Child:
        """A file's content, or with `archive` a tar of a folder, as the output of a child."""
        return self._child("dump", *(("--archive", "tar") if archive else ()), snapshot, path)

    def _backup(self, part: str) -> tuple[str, ...]:
        return ("backup", "--json", "--host", self._settings.node, "--tag", f"part:{part}")

    def _probe(self, *arguments: str) -> list[str]:
        """A command that ends soon, if the store answers."""
        return self._run(*arguments, limit=self._settings.probe_seconds)

    def _run(self, *arguments: str, limit: float) -> list[str]:
        with self._child(*arguments, limit=limit) as child:
            return [line.decode() for line in child.output]

    def _child(self, *arguments: str, limit: float | None = None, feed: bool = False) -> Child:
        command, *rest = arguments
        return Child(
            ["restic", command, "-o", f"s3.bucket-lookup={self._settings.bucket_lookup}", *rest],
            env=self._environment(),
            stop=self._stop,
            limit=limit if limit is not None else self._settings.part_seconds,
            feed=feed,
        )

    def _environment(self) -> Mapping[str, str]:
        settings = self._settings
        temporary = settings.cache / "tmp"
        temporary.mkdir(parents=True, exist_ok=True)
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(settings.scratch),
            "RESTIC_REPOSITORY": settings.repository,
            "RESTIC_PASSWORD_FILE": str(settings.config / "passphrase"),
            "RESTIC_CACHE_DIR": str(settings.cache / "restic"),
            "RESTIC_PROGRESS_FPS": "0.1",
            "AWS_ACCESS_KEY_ID": settings.secret("access-key"),
            "AWS_SECRET_ACCESS_KEY": settings.secret("secret-key"),
            # Given, restic need not ask where the bucket is, which goes to another host name.
            "AWS_DEFAULT_REGION": settings.region,
            # Unfinished packs are encrypted, and a tmpfs would count as the container's memory.
            "TMPDIR": str(temporary),
            # The index of a large repository lives in memory: collect garbage early, and try hard below the limit.
            "GOGC": "20",
            "GOMEMLIMIT": "640MiB",
            "GOMAXPROCS": "2",
            "RESTIC_READ_CONCURRENCY": "1",
        }


def json_lines(child: Child) -> list[Mapping[str, Any]]:
    """The messages other than progress that a command with `--json` prints."""
    messages = (json.loads(line) for line in child.output if line.startswith(b"{"))
    return [m for m in messages if m.get("message_type") != "status"]


def _summary(messages: Iterable[Mapping[str, Any]]) -> Summary:
    for message in messages:
        if message.get("message_type") == "summary":
            return Summary(
                snapshot=str(message["snapshot_id"])[:8],
                files=int(message["total_files_processed"]),
                size=int(message["total_bytes_processed"]),
                added=int(message["data_added"]),
            )
    raise EOFError("restic printed no summary")


def _snapshot(entry: Mapping[str, Any]) -> Snapshot | None:
    parts = [tag.removeprefix("part:") for tag in entry.get("tags") or () if tag.startswith("part:")]
    if not parts:
        return None  # somebody's own, made by hand
    moment = datetime.fromisoformat(entry["time"])
    return Snapshot(id=entry["short_id"], time=moment, part=parts[0], paths=tuple(entry["paths"]))

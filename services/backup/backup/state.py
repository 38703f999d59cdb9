"""What is known of earlier runs, in one file beside restic's cache.

The container is replaced now and then: without this file every replacement would look like a node that was never
backed up, and commands run by `docker exec` could not show in the metrics.
"""

import fcntl
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from backup.errors import BusyError


@dataclass(kw_only=True)
class PartState:
    """The last attempts at one part; times are seconds since the epoch."""

    attempt: float = 0
    success: float = 0
    seconds: float = 0
    size: int = 0
    added: int = 0
    files: int = 0
    snapshots: int = 0
    error: str | None = None


@dataclass(kw_only=True)
class State:
    """All that is remembered."""

    repository: str | None = None
    started: float = 0
    ended: float = 0
    ok: bool = False
    verified: float = 0
    verify_error: str | None = None
    parts: dict[str, PartState] = field(default_factory=dict)
    hosts: list[str] = field(default_factory=list)
    """Host names that this service's containers had: theirs are the locks that nobody else removes."""
    leftovers: dict[str, str] = field(default_factory=dict)
    """Snapshot -> collection that Qdrant made for a run which may not have lived to remove it."""

    def part(self, name: str) -> PartState:
        """A part's state, new when it is seen the first time."""
        return self.parts.setdefault(name, PartState())

    def keep_only(self, kind: str, names: Iterable[str]) -> list[str]:
        """Forget the parts of a kind that are no more, or their age would alert forever; the names dropped."""
        kept = set(names)
        gone = [name for name in self.parts if name.startswith(f"{kind}/") and name not in kept]
        for name in gone:
            del self.parts[name]
        return gone


class Store:
    """Reads and writes the file, and lets one run at a time through."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "state.json"
        self._lock = folder / "run.lock"
        folder.mkdir(parents=True, exist_ok=True)

    def load(self) -> State:
        """The last state written; an empty one when there is none or it cannot be read."""
        try:
            raw = json.loads(self._file.read_text(encoding="utf-8"))
            parts = {name: PartState(**_known(PartState, part)) for name, part in raw.pop("parts", {}).items()}
            return State(**_known(State, raw), parts=parts)
        except (OSError, ValueError, TypeError, AttributeError):
            return State()

    def save(self, state: State) -> None:
        """Write it whole or not at all."""
        new = self._file.with_suffix(".new")
        new.write_text(json.dumps(asdict(state), indent=1), encoding="utf-8")
        new.replace(self._file)

    @contextmanager
    def run_lock(self) -> Iterator[None]:
        """Held during a run, by the scheduler or a command; the kernel drops it with its holder."""
        with self._lock.open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BusyError("another backup or verification is under way") from None
            try:
                yield
            finally:
                with suppress(OSError):
                    fcntl.flock(handle, fcntl.LOCK_UN)

    def running(self) -> bool:
        """Whether a run is under way."""
        try:
            with self.run_lock():
                return False
        except BusyError:
            return True


def _known(kind: type, raw: dict[str, Any]) -> dict[str, Any]:
    """The fields that this version has, so that an older or newer file still counts."""
    names = {f.name for f in fields(kind)}
    return {key: value for key, value in raw.items() if key in names}

"""What one run may use, and what one request may ask for."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

MIB: Final = 1024 * 1024

MAX_BODY_BYTES: Final = 24 * MIB
MAX_CODE_CHARS: Final = 1_000_000
MAX_STDIN_CHARS: Final = 1_000_000
MAX_FILES_IN: Final = 64
MAX_FILE_IN_BYTES: Final = 8 * MIB
MAX_FILES_IN_BYTES: Final = 16 * MIB
MAX_TIMEOUT_SECONDS: Final = 120.0
DEFAULT_TIMEOUT_SECONDS: Final = 30.0
MAX_TTL_SECONDS: Final = 3600
DEFAULT_TTL_SECONDS: Final = 600
MAX_SESSION_SECONDS: Final = 6 * 3600
"""A session's whole life, however busy it is kept."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits of a box: one run, or all runs of one session."""

    memory_bytes: int = 512 * MIB
    """All processes together, measured."""
    address_bytes: int = 2048 * MIB
    """Address space of each process; it stops one large allocation before the measurement sees it."""
    disk_bytes: int = 96 * MIB
    """All files together, measured."""
    file_bytes: int = 32 * MIB
    """Each file."""
    entries: int = 4096
    """Files and folders: empty ones cost memory too."""
    depth: int = 32
    """Folders within folders."""
    processes: int = 32
    """Processes and threads; exact, since each box has its own user."""
    open_files: int = 128
    cpu_seconds: int = 600
    """Of each process."""
    output_bytes: int = 256 * 1024
    """What is kept of stdout and of stderr."""
    output_stop_bytes: int = 32 * MIB
    """Who writes more than this is stopped."""
    result_chars: int = 64 * 1024
    files_out: int = 64
    files_out_bytes: int = 16 * MIB
    plots: int = 16

    def to_json(self) -> dict[str, int]:
        """For the way from one process to another."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Limits:
        """The inverse of `to_json`."""
        return cls(**value)

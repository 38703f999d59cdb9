"""Structured logs: one JSON object a line, without the secrets that the program knows."""

import json
import sys
import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final, TextIO

SHORTEST: Final = 6
"""Below it a secret would blot out ordinary words."""


class Log:
    """Writes events to a stream. Commands that print data on standard output log to standard error."""

    def __init__(self, stream: TextIO = sys.stdout, secrets: Iterable[str] = ()) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        # As JSON writes them, since that is where they are looked for.
        self._secrets = tuple(json.dumps(s)[1:-1] for s in secrets if len(s) >= SHORTEST)

    def info(self, event: str, **fields: Any) -> None:
        """Something went as it should."""
        self._write("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Something that may need a look."""
        self._write("warning", event, fields)

    def failure(self, event: str, **fields: Any) -> None:
        """Something that failed."""
        self._write("error", event, fields)

    def _write(self, level: str, event: str, fields: dict[str, Any]) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = json.dumps({"time": now, "level": level, "event": event, **fields}, default=str)
        for secret in self._secrets:
            line = line.replace(secret, "[secret]")
        with self._lock:
            print(line, file=self._stream, flush=True)

"""What goes wrong in ways that an operator can understand from one line."""

from collections.abc import Sequence


class BackupError(Exception):
    """A failure with a message for people; it never holds a secret."""


class SettingError(BackupError):
    """The environment or a file of the configuration is not as it has to be."""


class BusyError(BackupError):
    """Another run holds the lock."""


class CommandError(BackupError):
    """A program ended with an error, was interrupted or ran past its limit."""

    def __init__(self, program: str, code: int, why: str | None, tail: Sequence[str]) -> None:
        detail = why or f"exit status {code}"
        super().__init__(f"{program}: {detail}" + (f": {' | '.join(tail)}" if tail else ""))
        self.code = code
        self.tail = tuple(tail)
        self.interrupted = why is not None

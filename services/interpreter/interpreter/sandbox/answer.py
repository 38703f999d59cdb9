"""What user code's process says about its run, brought into shape: it may say anything."""

from __future__ import annotations

import signal
from typing import Any, Final

from interpreter import frames
from interpreter.limits import Limits
from interpreter.sandbox.run import Ending

_SHORT: Final = 256
_LONG: Final = 16 * 1024
_SHELL_SIGNAL: Final = 128


def _text(value: Any, most: int) -> str:
    # Half a surrogate pair is no text that JSON in UTF-8 could carry.
    return value[:most].encode(errors="backslashreplace").decode()[:most] if isinstance(value, str) else ""


def _result(value: Any, limits: Limits) -> frames.Message | None:
    if not isinstance(value, dict):
        return None
    return {"type": _text(value.get("type"), _SHORT), "text": _text(value.get("text"), limits.result_chars)}


def _error(value: Any) -> frames.Message | None:
    if not isinstance(value, dict):
        return None
    return {
        "type": _text(value.get("type"), _SHORT),
        "message": _text(value.get("message"), _LONG),
        "traceback": _text(value.get("traceback"), _LONG),
    }


def describe(ending: Ending, language: str, limits: Limits) -> frames.Message:
    """Status, result, error and exit code of a run."""
    said = ending.answer or {}
    error = _error(said.get("error"))
    code = said.get("exit_code") if ending.answer else ending.exit_code
    code = code if isinstance(code, int) else None
    return {
        "status": _status(ending, language, failed=error is not None or code != 0),
        "result": _result(said.get("result"), limits),
        "error": error,
        # As a shell shows the end by a signal.
        "exit_code": None if code is None else min(_SHELL_SIGNAL - code if code < 0 else int(code), 255),
    }


def _status(ending: Ending, language: str, *, failed: bool) -> str:
    if ending.status == "answered":
        return "error" if failed else "ok"
    if ending.status != "exited":
        return ending.status
    if ending.exit_code == -signal.SIGXCPU:
        return "timeout"
    if language == "python":
        return "crashed"  # it ended without an answer
    return "error" if failed else "ok"

"""What callers send and get; the OpenAPI description comes from here."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from interpreter import limits, names

Language = Literal["python", "bash"]
Status = Literal["ok", "error", "timeout", "memory_limit", "disk_limit", "output_limit", "crashed"]

_BASE64_CHARS = (limits.MAX_FILE_IN_BYTES + 2) // 3 * 4
SESSION_ID = r"^[0-9a-f]{32}$"


def _name(name: str) -> str:
    if (problem := names.problem(name)) is not None:
        raise ValueError(problem)
    return name


def _content(content: str) -> str:
    try:
        base64.b64decode(content, validate=True)
    except (ValueError, binascii.Error) as error:
        raise ValueError("must be standard base64") from error
    return content


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class FileIn(_In):
    """A file to lay into the work folder."""

    name: Annotated[str, Field(min_length=1, max_length=512, examples=["data/input.csv"]), AfterValidator(_name)]
    content: Annotated[
        str,
        Field(max_length=_BASE64_CHARS, json_schema_extra={"contentEncoding": "base64"}, examples=["YSxiCjEsMgo="]),
        AfterValidator(_content),
    ]


class ExecuteRequest(_In):
    """Code to run."""

    code: Annotated[str, Field(max_length=limits.MAX_CODE_CHARS, examples=["1 + 1"])]
    language: Language = "python"
    stdin: Annotated[str, Field(max_length=limits.MAX_STDIN_CHARS)] = ""
    files: Annotated[list[FileIn], Field(max_length=limits.MAX_FILES_IN)] = []
    timeout_seconds: Annotated[float, Field(gt=0, le=limits.MAX_TIMEOUT_SECONDS, allow_inf_nan=False)] = (
        limits.DEFAULT_TIMEOUT_SECONDS
    )
    session_id: Annotated[str | None, Field(pattern=SESSION_ID, description="Run there, and keep its state.")] = None

    @model_validator(mode="after")
    def _check_files(self) -> ExecuteRequest:
        if (name := names.conflict(file.name for file in self.files)) is not None:
            raise ValueError(f"files: {name!r} is given twice, or is a file and a folder")
        total = sum(len(file.content) for file in self.files) * 3 // 4
        if total > limits.MAX_FILES_IN_BYTES:
            raise ValueError(f"files: more than {limits.MAX_FILES_IN_BYTES} bytes together")
        return self

    def to_warden(self, *, final: bool) -> dict[str, Any]:
        """The request as a box understands it."""
        return {
            "code": self.code,
            "language": self.language,
            "stdin": self.stdin,
            "files": [file.model_dump() for file in self.files],
            "timeout": self.timeout_seconds,
            "final": final,
        }


class Stream(BaseModel):
    """The beginning of what was written."""

    text: str
    truncated: bool


class Result(BaseModel):
    """The value of the last expression."""

    type: str
    text: str


class RunError(BaseModel):
    """The exception that ended the run."""

    type: str
    message: str
    traceback: str


class FileOut(BaseModel):
    """A file that the run made or changed, or a figure as PNG."""

    name: str
    size: int
    content: Annotated[str, Field(json_schema_extra={"contentEncoding": "base64"})]


class Skipped(BaseModel):
    """A file that is not returned."""

    name: str
    reason: str


class ExecuteResponse(BaseModel):
    """How the run went. A run that failed is an answer too: HTTP 200, and `status` says so."""

    status: Status
    stdout: Stream
    stderr: Stream
    result: Result | None
    error: RunError | None
    exit_code: int | None
    files: list[FileOut]
    plots: list[FileOut]
    skipped: list[Skipped]
    seconds: float
    peak_memory_bytes: int
    session_id: str | None
    session_ended: Annotated[bool, Field(description="A limit or a crash ended the session; its state is gone.")]


class SessionRequest(_In):
    """A session to open."""

    ttl_seconds: Annotated[int, Field(ge=1, le=limits.MAX_TTL_SECONDS, description="How long it may be idle.")] = (
        limits.DEFAULT_TTL_SECONDS
    )


class SessionResponse(BaseModel):
    """An open session."""

    id: str
    ttl_seconds: int
    expires_at: Annotated[float, Field(description="Unix time; each run moves it on.")]
    busy: bool


class Health(BaseModel):
    """The answer to a probe."""

    status: Literal["ok", "starting"]

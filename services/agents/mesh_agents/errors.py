"""Errors as callers see them: OpenAI's shape, so that its clients raise their own exceptions."""

from typing import Any

from pydantic import BaseModel


class ErrorBody(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorResponse(BaseModel):
    """OpenAI's envelope of an error."""

    error: ErrorBody


class ApiError(Exception):
    """An error that is the answer to a request."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str,
        kind: str = "invalid_request_error",
        param: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        """`message` says what is wrong; `code` is for programs; `retry_after` is in seconds."""
        super().__init__(message)
        self.status = status
        self.body = ErrorBody(message=message, type=kind, param=param, code=code)
        self.retry_after = retry_after

    def envelope(self) -> dict[str, Any]:
        """As it is sent."""
        return ErrorResponse(error=self.body).model_dump()


def unavailable(what: str) -> ApiError:
    """Something behind us is away; the request may be tried again."""
    return ApiError(
        503,
        f"{what} cannot be reached at the moment; try again later",
        code="dependency_unavailable",
        kind="server_error",
        retry_after=5,
    )


def failed() -> ApiError:
    """Something that nobody foresaw."""
    return ApiError(500, "the service failed; the log has the request's id", code="internal", kind="server_error")


def not_found(what: str, name: str) -> ApiError:
    """No such thing, or it belongs to another tenant."""
    return ApiError(404, f"there is no {what} {name!r}", code=f"{what}_not_found")

"""Errors in OpenAI's shape."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

_TYPES: Final = {
    HTTPStatus.UNAUTHORIZED: "authentication_error",
    HTTPStatus.NOT_FOUND: "not_found_error",
    HTTPStatus.CONFLICT: "conflict_error",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_error",
}


class ErrorDetail(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorBody(BaseModel):
    """The body of every answer of 400 and more."""

    error: ErrorDetail


class ApiError(Exception):
    """An answer other than a good one."""

    def __init__(
        self, status: int, code: str, message: str, *, param: str | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param
        self.headers = {} if retry_after is None else {"Retry-After": str(retry_after)}


def body(status: int, message: str, *, code: str | None = None, param: str | None = None) -> dict[str, Any]:
    """An error as JSON."""
    try:
        default = "invalid_request_error" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "server_error"
        kind = _TYPES.get(HTTPStatus(status), default)
    except ValueError:
        kind = "server_error"
    return ErrorBody(error=ErrorDetail(message=message, type=kind, param=param, code=code)).model_dump()


def response(
    status: int, message: str, *, code: str | None = None, param: str | None = None, headers: Mapping[str, str] = {}
) -> JSONResponse:
    """An error as an answer."""
    return JSONResponse(body(status, message, code=code, param=param), status, dict(headers))


def require_json(request: Request) -> None:
    """Other media types are refused, whatever their body would parse as."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/json":
        raise ApiError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "Send application/json.")


async def _api_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ApiError)  # noqa: S101 - registered for it alone
    return response(error.status, str(error), code=error.code, param=error.param, headers=error.headers)


async def _http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it alone
    return response(error.status_code, str(error.detail), headers=error.headers or {})


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for it alone
    if any(one["loc"][:1] == ("body",) for one in error.errors()):
        try:
            require_json(request)
        except ApiError as refusal:
            return await _api_error(request, refusal)
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        message = f"The body is not valid JSON: {first.get('ctx', {}).get('error', 'malformed')}"
        return response(HTTPStatus.BAD_REQUEST, message, code="json_invalid")
    param = ".".join(str(part) for part in first["loc"] if part != "body") or None
    message = f"{param}: {first['msg']}" if param else first["msg"]
    return response(HTTPStatus.BAD_REQUEST, message, code=first["type"], param=param)


def install(app: FastAPI) -> None:
    """Have the application answer so."""
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)

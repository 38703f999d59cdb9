"""Errors of every kind become OpenAI's shape."""

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute

from mesh_agents.api.depends import tenant_of
from mesh_agents.api.unknown import Served, is_api, shaped
from mesh_agents.errors import ApiError, ErrorResponse, failed

_LOG: Final = logging.getLogger(__name__)


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For a route's `responses`: the errors that it answers with, and those that every route does."""
    return {status: {"model": ErrorResponse} for status in sorted({400, 401, 413, *statuses})}


def answer(request: Request, error: ApiError) -> JSONResponse:
    """The response of an error."""
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return shaped(request, error, headers)


def install(app: FastAPI, routes: Sequence[BaseRoute]) -> None:
    """Handle every kind of error; `routes` are what the app serves."""
    app.add_exception_handler(ApiError, _api)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, partial(_http, Served(routes)))
    app.add_exception_handler(Exception, _unexpected)


async def _api(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, ApiError):
        raise error
    return answer(request, error)


async def _validation(request: Request, error: Exception) -> JSONResponse:
    """400, as OpenAI does, naming the first thing that is wrong."""
    if not isinstance(error, RequestValidationError):
        raise error
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path"))
    if first["type"] == "json_invalid":
        return answer(request, ApiError(400, "the body is not valid JSON", code="invalid_json"))
    message = f"{where}: {first['msg']}" if where else first["msg"]
    return answer(request, ApiError(400, message, code="invalid_value", param=where or None))


async def _http(served: Served, request: Request, error: Exception) -> JSONResponse:
    """Starlette's own: unknown path, wrong method, a body that cannot be parsed."""
    if not isinstance(error, HTTPException):
        raise error
    path = request.url.path
    if error.status_code in (404, 405) and is_api(path):
        try:
            tenant_of(request)
        except ApiError as stranger:
            return answer(request, stranger)
        return shaped(request, *served.refusal(request.method, path))
    refusal = ApiError(error.status_code, str(error.detail).lower(), code=_CODES.get(error.status_code, "bad_request"))
    response = answer(request, refusal)
    headers: Mapping[str, str] = error.headers or {}
    response.headers.update(headers)
    return response


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    _LOG.error("unexpected error", exc_info=error)
    return answer(request, failed())


_CODES: Final = {404: "not_found", 405: "method_not_allowed", 413: "request_too_large"}

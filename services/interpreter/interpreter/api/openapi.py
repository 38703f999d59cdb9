"""The description of the interface, as it is and not as the framework guesses it."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from interpreter.api.edge import OPEN_PATHS
from interpreter.api.errors import ErrorBody

VERSION: Final = "1.0.0"
_METHODS: Final = ("get", "post", "delete")


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors that a route answers with, beside what each does."""
    return {status: {"model": ErrorBody} for status in (401, *statuses)}


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI description."""
    if app.openapi_schema is None:
        schema = get_openapi(
            title="Code interpreter",
            version=VERSION,
            description="Runs Python and bash for a caller, each run alone in a sandbox.",
            routes=app.routes,
        )
        schema["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        for path, operations in schema["paths"].items():
            for operation in (operations[method] for method in _METHODS if method in operations):
                operation["responses"].pop("422", None)  # wrong input is a 400 here
                if path not in OPEN_PATHS:
                    operation["security"] = [{"key": []}]
        for unused in ("HTTPValidationError", "ValidationError"):
            schema["components"]["schemas"].pop(unused, None)
        app.openapi_schema = schema
    return app.openapi_schema

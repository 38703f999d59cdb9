"""The way to the lab's AWS server, and its refusals as errors of a resource."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import boto3  # type: ignore[import-untyped]
from botocore.exceptions import ClientError  # type: ignore[import-untyped]

from lab.provider import ResourceError, Values

_GONE: Final = re.compile("NoSuch|NotFound|404")


def api_of(config: Values, service: str) -> Any:
    """The client of one service."""
    return boto3.client(
        service,
        endpoint_url=config["aws"],
        region_name=config.get("region") or "us-east-1",
        aws_access_key_id="lab",
        aws_secret_access_key="lab",  # noqa: S106 - the stand-in asks for none
    )


def call(function: Callable[..., Any], **arguments: Any) -> Any:
    """An API call whose refusal is the resource's error."""
    try:
        return function(**arguments)
    except ClientError as error:
        raise ResourceError(str(error)) from error


def seen(function: Callable[..., Any], **arguments: Any) -> Any | None:
    """What an API call reads; None where there is nothing."""
    try:
        return function(**arguments)
    except ClientError as error:
        if _GONE.search(error.response["Error"]["Code"]):
            return None
        raise ResourceError(str(error)) from error


def tags_of(inputs: Values, key: str, value: str) -> list[dict[str, str]]:
    """Tags as AWS lists them; each service has its own names for both halves."""
    return [{key: name, value: text} for name, text in (inputs.get("tags") or {}).items()]

"""The way to the lab's AWS servers, and their refusals as errors of a resource.

| what | server | what it does with it |
|---|---|---|
| buckets, tags, versions, object lock | SeaweedFS | keeps to it |
| bucket policy | SeaweedFS | keeps to it, its owner included: plain HTTP and other encryption are refused |
| default encryption | SeaweedFS | encrypts each object with a data key from the stand-in's KMS |
| lifecycle, ownership controls | SeaweedFS | remembers it; nothing expires within a lab's life |
| users, their policies, access keys | SeaweedFS | keeps to it, action by action; knows no rights to keys of KMS |
| public access block | stand-in (moto) | remembers it: SeaweedFS has no such call |
| keys of KMS | stand-in (moto) | makes data keys and opens them, for whoever asks |
"""

from __future__ import annotations

import functools
import re
import threading
from collections.abc import Callable
from typing import Any, Final

import boto3  # type: ignore[import-untyped]
from botocore.config import Config  # type: ignore[import-untyped]
from botocore.exceptions import ClientError  # type: ignore[import-untyped]

from lab.provider import ResourceError, Values

REAL: Final = {"s3": True, "s3.public_access_block": False, "iam": True, "kms": False}
"""Whether the real server answers for a service, or for a part of it; else the stand-in does."""

_GONE: Final = re.compile("NoSuch|NotFound|404")


def api_of(config: Values, service: str, part: str = "") -> Any:
    """The client of one service, or of the part of it that has a server of its own."""
    aws = config["aws"]
    server = REAL.get(f"{service}.{part}", REAL.get(service, False))
    return _client(
        service,
        aws["real"] if server else aws["stand_in"],
        config.get("region") or "us-east-1",
        *((aws["access_key"], aws["secret_key"], aws["ca"]) if server else ("lab", "lab", None)),
    )


_MAKING: Final = threading.Lock()


def _client(service: str, url: str, region: str, access: str, secret: str, authority: str | None) -> Any:
    with _MAKING:
        return _made(service, url, region, access, secret, authority)


@functools.cache
def _made(service: str, url: str, region: str, access: str, secret: str, authority: str | None) -> Any:
    """Clients may be used by threads, but not made by them: one at a time."""
    return boto3.client(
        service,
        endpoint_url=url,
        region_name=region,
        aws_access_key_id=access,
        aws_secret_access_key=secret,
        verify=authority,
        config=Config(s3={"addressing_style": "path"}),
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

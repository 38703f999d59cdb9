"""The way to a node's Docker daemon, and its refusals in the real provider's words."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterator
from typing import Any

import docker
from docker.errors import APIError, NotFound

from lab.provider import ResourceError, Values


def connect(config: Values) -> Any:
    """The daemon that the stack's provider configuration names; the client's own types do not cover what it takes."""
    host = config.get("host")
    if not isinstance(host, str) or not host.startswith("unix://"):
        raise ResourceError(f"the lab's docker provider reaches unix:// hosts alone, not {host!r}")
    return _client(host)


@functools.cache
def _client(host: str) -> docker.APIClient:
    # One client for all threads: its pool has to hold as many connections as resources are made at a time.
    return docker.APIClient(base_url=host, version="auto", timeout=120, num_pools=100, max_pool_size=100)


@contextlib.contextmanager
def saying(what: str) -> Iterator[None]:
    """Put what was tried in front of the daemon's refusal."""
    try:
        yield
    except APIError as error:
        raise ResourceError(f"{what}: {error.explanation or error}") from error


def found(read: Callable[[], Any]) -> Any | None:
    """What is read; None where there is none."""
    try:
        return read()
    except NotFound:
        return None


def removed(remove: Callable[[], Any], what: str, seconds: float = 30) -> None:
    """Take something away, again and again while something still uses it; gone already is well."""
    end = time.monotonic() + seconds
    while True:
        try:
            remove()
        except NotFound:
            return
        except APIError as error:
            busy = any(word in str(error) for word in ("active endpoints", "in use", "already in progress"))
            if not busy or time.monotonic() > end:
                raise ResourceError(f"{what}: {error.explanation or error}") from error
            time.sleep(0.3)
        else:
            return

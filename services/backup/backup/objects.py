"""Deletes one object of the bucket: restic has no command that removes a single lock."""

import hashlib
import hmac
import urllib.error
import urllib.request
from datetime import UTC, datetime
from typing import Final

from backup.errors import BackupError
from backup.settings import Settings

_EMPTY: Final = hashlib.sha256(b"").hexdigest()


def delete(settings: Settings, key: str) -> None:
    """Delete an object. In a locked bucket that hides it, and its versions stay.

    Raises:
        BackupError: the store is away, or refuses.

    """
    path = f"/{key}" if settings.virtual_hosted else f"/{settings.bucket}/{key}"
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    request = urllib.request.Request(  # noqa: S310 - http is for tests
        f"{settings.scheme}://{settings.host}{path}",
        method="DELETE",
        headers={
            "x-amz-date": now,
            "x-amz-content-sha256": _EMPTY,
            "authorization": _authorization(settings, path, now),
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=settings.probe_seconds):  # noqa: S310
            return
    except urllib.error.HTTPError as error:
        with error:
            if error.code != 404:
                raise BackupError(f"the store refuses to delete {key}: status {error.code}") from None
    except OSError as error:
        raise BackupError(f"the store does not answer: {error}") from None


def _authorization(settings: Settings, path: str, now: str) -> str:
    """AWS' signature, version 4, of a DELETE without a body."""
    signed = {"host": settings.host, "x-amz-content-sha256": _EMPTY, "x-amz-date": now}
    names = ";".join(signed)
    lines = ("DELETE", path, "", *(f"{name}:{value}" for name, value in signed.items()), "", names, _EMPTY)
    scope = f"{now[:8]}/{settings.region}/s3/aws4_request"
    canonical = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    key = f"AWS4{settings.secret('secret-key')}".encode()
    for word in scope.split("/"):
        key = hmac.new(key, word.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{canonical}".encode(), hashlib.sha256).hexdigest()
    credential = f"{settings.secret('access-key')}/{scope}"
    return f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"

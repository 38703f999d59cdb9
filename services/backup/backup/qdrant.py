"""Qdrant: one snapshot for each collection, made by the server and taken as a stream."""

import hashlib
import http.client
import json
import secrets
from collections.abc import Iterable, Iterator
from typing import Any, Final
from urllib.parse import quote, urlsplit

from backup.errors import BackupError
from backup.process import CHUNK
from backup.settings import Settings

KEY: Final = "qdrant-key"
QUICK_SECONDS: Final = 60


class Qdrant:
    """The snapshot routes of the peer on this node."""

    def __init__(self, settings: Settings) -> None:
        self._address = urlsplit(settings.qdrant)
        self._key = settings.secret(KEY)
        self._limit = settings.part_seconds

    def collections(self) -> tuple[str, ...]:
        """Every collection."""
        return tuple(sorted(c["name"] for c in self._call("GET", "/collections")["collections"]))

    def create(self, collection: str) -> dict[str, Any]:
        """Make a snapshot and wait for it: name, size and checksum."""
        result: dict[str, Any] = self._call("POST", f"{_path(collection)}/snapshots?wait=true", self._limit)
        return result

    def delete(self, collection: str, snapshot: str) -> None:
        """Remove a snapshot from the server."""
        self._call("DELETE", f"{_path(collection)}/snapshots/{quote(snapshot, safe='')}?wait=true", self._limit)

    def download(self, collection: str, snapshot: dict[str, Any]) -> Iterator[bytes]:
        """The snapshot's content; it ends only if size and checksum are what the server said."""
        connection = self._connect(self._limit)
        digest, size = hashlib.sha256(), 0
        try:
            target = f"{_path(collection)}/snapshots/{quote(snapshot['name'], safe='')}"
            response = self._send(connection, "GET", target)
            while chunk := response.read(CHUNK):
                digest.update(chunk)
                size += len(chunk)
                yield chunk
        except (OSError, http.client.HTTPException) as error:
            raise BackupError(f"qdrant: the download broke off after {size} bytes: {error}") from None
        finally:
            connection.close()
        if size != snapshot.get("size", size):
            raise BackupError(f"qdrant: the download has {size} bytes of {snapshot['size']}")
        if (expected := snapshot.get("checksum")) and digest.hexdigest() != expected:
            raise BackupError("qdrant: the download's checksum differs from the server's")

    def exists(self, collection: str) -> bool:
        """Whether a restore would meet data."""
        return bool(self._call("GET", f"{_path(collection)}/exists")["exists"])

    def upload(self, collection: str, content: Iterable[bytes]) -> None:
        """Make a collection what a snapshot holds; it takes precedence over what other peers have."""
        boundary = secrets.token_hex(16)
        connection = self._connect(self._limit)
        try:
            self._send(
                connection,
                "POST",
                f"{_path(collection)}/snapshots/upload?wait=true&priority=snapshot",
                body=_form(boundary, content),
                content_type=f"multipart/form-data; boundary={boundary}",
            ).read()
        except (OSError, http.client.HTTPException) as error:
            raise BackupError(f"qdrant: the upload broke off: {error}") from None
        finally:
            connection.close()

    def _call(self, method: str, target: str, limit: float = QUICK_SECONDS) -> Any:
        connection = self._connect(limit)
        try:
            return json.loads(self._send(connection, method, target).read())["result"]
        except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
            raise BackupError(f"qdrant: {method} {target}: {type(error).__name__}: {error}") from None
        finally:
            connection.close()

    def _connect(self, limit: float) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self._address.hostname or "", self._address.port or 6333, timeout=limit)

    def _send(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        target: str,
        body: Iterable[bytes] | None = None,
        content_type: str | None = None,
    ) -> http.client.HTTPResponse:
        headers = {"api-key": self._key} | ({"content-type": content_type} if content_type else {})
        connection.request(method, target, body=body, headers=headers)
        response = connection.getresponse()
        if response.status != http.client.OK:
            detail = response.read(300).decode(errors="replace")
            raise BackupError(f"qdrant: {method} {target.partition('?')[0]}: status {response.status}: {detail}")
        return response


def _form(boundary: str, content: Iterable[bytes]) -> Iterator[bytes]:
    """A form with one file, as it is sent: its length need not be known before."""
    yield (
        f"--{boundary}\r\n"
        'Content-Disposition: form-data; name="snapshot"; filename="collection.snapshot"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode()
    yield from content
    yield f"\r\n--{boundary}--\r\n".encode()


def _path(collection: str) -> str:
    return f"/collections/{quote(collection, safe='')}"

"""Addresses of pictures that were made: they say where ComfyUI keeps one, and nobody else's key opens them.

Nothing is stored for them, so that pictures can be had while the database is away.
"""

import base64
import hashlib
import hmac
import json
import re
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request

from mesh_agents.config import Settings
from mesh_agents.errors import not_found
from mesh_agents.tools.images import Image

_MAC: Final = 16
_LINK: Final = re.compile(r"[A-Za-z0-9_-]{30,2000}")


@dataclass(frozen=True)
class Links:
    """Makes and reads the last part of such an address."""

    key: bytes

    @classmethod
    def load(cls, settings: Settings) -> "Links":
        """With a key that all processes have: it comes from the platform's own, and links end when that is replaced."""
        own = settings.secret("api-key").get_secret_value().encode()
        return cls(hmac.digest(own, b"links of pictures", "sha256"))

    def make(self, tenant: str, image: Image, preview: str | None) -> str:
        """The link of a tenant's picture."""
        told = json.dumps([image["filename"], image["subfolder"], image["type"], preview]).encode()
        return base64.urlsafe_b64encode(self._mac(tenant, told) + told).decode().rstrip("=")

    def read(self, tenant: str, link: str) -> tuple[Image, str | None]:
        """Which picture it is, and how it is converted.

        Raises:
            ApiError: 404, it is none, or another tenant's.

        """
        if not _LINK.fullmatch(link) or len(link) % 4 == 1:
            raise not_found("image", link[:100])
        content = base64.urlsafe_b64decode(link + "=" * (-len(link) % 4))
        mac, told = content[:_MAC], content[_MAC:]
        if not hmac.compare_digest(mac, self._mac(tenant, told)):
            raise not_found("image", link[:100])
        filename, subfolder, kind, preview = json.loads(told)
        return Image(filename=filename, subfolder=subfolder, type=kind), preview

    def _mac(self, tenant: str, told: bytes) -> bytes:
        return hmac.digest(self.key, hashlib.sha256(tenant.encode()).digest() + told, "sha256")[:_MAC]


def base_url(request: Request) -> str:
    """The address by which the caller came, without the path.

    The edge sets the header, never a client outside, and speaks TLS. Whoever comes past it, like n8n, named us itself.
    """
    public = request.headers.get("x-forwarded-host")
    return f"https://{public}" if public else str(request.base_url).rstrip("/")

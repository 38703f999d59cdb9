"""Who calls: the API key, and the tenant whose documents and runs a caller sees."""

import hashlib
import hmac
import json
import re
from dataclasses import dataclass
from typing import Final

from mesh_agents.config import ConfigError, Settings
from mesh_agents.errors import ApiError

OWN_TENANT: Final = "default"
"""Of the platform's own key, when the gateway names nobody."""
TENANT_HEADER: Final = "x-consumer-username"
"""Set by the API gateway to the consumer that it has authenticated."""
_TENANT: Final = re.compile(r"[A-Za-z0-9._@-]{1,64}")


@dataclass(frozen=True)
class Keys:
    """SHA-256 of each key and the tenant it is bound to; None: the platform's own key, which may act for any."""

    tenants: dict[bytes, str | None]

    @classmethod
    def load(cls, settings: Settings) -> "Keys":
        """The platform's key, and those of `tenants.json` (tenant -> SHA-256 of its key, hex) where that file is.

        Raises:
            ConfigError: a file is missing or malformed.

        """
        own = settings.secret("api-key").get_secret_value()
        tenants: dict[bytes, str | None] = {_digest(own): None}
        path = settings.config_dir / "tenants.json"
        if path.exists():
            try:
                given = json.loads(path.read_text("utf-8"))
                tenants |= {bytes.fromhex(digest): str(tenant) for tenant, digest in given.items()}
            except (ValueError, AttributeError, TypeError) as error:
                raise ConfigError("tenants.json must be an object of tenant -> SHA-256 of its key, in hex") from error
            if any(tenant is not None and not _TENANT.fullmatch(tenant) for tenant in tenants.values()):
                raise ConfigError(f"a tenant's name in tenants.json does not match {_TENANT.pattern}")
        return cls(tenants)

    def tenant(self, authorization: str | None, named: str | None) -> str:
        """The tenant of a request with these headers.

        Raises:
            ApiError: 401 without a valid key, 400 for a malformed tenant.

        """
        scheme, _, key = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise ApiError(
                401,
                "no API key: send it as 'Authorization: Bearer <key>'",
                code="missing_api_key",
                kind="authentication_error",
            )
        digest = _digest(key.strip())
        # Every entry is compared, so that the time does not tell how far a guess came.
        matches = [bound for known, bound in self.tenants.items() if hmac.compare_digest(known, digest)]
        if not matches:
            raise ApiError(401, "the API key is not valid", code="invalid_api_key", kind="authentication_error")
        bound = matches[0]
        if bound is not None:
            return bound
        if not named:
            return OWN_TENANT
        if not _TENANT.fullmatch(named):
            raise ApiError(400, f"{TENANT_HEADER} does not match {_TENANT.pattern}", code="invalid_tenant")
        return named


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()

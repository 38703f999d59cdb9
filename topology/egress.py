"""Outside hosts, as the service table and the settings write them: `host` or `host:port`, TLS from the first byte.

Names for the forward proxy are `host` or `*.suffix`, which matches every name below it; always port 443.
"""

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Outside:
    """A host and port of the world outside."""

    host: str
    port: int = 443

    @property
    def authority(self) -> str:
        """As a CONNECT request names it; a suffix keeps its `*`."""
        return f"{self.host}:{self.port}"

    @property
    def is_suffix(self) -> bool:
        """Whether it matches all names below a domain."""
        return self.host.startswith("*.")

    @property
    def sni(self) -> str:
        """By which a gateway tells outside hosts apart; the app's own TLS inside names `host`."""
        return self.host if self.port == 443 else f"p{self.port}.{self.host}"

    @property
    def name(self) -> str:
        """For clusters, listeners and logs."""
        host = self.host.replace("*", "any", 1)
        return host if self.port == 443 else f"{host}-{self.port}"


def outside(entry: str) -> Outside:
    """Read an entry of `Service.egress`."""
    host, _, port = entry.partition(":")
    return Outside(host, int(port) if port else 443)

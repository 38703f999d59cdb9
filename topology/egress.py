"""Outside hosts, as the service table and the settings write them: `host` or `host:port`, TLS from the first byte."""

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Outside:
    """A host and port of the world outside."""

    host: str
    port: int = 443

    @property
    def sni(self) -> str:
        """By which a gateway tells outside hosts apart; the app's own TLS inside names `host`."""
        return self.host if self.port == 443 else f"p{self.port}.{self.host}"

    @property
    def name(self) -> str:
        """For clusters, listeners and logs."""
        return self.host if self.port == 443 else f"{self.host}-{self.port}"


def outside(entry: str) -> Outside:
    """Read an entry of `Service.egress`."""
    host, _, port = entry.partition(":")
    return Outside(host, int(port) if port else 443)

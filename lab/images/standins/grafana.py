"""Grafana: health, sign-in as the administrator, the provisioned data sources and a proxy to each of them.

`grafana cli ... admin reset-admin-password --password-from-stdin` works too, on the data volume, as the real one does.
What it refuses of provisioning files was read from Grafana's `pkg/services/provisioning/datasources/config_reader.go`
and `datasources.go`, `pkg/services/provisioning/values/values.go` (main of 2026; 13.2's own are in no package), and of
its proxy from `pkg/services/datasourceproxy/datasourceproxy.go`; who is let in from `pkg/services/loginattempt/` and
`pkg/services/authn/clients/password.go`. A test holds it against tests/contracts/upstream/grafana.yaml.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import sys
import time
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import yaml

from lab.images.standins.common import TEXT, Answer, Refused, Request, Service, readable, same, wait

CORE: Final = frozenset(
    [
        "alertmanager",
        "cloudwatch",
        "elasticsearch",
        "graphite",
        "grafana-postgresql-datasource",
        "grafana-testdata-datasource",
        "influxdb",
        "jaeger",
        "loki",
        "mssql",
        "mysql",
        "opentsdb",
        "parca",
        "prometheus",
        "tempo",
        "zipkin",
    ]
)
"""Types of data source whose plugins come with the image; every other one has to be installed."""
DATA = Path(os.environ.get("GF_PATHS_DATA", "/var/lib/grafana"))


def provisioned(folder: Path) -> list[dict[str, Any]]:
    """Data sources of all provisioning files."""
    files = sorted(file for file in (folder / "datasources").glob("*.y*ml"))
    found: list[dict[str, Any]] = []
    for file in files:
        try:
            config = yaml.safe_load(file.read_text()) or {}
        except yaml.YAMLError as error:
            raise ProvisioningError(f"{file.name}: {error}") from error
        found += [_expanded(source) for source in config.get("datasources") or []]
    if sum(bool(source.get("isDefault")) for source in found) > 1:
        message = "datasource.yaml config is invalid. Only one datasource per organization can be marked as default"
        raise ProvisioningError(message)
    uids = [source["uid"] for source in found if source.get("uid")]
    if len(set(uids)) < len(uids):
        raise ProvisioningError("data source with the same uid already exists")
    return [{"id": n, "uid": f"lab-{n}", **source} for n, source in enumerate(found, 1)]


class ProvisioningError(ValueError):
    """An error with which Grafana would not start."""


def _expanded(value: Any) -> Any:
    """Values with environment variables expanded: `$$` is a dollar, an unknown variable is empty."""
    if isinstance(value, dict):
        return {key: _expanded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_expanded(inner) for inner in value]
    if not isinstance(value, str):
        return value
    parts = [re.sub(r"\$\{?(\w+)\}?", lambda m: os.environ.get(m[1], ""), part) for part in value.split("$$")]
    return "$".join(parts)


class Attempts:
    """Wrong passwords by user: after so many the right one is refused too, until they are old enough."""

    MOST: Final = 5
    SECONDS: Final = 300

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wrong: dict[str, list[float]] = {}

    def blocked(self, user: str) -> bool:
        """Whether a user has too many of them."""
        since = self._clock() - self.SECONDS
        return sum(moment >= since for moment in self._wrong.get(user.lower(), ())) >= self.MOST

    def add(self, user: str) -> None:
        """One more."""
        self._wrong.setdefault(user.lower(), []).append(self._clock())

    def forget(self, user: str) -> None:
        """The right one came."""
        self._wrong.pop(user.lower(), None)


class Door:
    """Lets the administrator in."""

    def __init__(self, user: str, password: str, attempts: Attempts) -> None:
        self._user, self._password, self._attempts = user, password, attempts

    def check(self, request: Request) -> None:
        """Refuse whoever is not the administrator; a browser is sent to the page for signing in."""
        if request.path in ("/api/health", "/metrics", "/login", "/healthz"):
            return
        scheme, _, token = request.header("authorization").partition(" ")
        if scheme.lower() != "basic":
            if not request.path.startswith("/api/"):
                raise Refused(302, "", b"", {"Location": "/login"})
            raise unauthorized("Unauthorized", "auth.unauthorized")
        try:
            name, _, word = base64.b64decode(token).decode().partition(":")
        except ValueError:
            name = word = ""
        if self._attempts.blocked(name) or not word:
            raise unauthorized("Invalid username or password", "password-auth.failed")
        if name.lower() != self._user.lower():
            raise unauthorized("Invalid username or password", "password-auth.failed")
        if not same(word, self._password):
            self._attempts.add(name)
            raise unauthorized("Invalid username or password", "password-auth.failed")
        self._attempts.forget(name)


def unauthorized(words: str, kind: str) -> Refused:
    """A 401 in Grafana's form."""
    return Refused(401, "", {"extra": None, "message": words, "messageId": kind, "statusCode": 401, "traceID": ""})


def make(user: str, password: str, sources: list[dict[str, Any]], attempts: Attempts | None = None) -> Service:
    """The server."""
    service = Service("grafana")
    service.guard = Door(user, password, attempts or Attempts()).check
    service.route("GET", "/api/health")(lambda _: {"database": "ok", "version": "13.2.2", "commit": "stand-in"})
    service.route("GET", "/login")(lambda _: Answer("<title>Grafana (stand-in)</title>", type="text/html"))
    service.route("GET", "/metrics")(lambda _: Answer(service.metrics(), type=TEXT))
    service.route("GET", "/api/user")(lambda _: {"login": user, "isGrafanaAdmin": True})
    service.route("GET", "/api/org")(lambda _: {"id": 1, "name": "Main Org."})
    service.route("GET", "/api/datasources")(lambda _: sources)

    @service.route("GET POST", "/api/datasources/proxy/{id}/{path*}")
    def _(request: Request) -> Answer:
        source = next((s for s in sources if request.groups["id"] in (str(s["id"]), s["name"], s["uid"])), None)
        if source is None:
            raise Refused(404, "", {"message": "Unable to find datasource"})
        if source.get("type") not in CORE:
            raise Refused(404, "", {"message": "Unable to find datasource plugin"})
        address = urllib.parse.urlsplit(source["url"])
        target = f"/{urllib.parse.quote(request.groups['path'])}?{urllib.parse.urlencode(request.query)}"
        connection = http.client.HTTPConnection(address.hostname or "", address.port or 80, timeout=30)
        try:
            kind = request.header("content-type")
            headers = {"content-type": kind} if kind else {}
            connection.request(request.method, target, request.body or None, headers)
            response = connection.getresponse()
            return Answer(response.read(), response.status, response.getheader("content-type") or "text/plain")
        except OSError as error:
            raise Refused(502, "", {"message": f"{source['url']}: {error}"}) from error
        finally:
            connection.close()

    return service


def main() -> None:
    """`/run.sh`, or `grafana cli ... admin reset-admin-password`."""
    saved = DATA / "admin.json"
    if "cli" in sys.argv:
        if not saved.exists():
            sys.exit("there is no database yet")
        saved.write_text(json.dumps({"password": sys.stdin.read().strip()}))
        return
    env = os.environ
    if not saved.exists():
        saved.write_text(json.dumps({"password": readable(env["GF_SECURITY_ADMIN_PASSWORD__FILE"]).strip()}))
    password = json.loads(saved.read_text())["password"]
    try:
        sources = provisioned(Path(env["GF_PATHS_PROVISIONING"]))
    except ProvisioningError as error:
        sys.exit(f"Error: Datasource provisioning error: {error}")
    service = make(env["GF_SECURITY_ADMIN_USER"], password, sources)
    service.start(int(env["GF_SERVER_HTTP_PORT"]), env["GF_SERVER_HTTP_ADDR"])
    wait()


if __name__ == "__main__":
    main()

"""n8n where `LAB_N8N=stand-in` spares the real one: health, metrics, the runners' broker, an echo of webhooks."""

from __future__ import annotations

import os
import socket
import sys
from typing import Any

from lab.images.standins.common import TEXT, Answer, Refused, Request, Service, metric, readable, same, wait

_FILES = (
    "N8N_ENCRYPTION_KEY_FILE",
    "DB_POSTGRESDB_PASSWORD_FILE",
    "QUEUE_BULL_REDIS_PASSWORD_FILE",
    "N8N_RUNNERS_AUTH_TOKEN_FILE",
)


def reachable(host: str, port: int) -> bool:
    """Whether something takes a connection."""
    try:
        socket.create_connection((host, port), timeout=3).close()
    except OSError:
        return False
    return True


def make(database: tuple[str, int]) -> Service:
    """The main process or the worker; it is ready while its database takes connections."""
    service = Service("n8n")
    service.route("GET", "/healthz")(lambda _: {"status": "ok"})
    service.route("GET", "/metrics")(
        lambda _: Answer(metric("n8n_version_info", "gauge", {'version="stand-in"': 1}) + service.metrics(), type=TEXT)
    )

    @service.route("GET", "/healthz/readiness")
    def _(_request: Request) -> Any:
        if not reachable(*database):
            raise Refused(503, "", {"status": "error"})
        return {"status": "ok"}

    @service.route("GET POST PUT PATCH DELETE", "/(webhook|webhook-test|webhook-waiting)/{path*}")
    def _(request: Request) -> Any:
        return {"stand-in": "n8n", "path": request.path, "method": request.method, "bytes": len(request.body)}

    return service


def broker(token: str) -> Service:
    """Where runners report; it has no work for them."""
    service = Service("n8n-broker")
    service.route("GET", "/healthz")(lambda _: {"status": "ok"})

    @service.route("POST", "/runners/auth")
    def _(request: Request) -> Any:
        if not same(str(request.json().get("token", "")), token):
            raise Refused(403, "", {"message": "Forbidden"})
        return {"data": {"token": "granted"}}

    return service


def main() -> None:
    """`n8n` or `n8n worker`."""
    secrets = {variable: readable(os.environ[variable]) for variable in _FILES}
    if any(text != text.strip() or not text for text in secrets.values()):
        sys.exit("a secret is empty or ends in a newline")
    env = os.environ
    service = make((env["DB_POSTGRESDB_HOST"], int(env["DB_POSTGRESDB_PORT"])))
    worker = sys.argv[1:] == ["worker"]
    port = env["QUEUE_HEALTH_CHECK_PORT"] if worker else env["N8N_PORT"]
    service.start(int(port), env["N8N_LISTEN_ADDRESS"])
    if "N8N_RUNNERS_BROKER_PORT" in env:
        found = broker(secrets["N8N_RUNNERS_AUTH_TOKEN_FILE"])
        found.start(int(env["N8N_RUNNERS_BROKER_PORT"]), env["N8N_RUNNERS_BROKER_LISTEN_ADDRESS"])
    wait()


if __name__ == "__main__":
    main()

"""n8n's task runner launcher: offers to run tasks, and starts n8n's own runner when one arrives.

The JavaScript runner is the real one, from n8n's packages. The Python runner is on no registry: its tasks find nobody.
What this reads, refuses and waits for is that of n8n-io/task-runner-launcher 1.4.7: `internal/config/config.go`,
`internal/config/lookuper.go`, `internal/env/env.go`, `internal/commands/launch.go`, `internal/ws/handshake.go`,
`internal/http/*.go`, `internal/retry/retry.go`.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from lab.images.launcher.websocket import HandshakeError, WebSocket

RETRY_SECONDS: Final = 5.0
GRANT_SECONDS: Final = 60.0
"""How long the launcher asks for a token before it gives up on a type of runner for good."""
CHECK_SECONDS: Final = 10.0
CHECKS: Final = 6
"""Consecutive failed health checks after which a runner is killed."""
DEFAULTS: Final = {
    "N8N_RUNNERS_AUTO_SHUTDOWN_TIMEOUT": "15",
    "N8N_RUNNERS_TASK_TIMEOUT": "60",
    "N8N_RUNNERS_TASK_BROKER_URI": "http://127.0.0.1:5679",
    "N8N_RUNNERS_LAUNCHER_HEALTH_CHECK_PORT": "5680",
    "N8N_RUNNERS_HEALTH_CHECK_SERVER_HOST": "127.0.0.1",
    "N8N_RUNNERS_CONFIG_PATH": "/etc/n8n-task-runners.json",
}
RESERVED_PORTS: Final = ("5678", "5679", "5680")
ALWAYS_PASSED: Final = ("LANG", "PATH", "TZ", "TERM")
OWN: Final = (
    "N8N_RUNNERS_TASK_BROKER_URI",
    "N8N_RUNNERS_HEALTH_CHECK_SERVER_ENABLED",
    "N8N_RUNNERS_HEALTH_CHECK_SERVER_PORT",
    "N8N_RUNNERS_GRANT_TOKEN",
)
"""What the launcher sets itself; no configuration overrides it."""


class ConfigError(Exception):
    """An error at startup that makes the launcher exit."""


class LaunchError(Exception):
    """The launcher gives up on a type of runner; the process continues while another type is served."""


@dataclass(frozen=True)
class Runner:
    """An entry of the configuration file."""

    type: str
    workdir: str
    command: Sequence[str]
    port: str
    allowed: Sequence[str] = ()
    overrides: Mapping[str, str] = field(default_factory=dict)


def variable(name: str, environment: Mapping[str, str]) -> str:
    """From the file that `<name>_FILE` names, else the variable itself, else its default; empty: not set."""
    if path := environment.get(f"{name}_FILE"):
        try:
            return Path(path).read_text().rstrip("\r\n")
        except OSError:
            return DEFAULTS.get(name, "")
    return environment.get(name, DEFAULTS.get(name, ""))


def load(types: Sequence[str], environment: Mapping[str, str]) -> dict[str, Runner]:
    """The runners to offer, by type.

    Raises:
        ConfigError: with what the real launcher refuses.

    """
    if not types:
        raise ConfigError("Missing runner-type argument(s)")
    if not variable("N8N_RUNNERS_AUTH_TOKEN", environment):
        raise ConfigError("N8N_RUNNERS_AUTH_TOKEN: missing required value")
    broker = urllib.parse.urlsplit(variable("N8N_RUNNERS_TASK_BROKER_URI", environment))
    if broker.scheme not in ("http", "https") or not broker.hostname:
        raise ConfigError("N8N_RUNNERS_TASK_BROKER_URI must be a valid URL")
    if not variable("N8N_RUNNERS_AUTO_SHUTDOWN_TIMEOUT", environment).isdecimal():
        raise ConfigError("N8N_RUNNERS_AUTO_SHUTDOWN_TIMEOUT must be a non-negative integer")
    _check_port(
        "N8N_RUNNERS_LAUNCHER_HEALTH_CHECK_PORT", variable("N8N_RUNNERS_LAUNCHER_HEALTH_CHECK_PORT", environment)
    )
    path = Path(variable("N8N_RUNNERS_CONFIG_PATH", environment))
    try:
        entries = {entry["runner-type"]: entry for entry in json.loads(path.read_text())["task-runners"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"failed to read config file at {path}: {error}") from error
    if lacking := [name for name in types if name not in entries]:
        raise ConfigError(f"config file at {path} does not contain requested runner type: {lacking[0]}")
    found = {name: _runner(entries[name], alone=len(types) == 1) for name in types}
    if len({runner.port for runner in found.values()}) < len(found):
        raise ConfigError("runners cannot use the same health-check-server-port")
    return found


def _runner(entry: Mapping[str, Any], *, alone: bool) -> Runner:
    port = str(entry.get("health-check-server-port") or ("5681" if alone else ""))
    _check_port(f"runner {entry['runner-type']}: health-check-server-port", port)
    if port in RESERVED_PORTS:
        raise ConfigError(f"runner {entry['runner-type']}: health-check-server-port {port} conflicts")
    command = [entry["command"], *entry.get("args", ())]
    allowed, overrides = entry.get("allowed-env") or (), entry.get("env-overrides") or {}
    return Runner(entry["runner-type"], entry["workdir"], command, port, allowed, overrides)


def _check_port(name: str, value: str) -> None:
    if not value.isdecimal() or not 0 < int(value) < 65536:
        raise ConfigError(f"{name} must be a valid port number")


def environment_of(runner: Runner, environment: Mapping[str, str]) -> dict[str, str]:
    """A runner's environment without its token: variables allowed by name, and those that the launcher sets."""
    passed = {name: environment[name] for name in (*ALWAYS_PASSED, *runner.allowed) if name in environment}
    own = {
        "N8N_RUNNERS_TASK_BROKER_URI": variable("N8N_RUNNERS_TASK_BROKER_URI", environment),
        "N8N_RUNNERS_HEALTH_CHECK_SERVER_ENABLED": "true",
        "N8N_RUNNERS_HEALTH_CHECK_SERVER_PORT": runner.port,
    }
    timeouts = ("N8N_RUNNERS_AUTO_SHUTDOWN_TIMEOUT", "N8N_RUNNERS_TASK_TIMEOUT")
    overrides = {name: value for name, value in runner.overrides.items() if name not in OWN}
    return passed | {name: variable(name, environment) for name in timeouts} | own | overrides


def grant(broker: str, token: str, *, seconds: float = GRANT_SECONDS) -> str:
    """A token for one connection, in exchange for the shared one.

    Raises:
        LaunchError: the broker refused, or did not answer, for that long.

    """
    body = json.dumps({"token": token}).encode()
    end = time.monotonic() + seconds
    while True:
        request = urllib.request.Request(f"{broker}/runners/auth", body, {"Content-Type": "application/json"})  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310 - the address is our configuration's
                return str(json.load(response)["data"]["token"])
        except (OSError, ValueError, KeyError) as error:
            if time.monotonic() > end:
                raise LaunchError(f"exhausted retries to fetch grant token: {error}") from error
        time.sleep(RETRY_SECONDS)


def ready(url: str) -> bool:
    """Whether a health endpoint answers 200."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310 - the address is our configuration's
            return int(response.status) == 200
    except (OSError, urllib.error.HTTPError):
        return False


def taken(broker: str, token: str, kind: str) -> bool:
    """Offer to run a task, as a runner would, until one arrives, and defer it; False: the broker disconnected.

    Raises:
        LaunchError: the broker did not let it connect, or the connection broke off; the real launcher gives up too.

    """
    query = urllib.parse.urlencode({"id": secrets.token_hex(8)})
    try:
        connection = WebSocket(f"{broker}/runners/_ws?{query}", {"Authorization": f"Bearer {token}"})
    except HandshakeError as error:
        raise LaunchError(f"handshake failed: websocket connection failed: {error}") from error
    try:
        while (message := connection.receive()) is not None:
            match message["type"]:
                case "broker:inforequest":
                    connection.send({"type": "runner:info", "types": [kind], "name": f"launcher-{kind}"})
                case "broker:runnerregistered":
                    offer = {"taskType": kind, "offerId": secrets.token_hex(8), "validFor": -1}
                    connection.send({"type": "runner:taskoffer", **offer})
                    say(f"{kind}: waiting for the launcher's task offer to be accepted")
                case "broker:taskofferaccept":
                    connection.send({"type": "runner:taskdeferred", "taskId": message["taskId"]})
                    return True
    except OSError as error:
        raise LaunchError(f"handshake failed: failed to read ws message: {error}") from error
    finally:
        connection.close()
    return False


def run(runner: Runner, environment: Mapping[str, str]) -> None:
    """Start a runner and wait until it exits; one that fails its health checks is killed."""
    host = variable("N8N_RUNNERS_HEALTH_CHECK_SERVER_HOST", environment)
    failures = 0
    with subprocess.Popen(runner.command, env=dict(environment), cwd=runner.workdir) as process:
        while True:
            try:
                code = process.wait(CHECK_SECONDS)
            except subprocess.TimeoutExpired:
                failures = 0 if ready(f"http://{host}:{runner.port}/healthz") else failures + 1
                if failures == CHECKS:
                    process.kill()
                continue
            say(f"{runner.type}: the runner ended with {code}; 0 is its idle timeout")
            return


def serve(runner: Runner, environment: Mapping[str, str]) -> None:
    """Start a runner for each task that arrives while none runs, forever."""
    broker, token = (variable(f"N8N_RUNNERS_{name}", environment) for name in ("TASK_BROKER_URI", "AUTH_TOKEN"))
    if not Path(runner.command[0]).exists():
        say(f"{runner.type}: this image has no runner of that type (not covered in the lab); its tasks will time out")
        threading.Event().wait()
    try:
        while True:
            while not ready(f"{broker}/healthz"):
                time.sleep(RETRY_SECONDS)
            if not taken(broker, grant(broker, token), runner.type):
                say(f"{runner.type}: the task broker is down; trying again")
                time.sleep(RETRY_SECONDS)
                continue
            run(runner, environment_of(runner, environment) | {"N8N_RUNNERS_GRANT_TOKEN": grant(broker, token)})
    except LaunchError as error:
        say(f"{runner.type}: failed to execute `launch` command: {error}")


class Health(BaseHTTPRequestHandler):
    """Reports that the launcher runs and, like the real one, nothing about its runners."""

    def do_GET(self) -> None:
        """`/healthz`, and nothing else."""
        found = self.path == "/healthz"
        body = b'{"status":"ok"}' if found else b"404 page not found"
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "application/json" if found else "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class'
        """Do not log the sidecar's health checks."""


def say(text: str) -> None:
    """Write a line to the container's log."""
    print(text, flush=True)


def main() -> None:
    """`task-runner-launcher javascript python`; exits when it has given up on every type."""
    try:
        runners = load(sys.argv[1:], os.environ)
    except ConfigError as error:
        sys.exit(f"Failed to load config: {error}")
    port = int(variable("N8N_RUNNERS_LAUNCHER_HEALTH_CHECK_PORT", os.environ))
    server = ThreadingHTTPServer(("0.0.0.0", port), Health)  # noqa: S104 - as the real one; alone in its pod
    threading.Thread(target=server.serve_forever, daemon=True).start()
    say(f"launcher (stand-in): its health check listens on {port}")
    threads = [threading.Thread(target=serve, args=(runner, os.environ)) for runner in runners.values()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()

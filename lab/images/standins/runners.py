"""n8n's launcher of task runners: waits for the broker, gets leave from it, and starts the JavaScript runner if there.

The runner itself is n8n's own, from the layer of the real n8n; there is none for Python. Without it this only reports.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

from lab.images.standins.common import Service, say, secret

RUNNER: Final = Path("/opt/n8n/node_modules/@n8n/task-runner/dist/start.js")
EVERY: Final = 5.0


def granted(broker: str, token: str) -> str | None:
    """A token for one runner; None while the broker is away."""
    body = json.dumps({"token": token}).encode()
    request = urllib.request.Request(f"{broker}/runners/auth", body, {"Content-Type": "application/json"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=5) as response:  # noqa: S310 - the address is our configuration's
            return str(json.load(response)["data"]["token"])
    except urllib.error.HTTPError as error:
        say(f"the broker refuses: {error.code}")
    except (OSError, ValueError, KeyError) as error:
        say(f"the broker does not answer: {error}")
    return None


def run(broker: str, token: str) -> None:
    """Keep a runner going."""
    said = False
    while True:
        grant = granted(broker, token)
        if grant and RUNNER.exists():
            env = {"PATH": os.environ["PATH"], "N8N_RUNNERS_GRANT_TOKEN": grant, "N8N_RUNNERS_TASK_BROKER_URI": broker}
            shutdown = os.environ.get("N8N_RUNNERS_AUTO_SHUTDOWN_TIMEOUT", "0")
            env |= {"N8N_RUNNERS_AUTO_SHUTDOWN_TIMEOUT": shutdown, "HOME": "/tmp"}  # noqa: S108 - a tmpfs
            code = subprocess.run(["node", str(RUNNER)], env=env, check=False).returncode
            say(f"the JavaScript runner ended with {code}")
        elif grant and not said:
            said = True
            say("the broker takes us; there is no runner in this image")
        time.sleep(EVERY)


def main() -> None:
    """`task-runner-launcher javascript python`."""
    if sys.argv[1:] != ["javascript", "python"]:
        sys.exit(f"unknown runner types: {sys.argv[1:]}")
    service = Service("n8n-runners")
    service.route("GET", "/healthz")(lambda _: {"status": "ok"})
    service.start(int(os.environ["N8N_RUNNERS_LAUNCHER_HEALTH_CHECK_PORT"]))
    broker, token = os.environ["N8N_RUNNERS_TASK_BROKER_URI"], secret("N8N_RUNNERS_AUTH_TOKEN")
    threading.Thread(target=run, args=(broker, token), daemon=True).start()
    threading.Event().wait()


if __name__ == "__main__":
    main()

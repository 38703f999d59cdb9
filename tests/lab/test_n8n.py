"""n8n as a person uses it: set up, log in, publish; a webhook from outside, whose code the runner's container runs."""

import itertools
import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lab import world
from lab.images.recipes import N8N
from tests.lab.mesh import PREFIX, Mesh
from tests.lab.user import User
from topology.model import TRUST_DOMAIN

pytestmark = [pytest.mark.lab, pytest.mark.engine]

NODE = "oracle1"
HOST = f"n8n.{NODE}.{TRUST_DOMAIN}"
OWNER = {"email": "owner@lab.example", "firstName": "Ann", "lastName": "Lab", "password": "Lab-owner-1"}
"""The same in each session: a lab that keeps running keeps its owner."""
CODE = """
const crypto = require('crypto');
const { a, b } = $input.first().json.body;
return [{ json: { sum: a + b, digest: crypto.createHash('sha256').update('x').digest('hex').slice(0, 8) } }];
"""
ANSWER = {"sum": 5, "digest": "2d711642"}


@dataclass
class Editor:
    """An operator with a certificate, at n8n's address on the tailnet."""

    mesh: Mesh
    folder: Path
    made: list[str] = field(default_factory=list)

    def ask(self, path: str, body: Any = None, *options: str) -> tuple[int, Any]:
        """Status and the answer's `data`."""
        certificate = self.folder / "ann"
        to = f"{HOST}:5678:{self.mesh.node(NODE).address}:5678"
        jar = str(self.folder / "cookies")
        data = ("--data-binary", json.dumps(body), "-H", "Content-Type: application/json") if body is not None else ()
        done = self.mesh.on_node(
            "thanos",
            *("curl", "-sS", "--max-time", "30", "--insecure", "--connect-to", to, "-w", "\n%{http_code}"),
            *("--cert", f"{certificate}/certificate.pem", "--key", f"{certificate}/key.pem"),
            *("-b", jar, "-c", jar, "-H", "browser-id: lab", *data, *options, f"https://{HOST}:5678{path}"),
        )
        assert done.returncode == 0, done.stderr
        text, _, status = done.stdout.rpartition("\n")
        answer = json.loads(text) if text.startswith("{") else text
        return int(status), answer.get("data", answer) if isinstance(answer, dict) else answer

    def log_in(self) -> None:
        """Set the owner up where there is none, and log in."""
        status, settings = self.ask("/rest/settings")
        assert status == 200
        if settings["userManagement"]["showSetupOnFirstLoad"]:
            assert self.ask("/rest/owner/setup", OWNER)[0] == 200
        login = {"emailOrLdapLoginId": OWNER["email"], "password": OWNER["password"]}
        status, person = self.ask("/rest/login", login)
        assert (status, person["email"]) == (200, OWNER["email"])

    def publish(self, path: str) -> None:
        """A workflow that answers `POST /webhook/<path>` with what its code says."""
        nodes = [
            _node("Webhook", "webhook", 2, path=path, httpMethod="POST", responseMode="responseNode", webhookId=path),
            _node("Code", "code", 2, jsCode=CODE),
            _node("Respond", "respondToWebhook", 1.1, respondWith="json", responseBody="={{ $json }}"),
        ]
        names = [node["name"] for node in nodes]
        links = {
            name: {"main": [[{"node": following, "type": "main", "index": 0}]]}
            for name, following in itertools.pairwise(names)
        }
        workflow = {"name": path, "nodes": nodes, "connections": links, "settings": {"executionOrder": "v1"}}
        status, made = self.ask("/rest/workflows", workflow)
        assert status == 200, made
        self.made.append(made["id"])
        status, active = self.ask(f"/rest/workflows/{made['id']}/activate", {"versionId": made["versionId"]})
        assert (status, active.get("active")) == (200, True), active

    def tidy(self) -> None:
        """Take away what was published; n8n refuses that until it has unpublished it."""
        for workflow in self.made:
            assert self.ask(f"/rest/workflows/{workflow}/archive", {})[0] == 200
            gone = eventually(
                lambda url: self.ask(url, None, "-X", "DELETE")[0],
                lambda status: status != 409,
                f"/rest/workflows/{workflow}",
            )
            assert gone == 200
        self.made.clear()


def _node(name: str, kind: str, version: float, *, webhookId: str = "", **parameters: Any) -> dict[str, Any]:  # noqa: N803 - n8n's word
    more = {"webhookId": webhookId} if webhookId else {}
    known = {"id": name, "name": name, "type": f"n8n-nodes-base.{kind}", "typeVersion": version, "position": [0, 0]}
    return {**known, **more, "parameters": parameters}


@pytest.fixture(scope="module")
def editor(platform: Mesh, tmp_path_factory: pytest.TempPathFactory) -> Editor:
    """Logged in once: n8n allows five attempts a minute per address."""
    folder = tmp_path_factory.mktemp("editor")
    platform.wait_healthy()
    platform.operator(folder)
    found = Editor(platform, folder)
    found.log_in()
    return found


def eventually(question: Callable[..., Any], wanted: Callable[[Any], bool], *about: Any, seconds: float = 120) -> Any:
    """The first answer that is wanted: n8n publishes, and its parts find each other, a little later than they say."""
    end = time.monotonic() + seconds
    while not wanted(answer := question(*about)) and time.monotonic() < end:
        time.sleep(1)
    return answer


def answered(user: User, path: str) -> Any:
    """What the webhook says from outside, once it is there."""
    status, _, body = eventually(
        lambda: user.ask(f"/webhook/{path}", {"a": 2, "b": 3}, "-H", "Content-Type: application/json", key=False),
        # Wait for it: a health check from before the restart still reports healthy.
        lambda found: found[0] not in (404, 502, 503, 504),
    )
    assert status == 200, body
    return json.loads(body)


def test_a_webhook_from_outside_runs_code_in_the_runner(user: User, mesh: Mesh, editor: Editor) -> None:
    editor.publish("lab-sum")
    try:
        assert answered(user, "lab-sum") == ANSWER
        processes = mesh.docker(NODE).top(f"{PREFIX}-n8n-runners", "-eww -o pid,args")["Processes"]
        assert any("task-runner-javascript/dist/start.js" in " ".join(process) for process in processes)
        for container in ("n8n", "n8n-worker"):
            processes = mesh.docker(NODE).top(f"{PREFIX}-{container}", "-eww -o pid,args")["Processes"]
            assert not any("task-runner" in " ".join(process) for process in processes)
        # The worker is another process than the one that took the request.
        logs = bytes(mesh.docker(NODE).logs(f"{PREFIX}-n8n-worker")).decode()
        assert "Worker started execution" in logs
    finally:
        editor.tidy()


def test_it_runs_again_when_its_parts_were_restarted(user: User, mesh: Mesh, editor: Editor) -> None:
    editor.publish("lab-restart")
    try:
        assert answered(user, "lab-restart") == ANSWER
        for container in ("n8n-worker", "n8n", "n8n-runners"):
            mesh.docker(NODE).restart(f"{PREFIX}-{container}", timeout=45)
            mesh.wait_healthy(300)
            assert answered(user, "lab-restart") == ANSWER, f"after a restart of {container}"
    finally:
        editor.tidy()


def test_people_and_services_get_addresses_that_lead_to_it(editor: Editor) -> None:
    _, settings = editor.ask("/rest/settings")
    assert settings["urlBaseWebhook"] == f"https://{world.DOMAIN}/"
    assert settings["urlBaseEditor"] == "http://localhost:5678"
    assert settings["oauthCallbackUrls"]["oauth2"] == "http://localhost:5678/rest/oauth2-credential/callback"
    assert settings["executionMode"] == "queue"


def test_nobody_outside_gets_to_the_editor(user: User) -> None:
    for path in ("/rest/settings", "/rest/login", "/api/v1/workflows", "/rest/push", "/metrics"):
        assert user.ask(path, key=False)[0] in (401, 403, 404), path
    assert user.ask("/webhook-test/lab", {}, key=False)[0] in (403, 404)


@pytest.mark.parametrize("container", ["n8n", "n8n-worker"])
def test_its_metrics_say_which_version_runs(mesh: Mesh, container: str) -> None:
    state = mesh.docker(NODE).inspect_container(f"{PREFIX}-{container}")
    (network,) = state["NetworkSettings"]["Networks"].values()
    process = mesh.docker(NODE).inspect_container(f"{PREFIX}-{container}-proxy")["State"]["Pid"]
    command = ["curl", "-sS", "--max-time", "20", f"http://{network['IPAddress']}:5678/metrics"]
    done = subprocess.run(
        ["nsenter", f"--net=/proc/{process}/ns/net", *command], capture_output=True, text=True, check=True
    )
    assert f'n8n_version_info{{version="v{N8N}"' in done.stdout


@pytest.mark.parametrize("container", ["n8n", "n8n-worker"])
def test_its_log_has_no_word_of_what_will_end_and_of_calls_to_its_makers(mesh: Mesh, container: str) -> None:
    logs = bytes(mesh.docker(NODE).logs(f"{PREFIX}-{container}")).decode(errors="replace")
    assert "n8n" in logs
    for complaint in ("deprecations related", "deprecation related", "api.n8n.io", "is not supported", "EROFS"):
        assert complaint not in logs, logs[-3000:]


def test_its_files_have_a_folder(mesh: Mesh) -> None:
    """`N8N_RESTRICT_FILE_ACCESS_TO` is that folder by default."""
    script = "echo kept >/home/node/.n8n-files/lab && cat /home/node/.n8n-files/lab && rm /home/node/.n8n-files/lab"
    assert mesh.execute(NODE, "n8n-worker", "sh", "-c", script) == (0, "kept\n")

"""A person with an operator certificate uses thanos from another machine of the tailnet, without oracle1's gateway."""

from pathlib import Path

import pytest

from tests.lab.mesh import Mesh
from topology.model import TRUST_DOMAIN

pytestmark = [pytest.mark.lab, pytest.mark.engine]

HOST = f"vllm.thanos.{TRUST_DOMAIN}"


@pytest.fixture
def certificate(mesh: Mesh, tmp_path: Path) -> Path:
    return mesh.operator(tmp_path)


def ask(mesh: Mesh, path: str, *options: str) -> tuple[int, int]:
    """curl's own status and that of the answer, from the other node; as the command above tells people to do it."""
    to = f"{HOST}:8000:{mesh.node('thanos').address}:8000"
    command = ["curl", "-sS", "--max-time", "20", "--insecure", "--connect-to", to, "-o", "/dev/null"]
    done = mesh.on_node("oracle1", *command, "-w", "%{http_code}", *options, f"https://{HOST}:8000{path}")
    return done.returncode, int(done.stdout or 0)


def test_an_operator_hears_of_the_queue_of_pictures(mesh: Mesh, certificate: Path, tmp_path: Path) -> None:
    """A WebSocket through two proxies: its first message comes at once, and nothing ends it before curl does."""
    host, said = f"comfyui.thanos.{TRUST_DOMAIN}", tmp_path / "said"
    headers = (
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: bGFiLWxhYi1sYWItbGFiIQ==",
    )
    done = mesh.on_node(
        "oracle1",
        *("curl", "-sS", "-i", "--no-buffer", "--http1.1", "--max-time", "10", "--insecure", "-o", str(said)),
        *("--connect-to", f"{host}:8003:{mesh.node('thanos').address}:8003"),
        *("--cert", f"{certificate}/certificate.pem", "--key", f"{certificate}/key.pem"),
        *(part for header in headers for part in ("-H", header)),
        f"https://{host}:8003/ws?clientId=operator",
    )
    assert done.returncode == 28, done.stderr
    content = said.read_bytes()
    assert content.startswith(b"HTTP/1.1 101 ")
    assert b'"queue_remaining": 0' in content


def test_an_operator_reaches_a_service_and_nobody_else_does(mesh: Mesh, certificate: Path, tmp_path: Path) -> None:
    shown = ("--cert", f"{certificate}/certificate.pem", "--key", f"{certificate}/key.pem")
    key = tmp_path / "header"
    key.write_text(f"Authorization: Bearer {mesh.passwords('thanos')['vllm-api-key']}\n")
    assert ask(mesh, "/v1/models", *shown, "-H", f"@{key}") == (0, 200)
    # The certificate opens the mesh's door, and the app still asks for its own key.
    assert ask(mesh, "/v1/models", *shown) == (0, 401)
    assert ask(mesh, "/pause", *shown, "-H", f"@{key}") == (0, 403)
    failed, status = ask(mesh, "/v1/models", "-H", f"@{key}")
    assert failed
    assert status == 0

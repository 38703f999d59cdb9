"""A certificate is renewed while its service is asked a hundred times a second."""

from __future__ import annotations

import datetime
import json
import tempfile
import time
from pathlib import Path
from typing import Final

from lab.bench.places import PREFIX, Lab
from lab.bench.reader import Reader
from lab.machine import LabError
from lab.stacks import Stacks
from topology.model import Instance

RATE: Final = 100
_SECONDS: Final = 90
_SIGNED: Final = "tls:index/locallySignedCert:LocallySignedCert"
_READS: Final = {"GET": "/v1/models", "POST": "/v1/chat/completions"}


def age(stacks: Stacks, instance: Instance, left: datetime.timedelta) -> None:
    """Write into the state that the certificate of an instance ends so soon."""
    state = json.loads(stacks.command("stack", "export", "--stack", instance.node))
    name = f"{_SIGNED}::{instance.service}-pod-identity-certificate"
    (resource,) = (r for r in state["deployment"]["resources"] if r["urn"].endswith(name))
    resource["outputs"]["validityEndTime"] = (datetime.datetime.now(datetime.UTC) + left).isoformat()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "state.json"
        file.write_text(json.dumps(state))
        stacks.command("stack", "import", "--stack", instance.node, "--file", str(file))


def measure(lab: Lab, stacks: Stacks) -> list[str]:
    """Ask vLLM's stand-in from LiteLLM's pod, across the nodes, while `up` renews vLLM's certificate."""
    age(stacks, Instance("vllm", "thanos"), datetime.timedelta(days=1))
    before = lab.pid("thanos", f"{PREFIX}-vllm-proxy")
    prefix, to = lab.inside("oracle1", f"{PREFIX}-litellm"), f"{lab.sidecar('oracle1', 'litellm')}:8000"
    readers = {m: Reader(prefix, to, "vllm:8000", m, path, RATE / 2, _SECONDS) for m, path in _READS.items()}
    time.sleep(2)
    outcome = stacks.operate("up", "thanos")
    found = {method: reader.result() for method, reader in readers.items()}
    if not outcome.passed or lab.pid("thanos", f"{PREFIX}-vllm-proxy") == before:
        raise LabError(f"the up did not renew: {outcome.errors}")
    lines = ["| requests while the callee's proxy is replaced | sent | lost | slowest, s |", "|---|---|---|---|"]
    for method, asked in found.items():
        lost = sum(not a.answered for a in asked)
        lines.append(f"| {method} | {len(asked)} | {lost} | {max(a.ended - a.at for a in asked):.1f} |")
    return lines

"""What `docker inspect` says of a deploy, good and bad, and what `make diagnose` makes of it."""

import json
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any

from engine.table import Paint
from scripts.diagnose.pods import Pod, pods
from scripts.diagnose.report import Place, render
from scripts.diagnose.state import containers
from topology.catalog import SERVICES
from topology.graph import GATEWAY, Graph
from topology.nodes import NODES

SECRET = "hunter2-of-the-environment"
HOST = "ssh://deploy@thanos"
ON_THANOS = [GATEWAY, *(service.name for service in Graph(SERVICES, NODES).on("thanos"))]


def inspected(
    service: str,
    part: str,
    *,
    status: str = "running",
    name: str | None = None,
    health: Mapping[str, Any] | None = None,
    restarts: int = 0,
    node: str = "thanos",
    **state: Any,
) -> dict[str, Any]:
    """One item of `docker inspect`, in the form of Docker's API."""
    suffix = {"app": "", "gateway": ""}.get(part, f"-{part}")
    started = status != "created"
    item: dict[str, Any] = {
        "Id": "8f4b0a" + "0" * 58,
        "Created": "2025-03-01T10:00:00.123456789Z",
        "Path": "/entrypoint",
        "Args": ["--key", SECRET],
        "State": {
            "Status": status,
            "Running": status in ("running", "restarting", "paused"),
            "Paused": status == "paused",
            "Restarting": status == "restarting",
            "OOMKilled": False,
            "Dead": status == "dead",
            "Pid": 4711 if status == "running" else 0,
            "ExitCode": 0,
            "Error": "",
            "StartedAt": "2025-03-01T10:00:01.5Z" if started else "0001-01-01T00:00:00Z",
            "FinishedAt": "0001-01-01T00:00:00Z" if status in ("running", "created") else "2025-03-01T10:07:30.5Z",
            **state,
        },
        "Image": "sha256:" + "1" * 64,
        "Name": f"/{name or f'agentic-mesh-{service}{suffix}'}",
        "RestartCount": restarts,
        "Mounts": [{"Type": "volume", "Name": SECRET}],
        "Config": {
            "Env": [f"PASSWORD={SECRET}"],
            "Cmd": ["serve", SECRET],
            "Labels": {
                "agentic-mesh.service": service,
                "agentic-mesh.node": node,
                "agentic-mesh.part": part,
                "agentic-mesh.image": "example.com/image:1",
            },
        },
        "HostConfig": {"Memory": 134217728},
    }
    if health is not None:
        item["State"]["Health"] = health
    return item


def checked(status: str, *, code: int = 1, output: str = "", failures: int = 0) -> dict[str, Any]:
    """Docker's record of a health check: the last run is the last entry."""
    runs = [(0, "an earlier run"), (code, output)]
    return {
        "Status": status,
        "FailingStreak": failures,
        "Log": [
            {
                "Start": "2025-03-01T11:00:00.1+01:00",
                "End": "2025-03-01T11:00:00.2+01:00",
                "ExitCode": code,
                "Output": text,
            }
            for code, text in runs
        ],
    }


HEALTHY = checked("healthy", code=0)


def pod_of(service: str, app: Mapping[str, Any] | None = None, proxy: Mapping[str, Any] | None = None) -> list[Any]:
    """A pod that is well, but for what is given."""
    return [
        inspected(service, "app", **(app or {})),
        inspected(service, "proxy", **{"health": HEALTHY, **(proxy or {})}),
        inspected(service, "loader", status="created", name=f"agentic-mesh-{service}-proxy-config-loader"),
    ]


def well(*left_out: str) -> list[Any]:
    """All of thanos as a good `up` leaves it, but for the services that are left out."""
    found = [inspected("preflight", "preflight", name="agentic-mesh-preflight-host", health=HEALTHY)]
    if GATEWAY not in left_out:
        found += [
            inspected(GATEWAY, "gateway", health=HEALTHY),
            inspected(GATEWAY, "loader", status="created", name="agentic-mesh-gateway-proxy-config-loader"),
        ]
    for service in ON_THANOS[1:]:
        if service not in left_out:
            found += pod_of(service)
    return found


def judged(items: Sequence[Any], expected: Sequence[str] = ("vllm",)) -> list[Pod]:
    return pods(containers(json.dumps(items)), expected)


def problems(items: Sequence[Any], expected: Sequence[str] = ("vllm",)) -> dict[str, tuple[str, ...]]:
    return {pod.name: pod.problems for pod in judged(items, expected) if pod.problems}


def report(
    items: Sequence[Any],
    expected: Sequence[str] = ("vllm",),
    logs: Mapping[str, str] | None = None,
    lines: int = 20,
) -> str:
    place = Place(stack="thanos", host=HOST, probes={"vllm": "GET /health on port 8000"}, lines=lines)
    return render(judged(items, expected), logs or {}, place, Paint(StringIO()))


def row(text: str, service: str) -> list[str]:
    return next(line.split() for line in text.splitlines() if line.split()[:1] == [service])

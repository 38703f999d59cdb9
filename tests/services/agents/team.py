"""A model that plays every part of the team, and what tests do with runs."""

import json
from typing import Any

import httpx

from tests.services.agents.servers import wait_until
from tests.services.agents.stand_in import Say

PLAN = json.dumps(
    {
        "steps": [
            {"worker": "coder", "task": "compute the answer"},
            {"worker": "analyzer", "task": "explain the answer"},
        ]
    }
)

PROMPT = "a lighthouse at dusk, oil on canvas"
ASKED = "Draw a picture of our lighthouse"


def system(payload: dict[str, Any]) -> str:
    return str(payload["messages"][0]["content"])


def team(payload: dict[str, Any]) -> Say:
    """A model that plays every part: plans, runs code once, explains, concludes."""
    told = system(payload)
    if "planner" in told:
        return Say(PLAN)
    if "write Python" in told:
        if payload["messages"][-1]["role"] == "tool":
            return Say("the code printed 42")
        return Say("", tool_calls=[("run_code", {"code": "print(6 * 7)"})])
    if "You analyse" in told:
        return Say("42 is six times seven")
    return Say("The answer is 42, six times seven.")


def painter(payload: dict[str, Any]) -> Say:
    """A model that plans a picture, has it made and says so."""
    if "planner" in system(payload):
        steps = [{"worker": "analyzer", "task": "draw it", "image": True}]
        return Say(json.dumps({"steps": steps}))
    if payload["messages"][-1]["role"] == "tool":
        return Say("Here it is.")
    return Say("", tool_calls=[("generate_image", {"prompt": PROMPT})])


def create(http: httpx.Client, **body: Any) -> dict[str, Any]:
    answer = http.post("/v1/runs", json={"input": "Compute and explain", "route": "multi_step", **body})
    assert answer.status_code == 202, answer.text
    run: dict[str, Any] = answer.json()
    return run


def get(http: httpx.Client, run: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = http.get(f"/v1/runs/{run['id']}").json()
    return found


def ended(http: httpx.Client, run: dict[str, Any], seconds: float = 90) -> dict[str, Any]:
    wait_until(lambda: get(http, run)["status"] in ("succeeded", "failed", "cancelled"), seconds, "the run's end")
    return get(http, run)


def events(http: httpx.Client, run: dict[str, Any], **headers: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    with http.stream("GET", f"/v1/runs/{run['id']}/events", headers=headers) as stream:
        found.extend(json.loads(line[5:]) for line in stream.iter_lines() if line.startswith("data:"))
    return found[:-1]  # the last only says that it was the last

"""Ends a run that has spent what it may or that goes round in circles."""

import hashlib
import json
from typing import Any, Final

from mesh_agents.graph.state import RunState

LOOP: Final = 3
"""How often the same thing in the same step is a loop."""


def verdict(state: RunState, now: float) -> str | None:
    """Why the run has to end, or None; `now` in seconds since the epoch."""
    usage, limits = state["usage"], state["limits"]
    spent = {
        "steps": float(usage["steps"]),
        "tokens": float(usage["tokens"]),
        "seconds": now - state["started"],
        "usd": usage["usd"],
    }
    allowed = {
        "steps": float(limits["steps"]),
        "tokens": float(limits["tokens"]),
        "seconds": limits["seconds"],
        "usd": limits["usd"],
    }
    for name, value in spent.items():
        if value >= allowed[name]:
            return f"limit_{name}"
    seen = state.get("seen", [])
    if seen and seen.count(seen[-1]) >= LOOP:
        return "loop"
    return None


def fingerprint(cursor: int, message: dict[str, Any]) -> str:
    """Of what a worker did in a step: its words and the tools it asked for, without their ids."""
    calls = [
        (call.get("function", {}).get("name"), call.get("function", {}).get("arguments"))
        for call in message.get("tool_calls") or ()
    ]
    text = json.dumps([cursor, message.get("content"), calls], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]

"""How far the team is, as its stream tells it: thoughts, in the field that clients show as such or ignore."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from mesh_agents.graph.prompts import WORKERS
from mesh_agents.graph.state import Step

Status = tuple[str, dict[str, Any]]
"""In words, and for programs."""
_LONGEST: Final = 300
"""Characters of a task that are shown."""


class Progress:
    """Reads the updates of the graph's nodes."""

    def __init__(self) -> None:
        """Nothing is planned yet."""
        self._plan: list[Step] = []
        self._begun = 0
        self._ended = 0

    def of(self, node: str, change: Mapping[str, Any]) -> Iterator[Status]:
        """What a node's update tells: the plan, that a step begins, that it ended."""
        if change.get("plan"):
            self._plan = change["plan"]
            tasks = [f"{number}. {_shown(step)}" for number, step in enumerate(self._plan, 1)]
            yield "\n".join(["Plan:", *tasks, ""]), {"event": "plan", "plan": self._plan}
        if node in WORKERS and change.get("cursor", 0) > self._ended:
            self._ended = change["cursor"]
            yield self._at("ended", self._ended)
        if node == "monitor" and not change.get("stop") and self._begun == self._ended < len(self._plan):
            self._begun += 1
            yield self._at("begins", self._begun)

    def _at(self, what: str, number: int) -> Status:
        step = self._plan[number - 1]
        words = f"Step {number} of {len(self._plan)} {what}: {_shown(step)}\n"
        event = {"event": f"step_{what}", "step": number, "of": len(self._plan), "worker": step["worker"]}
        return words, event


def _shown(step: Step) -> str:
    task = step["task"]
    return f"{step['worker']}: {task if len(task) <= _LONGEST else task[:_LONGEST] + ' ...'}"

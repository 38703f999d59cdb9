"""What a run knows. All of it is JSON, and all of it is in the checkpoints."""

import operator
from typing import Annotated, Any, NotRequired, TypedDict

from mesh_agents.tools.images import Image


class Step(TypedDict):
    """A part of the plan."""

    worker: str
    task: str
    image: NotRequired[bool]
    """It makes a picture."""


class Note(TypedDict):
    """What a worker found out."""

    worker: str
    task: str
    text: str


class Usage(TypedDict):
    """What the run has spent."""

    steps: int
    tokens: int
    usd: float
    prompt_tokens: NotRequired[int]
    completion_tokens: NotRequired[int]
    """Not in the checkpoints of runs that began before they were counted apart."""


class Limits(TypedDict):
    """What it may spend."""

    steps: int
    tokens: int
    seconds: float
    usd: float


class RunState(TypedDict, total=False):
    """The graph's state."""

    run: str
    tenant: str
    messages: list[dict[str, Any]]
    """The caller's."""
    manner: dict[str, Any]
    """The model's parameters for the answer itself, in OpenAI's names."""
    forced_route: str | None
    forced_model: str | None
    limits: Limits
    started: float
    """Seconds since the epoch; a run that was taken over keeps it."""

    decision: dict[str, Any]
    plan: list[Step]
    cursor: int
    """Index of the step that is being worked on."""
    talk: list[dict[str, Any]]
    """What model and tools said within this step."""
    notes: Annotated[list[Note], operator.add]
    images: Annotated[list[Image], operator.add]
    usage: Usage
    seen: list[str]
    """Fingerprints of what the workers did, for the monitor."""
    stop: str | None
    """Why the monitor ended the run."""
    answer: str
    finish: str
    """Why the answer ended: `stop`, or `length`."""

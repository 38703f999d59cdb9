"""What Docker says about the mesh's containers, without what must not be shown: environment, arguments, mounts."""

import datetime
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
_LONGEST: Final = 2000
_PREFIX: Final = "agentic-mesh."


@dataclass(frozen=True, kw_only=True)
class Health:
    """The health check of a container and its last run."""

    status: str
    """`starting`, `healthy` or `unhealthy`."""
    failures: int = 0
    """In a row."""
    exit_code: int | None = None
    """Of the last run; None: it has not run yet."""
    output: str = ""


@dataclass(frozen=True, kw_only=True)
class Container:
    """A container of the mesh."""

    name: str
    service: str
    node: str
    part: str
    """`app`, `proxy`, `gateway`, `loader` or `preflight`."""
    status: str
    """`created`, `running`, `paused`, `restarting`, `removing`, `exited` or `dead`."""
    since: str
    exit_code: int = 0
    out_of_memory: bool = False
    restarts: int = 0
    error: str = ""
    """What the daemon says, where it could not start it."""
    health: Health | None = None

    @property
    def running(self) -> bool:
        """Whether it runs now; one between two starts does not."""
        return self.status == "running"


def containers(inspected: str) -> list[Container]:
    """The mesh's containers in the output of `docker inspect`; ValueError where that is something else."""
    try:
        found = json.loads(inspected)
        return [_container(item) for item in found if f"{_PREFIX}service" in _labels(item)]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        # Not a word of the text itself: the environment of containers is in it.
        raise ValueError(f"`docker inspect` answered in an unknown form ({type(error).__name__})") from None


def visible(text: str) -> str:
    """One line of text from elsewhere, safe for a terminal: colours go, other control characters are spelled out."""
    plain = _COLOUR.sub("", text)
    cut = len(plain) - _LONGEST
    if cut > 0:
        plain = plain[:_LONGEST]
    shown = "".join(c if c == "\t" or c.isprintable() else c.encode("unicode_escape").decode() for c in plain)
    return f"{shown} ... and {cut} characters more" if cut > 0 else shown


def visible_lines(text: str) -> list[str]:
    """The lines of a text, each of them safe; blank ones at the end are left out."""
    lines = text.rstrip().split("\n")
    return [visible(line.rstrip("\r")) for line in lines] if text.strip() else []


def _container(item: Mapping[str, Any]) -> Container:
    state, labels = item["State"], _labels(item)
    status = str(state["Status"])
    since = {"created": item.get("Created"), "running": state.get("StartedAt"), "paused": state.get("StartedAt")}
    return Container(
        name=visible(str(item["Name"]).lstrip("/")),
        service=visible(labels[f"{_PREFIX}service"]),
        node=visible(labels.get(f"{_PREFIX}node", "")),
        part=visible(labels.get(f"{_PREFIX}part", "")),
        status=visible(status),
        since=_moment(str(since.get(status, state.get("FinishedAt")))),
        exit_code=int(state.get("ExitCode") or 0),
        out_of_memory=bool(state.get("OOMKilled")),
        restarts=int(item.get("RestartCount") or 0),
        error=str(state.get("Error") or ""),
        health=_health(state.get("Health")),
    )


def _health(found: Mapping[str, Any] | None) -> Health | None:
    if not found or found.get("Status", "none") == "none":
        return None
    log = found.get("Log") or [{}]
    return Health(
        status=visible(str(found["Status"])),
        failures=int(found.get("FailingStreak") or 0),
        exit_code=log[-1].get("ExitCode"),
        output=str(log[-1].get("Output") or ""),
    )


def _labels(item: Mapping[str, Any]) -> Mapping[str, str]:
    labels: Mapping[str, str] = item["Config"].get("Labels") or {}
    return labels


def _moment(text: str) -> str:
    try:
        moment = datetime.datetime.fromisoformat(text).astimezone(datetime.UTC)
    except (OverflowError, ValueError):
        return "an unknown time"
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"

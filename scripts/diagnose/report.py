"""The findings as people read them."""

import shlex
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from engine.table import Colour, Paint, table
from scripts.diagnose.pods import Pod, deaf
from scripts.diagnose.state import Container, visible_lines

_HEADER: Final = ("SERVICE", "STATE", "HEALTH", "EXIT", "RESTARTS", "FINDING")
_OUTPUT_LINES: Final = 5
_EXITS: Final[Mapping[int, str]] = {
    0: "it ended by itself, as if its work were done",
    1: "an error of its own, which its log tells",
    126: "its command cannot be executed",
    127: "its command, or a library of it, is not in the image",
    134: "it aborted itself",
    137: "killed: by hand, or because memory ran out",
    139: "segmentation fault: the program, a driver or the CPU's instruction set",
    143: "terminated: somebody stopped it",
}


@dataclass(frozen=True, kw_only=True)
class Place:
    """What was looked at."""

    stack: str
    host: str
    probes: Mapping[str, str]
    """What the sidecar of each service asks its app."""
    lines: int


def render(pods: Sequence[Pod], logs: Mapping[str, str], place: Place, paint: Paint) -> str:
    """The whole report; `logs` has the text of each container of the unhealthy pods."""
    sick = [pod for pod in pods if pod.problems]
    if not sick:
        count = sum(not pod.preflight for pod in pods)
        all_of = f"All {count} pods" if count != 1 else "The one pod"
        return paint(f"{place.stack}: {all_of} healthy on {place.host}.", Colour.GREEN)
    parts = [table(_HEADER, [_row(pod) for pod in pods])]
    parts += [list(_details(pod, logs, place, paint)) for pod in sick if not pod.missing]
    missing = [pod.name for pod in sick if pod.missing]
    if missing:
        parts.append(list(_missing(missing, others=len(missing) < len(sick), paint=paint)))
    parts.append([f"Once that is fixed: pulumi up -s {shlex.quote(place.stack)}"])
    return "\n\n".join("\n".join(part) for part in parts)


def _row(pod: Pod) -> tuple[str, ...]:
    main = pod.main
    stopped = next((c for c in pod.containers if not c.running and c.status != "created"), None)
    health = next((c.health.status for c in pod.containers if c.health), "-")
    return (
        pod.name,
        main.status if main else "missing",
        health,
        str(stopped.exit_code) if stopped else "-",
        str(sum(c.restarts for c in pod.containers)) if pod.containers else "-",
        ", ".join(pod.problems) or "ok",
    )


def _details(pod: Pod, logs: Mapping[str, str], place: Place, paint: Paint) -> Iterator[str]:
    yield paint(f"== {pod.name}: {', '.join(pod.problems)}", Colour.RED)
    if not pod.containers:
        yield "  `pulumi up` filled its configuration and stopped before it made the rest."
    for container in pod.containers:
        yield from _container(container)
    yield from (f"  {sentence}" for sentence in _meaning(pod, place))
    for container in pod.containers:
        lines = visible_lines(logs.get(container.name, ""))[-place.lines :] if place.lines else []
        yield paint(f"  -- log of {container.part} ({container.name}), last {place.lines} lines", Colour.BOLD)
        yield from (f"  | {line}" for line in lines or ["(nothing)"])
    if pod.suspect:
        yield f"  next: docker -H {shlex.quote(place.host)} logs -f {pod.suspect.name}"


def _container(container: Container) -> Iterator[str]:
    facts = [f"{container.status} since {container.since}"]
    if not container.running and container.status != "created":
        facts.append(f"exit code {container.exit_code}{_exit(container)}")
    facts.append(f"{container.restarts} restart{'s' * (container.restarts != 1)}")
    if container.out_of_memory:
        facts.append("OOM: it, or a child of it, was killed at its memory limit (setting `memoryMib`)")
    yield f"  {container.part}: {container.name}: " + ", ".join(facts)
    yield from (f"    Docker: {line}" for line in visible_lines(container.error))
    health = container.health
    if health is None:
        return
    last = "no probe has run yet" if health.exit_code is None else f"last probe ended with {health.exit_code}"
    said = visible_lines(health.output)[-_OUTPUT_LINES:]
    yield f"    health: {health.status}, {health.failures} failures in a row, {last}" + (
        ", saying:" if said else ", saying nothing" if health.exit_code is not None else ""
    )
    yield from (f"    | {line}" for line in said)


def _exit(container: Container) -> str:
    code = container.exit_code
    if container.out_of_memory and code == 128 + signal.SIGKILL:
        return " (killed: memory ran out)"
    return f" ({_EXITS[code]})" if code in _EXITS else ""


def _meaning(pod: Pod, place: Place) -> Iterator[str]:
    """What the states of app and proxy say together."""
    app, proxy = pod.part("app"), pod.part("proxy")
    if app and not proxy:
        yield "`pulumi up` stopped between app and proxy: nobody reaches the app."
    if not proxy or not proxy.running or not proxy.health or proxy.health.status == "healthy":
        return
    if deaf(proxy):
        yield "The sidecar itself does not answer its health check: look at the proxy's log."
    elif app and app.running:
        asked = f" ({place.probes[pod.name]})" if pod.name in place.probes else ""
        yield (
            "The sidecar's health check answers 200 only while the app answers its probe"
            f"{asked}: look at the app's log."
        )


def _missing(names: Sequence[str], *, others: bool, paint: Paint) -> Iterator[str]:
    yield paint(f"== no container at all: {', '.join(names)}", Colour.RED)
    yield "  `pulumi up` did not get to them, or somebody removed them." + (
        " Fix what stands above first." if others else ""
    )

"""Puts a node's containers together to pods and finds those that are not well."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from scripts.diagnose.state import Container
from topology.graph import GATEWAY

MISSING: Final = "missing"
_PREFLIGHT: Final = "preflight"


@dataclass(frozen=True, kw_only=True)
class Pod:
    """A service, the gateway or a probe of the preflight, with its containers other than loaders."""

    name: str
    containers: tuple[Container, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def missing(self) -> bool:
        """Whether there is not even a loader."""
        return MISSING in self.problems

    @property
    def preflight(self) -> bool:
        """Whether it is a probe of the host, not a service."""
        return any(container.part == _PREFLIGHT for container in self.containers)

    @property
    def main(self) -> Container | None:
        """What the pod is there for: the app, or what stands in its place."""
        return self.part("app") or self.part(GATEWAY) or self.part(_PREFLIGHT)

    @property
    def suspect(self) -> Container | None:
        """Whose log says why."""
        app, proxy = self.part("app"), self.part("proxy")
        if app and proxy and app.running and (not proxy.running or deaf(proxy)):
            return proxy
        return self.main or proxy

    def part(self, name: str) -> Container | None:
        """The container of that part."""
        return next((container for container in self.containers if container.part == name), None)


def pods(containers: Iterable[Container], expected: Sequence[str]) -> list[Pod]:
    """Every pod that is there or should be; those that are not well first, those without any container after them."""
    groups: dict[str, list[Container]] = {}
    for container in containers:
        probe = container.part == _PREFLIGHT
        groups.setdefault(container.name.removeprefix("agentic-mesh-") if probe else container.service, []).append(
            container
        )
    probes = sorted(name for name, group in groups.items() if group[0].part == _PREFLIGHT)
    names = dict.fromkeys([*probes, *expected, *sorted(groups)])
    found = [_pod(name, groups) for name in names]
    return sorted(found, key=lambda pod: (not pod.problems, pod.missing))


def deaf(proxy: Container) -> bool:
    """Whether Envoy itself did not answer its health check, which then fails to connect."""
    return proxy.health is not None and "/dev/tcp/" in proxy.health.output


def _pod(name: str, groups: Mapping[str, Sequence[Container]]) -> Pod:
    group = groups.get(name, ())
    pod = Pod(name=name, containers=tuple(sorted((c for c in group if c.part != "loader"), key=lambda c: c.part)))
    return replace(pod, problems=tuple(_problems(pod, loaded=bool(group))))


def _problems(pod: Pod, *, loaded: bool) -> Iterator[str]:
    if not pod.containers:
        yield "only its loader is there" if loaded else MISSING
        return
    if not pod.preflight:
        for part in (GATEWAY,) if pod.name == GATEWAY else ("app", "proxy"):
            if not pod.part(part):
                yield f"{part} missing"
    for container in pod.containers:
        yield from (f"{container.part} {problem}" for problem in _ailments(container))


def _ailments(container: Container) -> Iterator[str]:
    if container.out_of_memory:
        yield "out of memory"
    if container.running:
        if container.health and container.health.status != "healthy":
            yield container.health.status
    # A probe that has seen the host may end.
    elif container.part != _PREFLIGHT or container.status != "exited" or container.error:
        yield container.status

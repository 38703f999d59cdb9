"""The running lab with everything that an operation on its stacks needs: nodes, world, images, providers."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

from engine.cli import find_pulumi
from engine.outcome import Outcome
from engine.root import CHECKOUT
from lab import clouds, nodes
from lab.images.build import build_images, keys_of
from lab.places import Node
from lab.providers import lab_providers
from lab.stacks import Stacks, lab_config

Say = Callable[[str], None]
_LOOK_SECONDS: Final = 0.5


@dataclass(frozen=True)
class Session:
    """What is up."""

    folder: Path
    nodes: tuple[Node, ...]
    images: Mapping[str, str]
    """Reference of the program -> tag of the lab's image."""
    aws: Mapping[str, str]
    """Where the providers find AWS, and with which credentials."""

    @contextlib.contextmanager
    def stacks(self, project: Path = CHECKOUT, folder: Path | None = None) -> Iterator[Stacks]:
        """A project's stacks, configured for the lab, with providers that serve them."""
        with lab_providers(self.folder, self.images, self.aws) as ports:
            stacks = Stacks(project, folder or self.folder / "stacks", find_pulumi(), ports)
            for node in self.nodes:
                stacks.configure(node.name, lab_config(node))
            yield stacks

    def with_images(self, images: Mapping[str, str]) -> Self:
        """The same with other images behind some references."""
        return replace(self, images={**self.images, **images})


def open_session(folder: Path, say: Say) -> Session:
    """Start what does not run: nodes, the world outside, images. What a killed lab left is cleared away first."""
    folder.mkdir(parents=True, exist_ok=True)
    say("nodes: namespaces, link, Docker daemons")
    found = nodes.start_nodes(folder)
    if not (folder / "stacks").exists() and any(nodes.has_containers(node) for node in found):
        say("clearing away what a killed lab left")
        nodes.remove_nodes(folder)
        found = nodes.start_nodes(folder)
    aws = clouds.start_clouds(folder)
    images: dict[str, str] = {}
    with ThreadPoolExecutor(len(found)) as threads:
        for made in threads.map(lambda n: build_images(n.host, folder, say, keys=keys_of(n.role)), found):
            images |= made
    return Session(folder, found, images, aws)


def operate(stacks: Stacks, operation: str, names: Sequence[str], say: Say) -> list[Outcome]:
    """One operation on stacks, named in the order in which they need each other; an `up` that fails is the last one.

    A node needs what the one before it shares, not its services: on the first `up`, when nothing older could be taken
    for it, the next stack starts as soon as that is there.
    """
    running: list[Future[Outcome]] = []
    with ThreadPoolExecutor(len(names)) as threads:
        for name in names if operation != "destroy" else reversed(names):
            shares_early = operation == "up" and not stacks.outputs(name)
            outcome = threads.submit(_report, stacks, operation, name, say)
            running.append(outcome)
            while not (outcome.done() or (shares_early and stacks.outputs(name))):
                time.sleep(_LOOK_SECONDS)
            if operation == "up" and outcome.done() and not outcome.result().passed:
                break
    return [outcome.result() for outcome in running]


def _report(stacks: Stacks, operation: str, name: str, say: Say) -> Outcome:
    outcome = stacks.operate(operation, name, progress=lambda s, n: say(f"{operation} {s}: {n} resources done"))
    counts = ", ".join(f"{count} {kind}" for kind, count in sorted(outcome.operations.items()))
    say(f"{operation} {name}: {counts or 'nothing'} in {outcome.seconds:.0f} s")
    for error in outcome.errors:
        say(f"{operation} {name}: error: {error}")
    return outcome

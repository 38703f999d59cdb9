"""The running lab with everything that an operation on its stacks needs: nodes, world, images, providers."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from engine.cli import find_pulumi
from engine.outcome import Outcome
from engine.root import CHECKOUT
from lab import clouds, nodes
from lab.images import tiny_model
from lab.images.build import build_images, keys_of
from lab.images.switch import chosen
from lab.places import Node
from lab.providers import lab_providers
from lab.stacks import Stacks, lab_config, local_model

Say = Callable[[str], None]


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
    def stacks(
        self, project: Path = CHECKOUT, folder: Path | None = None, *, any_form: bool = False
    ) -> Iterator[Stacks]:
        """A project's stacks, configured for the lab, with providers that serve them."""
        with lab_providers(self.folder, self.images, self.aws, any_form=any_form) as ports:
            stacks = Stacks(project, folder or self.folder / "stacks", find_pulumi(), ports)
            if "vllm" in chosen():
                tiny_model.write(local_model(self.nodes), owner=(2000, 0))
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
    found = nodes.start_nodes(folder, say)
    unknown = not (folder / "stacks").exists() and any(nodes.has_containers(node) for node in found)
    if _mark(folder).exists() or unknown:
        say("clearing away what a killed lab left")
        clear_away(folder)
        found = nodes.start_nodes(folder, say)
    aws = clouds.start_clouds(folder)
    images: dict[str, str] = {}
    with ThreadPoolExecutor(len(found)) as threads:
        for made in threads.map(lambda n: build_images(n.host, folder, say, keys=keys_of(n.role)), found):
            images |= made
    return Session(folder, found, images, aws)


@contextlib.contextmanager
def marked(folder: Path) -> Iterator[None]:
    """Leave a mark while stacks change: one that a kill left says that nobody knows what is there."""
    _mark(folder).touch()
    try:
        yield
    finally:
        _mark(folder).unlink(missing_ok=True)


def clear_away(folder: Path, *, everything: bool = False) -> None:
    """Take the lab away; images stay but for `everything`."""
    # If this is killed half-way, the mark makes the next start clean up. Without it the next start would take the
    # remains, such as volumes without their folders, for a lab.
    if folder.is_dir():
        _mark(folder).touch()
    shutil.rmtree(folder / "stacks", ignore_errors=True)
    clouds.stop_clouds()
    nodes.remove_nodes(folder, everything=everything)
    for path in (*folder.glob("devices-*.json"), folder / "tailnet.json", _mark(folder)):
        path.unlink(missing_ok=True)
    if everything:
        shutil.rmtree(folder, ignore_errors=True)


def _mark(folder: Path) -> Path:
    return folder / "at-work"


def operate(stacks: Stacks, operation: str, names: Sequence[str], say: Say) -> list[Outcome]:
    """One operation on stacks, named in the order in which they need each other; an `up` that fails is the last one."""
    outcomes: list[Outcome] = []
    for name in names if operation != "destroy" else reversed(names):
        outcomes.append(_report(stacks, operation, name, say))
        if operation == "up" and not outcomes[-1].passed:
            break
    return outcomes


def _report(stacks: Stacks, operation: str, name: str, say: Say) -> Outcome:
    outcome = stacks.operate(operation, name, progress=lambda s, text: say(f"{operation} {s}: {text}"))
    counts = ", ".join(f"{count} {kind}" for kind, count in sorted(outcome.operations.items()))
    say(f"{operation} {name}: {counts or 'nothing'} in {outcome.seconds:.0f} s")
    for error in outcome.errors:
        say(f"{operation} {name}: error: {error}")
    return outcome

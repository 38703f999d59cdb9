"""Reads and validates the files of `tests/contracts/upstream/`: facts about each image, each with its source.

README.md in that folder describes the form. A file that breaks it is a `FormError` with the file, the place and the
words that are allowed there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

FOLDER: Final = Path(__file__).parent / "upstream"
BASES: Final = ("python",)
"""Files for the base images of the Dockerfiles in `topology.images.BUILDS`."""
SECTIONS: Final = {
    "image": "text",
    "version": "text",
    "read_at": "text",
    "sources": "map",
    "entrypoint": "fact",
    "programs": "map",
    "arguments": "map",
    "user": "fact",
    "ports": "map",
    "flags": "map",
    "environment": "map",
    "files": "map",
    "writes": "map",
    "limits": "list",
    "refuses": "list",
    "defaults_that_bite": "list",
    "memory_at_start_mib": "fact",
    "stop": "fact",
}
"""Every section and its shape."""
NEEDED: Final = ("image", "version", "sources", "entrypoint", "user", "ports", "writes", "memory_at_start_mib")
WORDS: Final[Mapping[str, frozenset[str]]] = {
    "entrypoint": frozenset({"value", "command"}),
    "programs": frozenset(),
    "arguments": frozenset(),
    "user": frozenset({"value", "works_as"}),
    "ports": frozenset({"default", "set_by", "address", "address_set_by", "what"}),
    "flags": frozenset({"default", "takes", "min", "max", "choices", "deprecated"}),
    "environment": frozenset({"default", "min", "max", "choices", "file", "flags", "deprecated"}),
    "keys": frozenset({"default", "min", "max", "choices", "deprecated"}),
    "writes": frozenset({"set_by", "exec", "owner", "what"}),
    "limits": frozenset({"what", "value"}),
    "refuses": frozenset({"what", "status", "says"}),
    "defaults_that_bite": frozenset({"name", "default", "bites", "we", "because"}),
    "memory_at_start_mib": frozenset({"value"}),
    "stop": frozenset({"signal", "seconds"}),
}
"""Words of a fact by section, beside `source` and `note`."""


class FormError(Exception):
    """A file does not have the format that README.md describes."""


@dataclass(frozen=True)
class Fact:
    """One fact from upstream's files, with its source."""

    name: str
    source: str
    words: Mapping[str, Any] = field(default_factory=dict)

    def get(self, word: str, default: Any = None) -> Any:
        """The value of a word of this fact."""
        return self.words.get(word, default)


@dataclass(frozen=True, kw_only=True)
class Upstream:
    """The facts of one image at the pinned version."""

    key: str
    image: str
    version: str
    read_at: str
    """The version whose sources were read if those of the pinned one were not available."""
    sources: Mapping[str, Mapping[str, str]]
    entrypoint: Fact
    user: Fact
    memory: Fact
    stop: Fact | None
    programs: Mapping[str, Fact]
    arguments: Mapping[str, Fact]
    ports: Mapping[str, Fact]
    flags: Mapping[str, Fact]
    environment: Mapping[str, Fact]
    files: Mapping[str, tuple[str, Mapping[str, Fact]]]
    """Path pattern -> its format and its keys; the keys `flags` stand for the flags, without dashes."""
    writes: Mapping[str, Fact]
    limits: tuple[Fact, ...]
    refuses: tuple[Fact, ...]
    """Requests that it rejects, with status and words: the stand-in of the image is held against them."""
    bites: tuple[Fact, ...]

    def limit(self, what: str) -> Any:
        """The value of a limit."""
        return next(fact.get("value") for fact in self.limits if fact.get("what") == what)

    @property
    def file(self) -> str:
        """For messages."""
        return path_of(self.key)


def path_of(key: str) -> str:
    """A file's path from the project's root."""
    return f"tests/contracts/upstream/{key}.yaml"


def keys_with_files() -> frozenset[str]:
    """The image keys that have a file."""
    return frozenset(path.stem for path in FOLDER.glob("*.yaml"))


@cache
def read(key: str) -> Upstream:
    """The file of an image."""
    try:
        text = (FOLDER / f"{key}.yaml").read_text(encoding="utf-8")
    except FileNotFoundError:
        raise FormError(
            f"{path_of(key)} is missing. Read the image's Dockerfile, entry point and flags at the pinned tag and "
            "write it: tests/contracts/upstream/README.md"
        ) from None
    return parse(key, yaml.safe_load(text))


def parse(key: str, data: Mapping[str, Any]) -> Upstream:
    """The content of a file, validated."""
    for name in data:
        if name not in SECTIONS:
            raise _wrong(key, name, f"is no section; the sections are: {', '.join(SECTIONS)}")
    for name in NEEDED:
        if name not in data:
            raise _wrong(key, name, "is missing")
    sources = _sources(key, data["sources"])
    section = _Section(key, data, sources)
    stop = section.fact("stop") if "stop" in data else None
    return Upstream(
        key=key,
        image=str(data["image"]),
        version=str(data["version"]),
        read_at=str(data.get("read_at", "")),
        sources=sources,
        entrypoint=section.fact("entrypoint"),
        user=section.fact("user"),
        memory=section.fact("memory_at_start_mib"),
        stop=stop,
        **{name: section.map(name) for name in ("programs", "arguments", "ports", "flags", "environment", "writes")},
        files=dict(section.files()),
        limits=section.list("limits"),
        refuses=section.list("refuses"),
        bites=section.list("defaults_that_bite"),
    )


@dataclass(frozen=True)
class _Section:
    key: str
    data: Mapping[str, Any]
    sources: Mapping[str, Mapping[str, str]]

    def fact(self, name: str) -> Fact:
        return self._fact(name, name, self.data[name])

    def map(self, name: str) -> dict[str, Fact]:
        return {str(n): self._fact(name, str(n), value) for n, value in (self.data.get(name) or {}).items()}

    def list(self, name: str) -> tuple[Fact, ...]:
        found = []
        for number, value in enumerate(self.data.get(name) or ()):
            where = str(value.get("name", value.get("what", number))) if isinstance(value, dict) else str(number)
            found.append(self._fact(name, where, value))
        return tuple(found)

    def files(self) -> Iterator[tuple[str, tuple[str, Mapping[str, Fact]]]]:
        for path, value in (self.data.get("files") or {}).items():
            if set(value) != {"format", "keys"} or value["format"] not in ("yaml", "lines", "csv"):
                raise _wrong(self.key, f"files: {path}", "needs `format` (yaml, lines or csv) and `keys`")
            if value["keys"] == "flags":
                keys = {name.lstrip("-"): fact for name, fact in self.map("flags").items()}
            else:
                keys = {str(n): self._fact("keys", str(n), v) for n, v in value["keys"].items()}
            yield path, (value["format"], keys)

    def _fact(self, section: str, name: str, value: Any) -> Fact:
        """A fact is a map with its source, or, where there is no more to say, the source alone."""
        words = {"source": value} if isinstance(value, str) else value
        if not isinstance(words, dict) or "source" not in words:
            raise _wrong(self.key, f"{section}: {name}", "has no source")
        for source in str(words["source"]).split(", "):
            if source not in self.sources:
                raise _wrong(self.key, f"{section}: {name}", f"names the source {source!r}, which `sources` lacks")
        allowed = WORDS[section] | {"source", "note"}
        for word in words:
            if word not in allowed:
                raise _wrong(
                    self.key, f"{section}: {name}: {word}", f"is no word here; {', '.join(sorted(allowed))} are"
                )
        return Fact(name, str(words["source"]), {w: v for w, v in words.items() if w != "source"})


def _sources(key: str, sources: Any) -> Mapping[str, Mapping[str, str]]:
    """Where facts come from: a file of a repository at a tag or commit, or a measurement."""
    for name, source in (sources or {}).items():
        words = set(source) - {"note"} if isinstance(source, dict) else set()
        if words not in ({"repository", "ref", "file"}, {"measured", "with"}):
            raise _wrong(
                key,
                f"sources: {name}",
                "needs `repository`, `ref` (tag or commit) and `file`, or `measured` and `with`",
            )
    return {str(name): {w: str(v) for w, v in source.items()} for name, source in (sources or {}).items()}


def _wrong(key: str, place: str, message: str) -> FormError:
    return FormError(f"{path_of(key)}: {place} {message}. The form: tests/contracts/upstream/README.md")

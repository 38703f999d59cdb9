"""Checks a container of the plan against its image's facts; each problem is a sentence that says what to do."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Any, Final

import yaml

from tests.contracts.upstream_facts import Fact, Upstream
from tests.contracts.upstream_rendered import Rendered
from topology.images import Image

_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
_ANY: Final = "0.0.0.0"  # noqa: S104 (where an app listens in its pod)
_SEGMENT: Final = r"[^.]*"
_OFF: Final = ("off", "", "None", "null")


def pinned(upstream: Upstream, image: Image) -> list[str]:
    """A problem if the facts were read from another version than the pinned one."""
    if (upstream.image, upstream.version) == (image.repository, image.tag):
        return []
    return [
        f"{upstream.file} was written for {upstream.image}:{upstream.version}, and topology/images.py pins "
        f"{image.repository}:{image.tag}. Read its sources at the new tag again, correct the facts, then set "
        "`version` and each source's `ref`."
    ]


def problems(upstream: Upstream, rendered: Rendered) -> list[str]:
    """Everything that upstream would refuse, ignore or not find."""
    asked = Asked(upstream, rendered)
    found = [
        *asked.unknown,
        *_variables(upstream, rendered),
        *_file_keys(asked),
        *_ports(asked),
        *_writes(asked),
        *_user(upstream, rendered),
        *_memory(upstream, rendered),
        *_stop(upstream, rendered),
        *_bites(asked),
    ]
    return [f"{rendered.name}: {problem}" for problem in found]


class Asked:
    """What a container sets, by name: `--flag`, `VARIABLE` or `/file:dotted.key`."""

    def __init__(self, upstream: Upstream, rendered: Rendered) -> None:
        """Read the command line and the files."""
        self.upstream, self.rendered = upstream, rendered
        self.unknown: list[str] = []
        self.flags: list[tuple[str, str]] = []
        self._program()
        for name, value in rendered.environment.items():
            fact = upstream.environment.get(name)
            if fact and fact.get("flags"):
                self._words(value.split())

    def values(self, name: str) -> list[str]:
        """Everything that is set under a name."""
        if name.startswith("/"):
            pattern, _, wanted = name.rpartition(":")
            return [value for key, value in self.keys(pattern) if key == wanted]
        if not name.startswith("-"):
            return [self.rendered.environment[name]] if name in self.rendered.environment else []
        found = [value for flag, value in self.flags if flag == name]
        for pattern, (_, facts) in self.upstream.files.items():
            if name.lstrip("-") in facts:
                found += [value for key, value in self.keys(pattern) if key == name.lstrip("-")]
        return found

    def keys(self, pattern: str) -> list[tuple[str, str]]:
        """Dotted key and value of every leaf of the files of a pattern; `[]` stands for the items of a list."""
        kind = self.upstream.files[pattern][0] if pattern in self.upstream.files else "yaml"
        found: list[tuple[str, str]] = []
        for path, text in self.rendered.files.items():
            if fnmatchcase(path, pattern):
                found += _READERS[kind](text)
        return found

    def _program(self) -> None:
        upstream, rendered = self.upstream, self.rendered
        own = [str(word) for word in upstream.entrypoint.get("value", ())]
        start = list(rendered.entrypoint) if rendered.entrypoint else own
        if rendered.entrypoint and not _starts_with(start, own) and start[0] not in upstream.programs:
            self.unknown.append(
                f"it starts {start[0]!r}, which {upstream.file} does not know: the image starts {own!r}. Start that, "
                "or add the program with its source under `programs`."
            )
        # With an entry point of ours, Docker drops the image's own command.
        default = () if rendered.entrypoint else upstream.entrypoint.get("command", ())
        command = rendered.command if rendered.command is not None else default
        self._words([*start[len(own) if _starts_with(start, own) else 1 :], *map(str, command)])

    def _words(self, words: Sequence[str]) -> None:
        index = 0
        while index < len(words):
            word = words[index]
            index += 1
            if not word.startswith("-") or word == "-":
                self._positional(word)
                continue
            name, equals, value = word.partition("=")
            fact = _match(self.upstream.flags, name)
            takes = fact.get("takes", "value") if fact else "value"
            if not equals and takes != "nothing":
                following = words[index] if index < len(words) else ""
                if fact or not following.startswith("-"):
                    value, index = following, index + 1
            if takes == "setting":
                # `-c name=value`, each of whose names is a fact of its own.
                name, value = f"{name} {value.partition('=')[0]}", value.partition("=")[2]
                fact = _match(self.upstream.flags, name)
            self.flags.append((name, value))
            if fact is None:
                self.unknown.append(
                    f"{self.upstream.file} has no flag {name!r}. The program ends on an unknown flag or does not do "
                    "what is meant: correct the spelling, or look it up at the pinned tag and add it with its source."
                )
            else:
                self.unknown += _refused(self.upstream, "flag", name, value, fact)

    def _positional(self, word: str) -> None:
        if _match(self.upstream.arguments, word) is None:
            self.unknown.append(
                f"{self.upstream.file} has no argument {word!r}. Correct it, or add it with its source under "
                "`arguments`; a flag before it that takes no value needs `takes: nothing`."
            )


def _variables(upstream: Upstream, rendered: Rendered) -> Iterator[str]:
    for name, value in rendered.environment.items():
        fact = _match(upstream.environment, name) or _from_file(upstream, name)
        if fact is None:
            yield (
                f"{upstream.file} has no environment variable {name!r}; the image would ignore it in silence. Correct "
                "the spelling, or find where upstream reads it at the pinned tag and add it with its source."
            )
        elif fact.name == name or "*" in fact.name:
            yield from _refused(upstream, "variable", name, value, fact)


def _from_file(upstream: Upstream, name: str) -> Fact | None:
    """The variable that may be given as a file's path, where this is its name for that."""
    for fact in upstream.environment.values():
        if fact.get("file") and name == fact.name + str(fact.get("file")):
            return fact
    return None


def _file_keys(asked: Asked) -> Iterator[str]:
    for pattern, (_, facts) in asked.upstream.files.items():
        for key, value in asked.keys(pattern):
            fact = _match(facts, key, star=_SEGMENT)
            if fact is None:
                yield (
                    f"{asked.upstream.file} has no key {key!r} for {pattern}. Correct it, or look it up at the pinned "
                    "tag and add it with its source."
                )
            else:
                yield from _refused(asked.upstream, f"key of {pattern}", key, value, fact)


def _refused(upstream: Upstream, kind: str, name: str, value: str, fact: Fact) -> Iterator[str]:
    """What upstream would reject about a value, as far as the facts say."""
    where = f"{kind} {name!r}" + (f" is {value!r}" if len(value) < 60 else "")
    if fact.get("deprecated"):
        yield f"{where}: {fact.get('deprecated')} ({upstream.file})"
    choices = fact.get("choices")
    if choices is not None and value not in [str(choice) for choice in choices]:
        yield f"{where}; {upstream.file} allows: {', '.join(map(str, choices))}"
    least, most = fact.get("min"), fact.get("max")
    if least is None and most is None:
        return
    try:
        number = float(value)
    except ValueError:
        yield f"{where}, which is no number, as {upstream.file} wants it"
        return
    if (least is not None and number < least) or (most is not None and number > most):
        yield f"{where}; {upstream.file} allows from {least} to {most}"


def _ports(asked: Asked) -> Iterator[str]:
    """The app listens on every port of the service table, at an address that others can reach."""
    service = asked.rendered.service
    if service is None:
        return
    wanted = {port.app_port: f"port {port.name!r}" for port in service.ports}
    wanted.setdefault(service.probe.port, "probe")
    if service.metrics:
        wanted.setdefault(service.metrics.port, "metrics")
    listens: dict[int, tuple[str, str]] = {}
    for name, fact in asked.upstream.ports.items():
        for address, number in _listens(asked, fact):
            listens[number] = (name, address)
    for number, what in wanted.items():
        if number not in listens:
            there = ", ".join(f"{name} on {port}" for port, (name, _) in sorted(listens.items())) or "nothing"
            yield (
                f"nobody listens on {number}, the table's {what}: {there} ({asked.upstream.file}). Set what decides "
                "the port, or correct topology/."
            )
        elif listens[number][1] in _LOOPBACK:
            yield (
                f"{listens[number][0]} listens on {number} of {listens[number][1]} alone, where its proxy does not "
                f"reach it. Set its address: {asked.upstream.file}, ports"
            )


def _listens(asked: Asked, fact: Fact) -> Iterator[tuple[str, int]]:
    address = str(fact.get("address", _ANY))
    for name in fact.get("address_set_by", ()):
        address = next(iter(asked.values(name)), address)
    set_by = [value for name in fact.get("set_by", ()) for value in asked.values(name)]
    for value in set_by or [str(fact.get("default"))]:
        if value in _OFF:
            continue
        found = re.match(r"(?:(?P<address>.*):)?(?P<port>\d+)\b", value)
        if found:
            yield (found["address"] or (address if found["address"] is None else _ANY)), int(found["port"])


def _writes(asked: Asked) -> Iterator[str]:
    """With a read-only root, folders that upstream writes must be volumes or tmpfs."""
    rendered, file = asked.rendered, asked.upstream.file
    for name, fact in asked.upstream.writes.items():
        moved = [value for setting in fact.get("set_by", ()) for value in asked.values(setting)]
        for folder in moved or [name]:
            held = [place for place in rendered.writable if _below(folder, place)]
            if not held and rendered.read_only:
                yield (
                    f"upstream writes {folder} ({fact.get('what', name)}), which is neither a volume nor tmpfs, and "
                    "the root is read-only: it would fail. Add it to the service's `volumes` or `tmpfs`, or move it: "
                    f"{file}"
                )
            elif not held and fact.get("owner") and not _may_write(rendered.user, str(fact.get("owner"))):
                yield f"{folder} is {fact.get('owner')}'s in the image and {rendered.user} cannot write it: {file}"
            elif held and fact.get("exec"):
                nearest = max(held, key=len)
                if nearest not in rendered.executable:
                    yield f"upstream executes what it writes below {folder}, and {nearest} is mounted noexec: {file}"


def _user(upstream: Upstream, rendered: Rendered) -> Iterator[str]:
    allowed = [str(upstream.user.get("value")), *map(str, upstream.user.get("works_as", ()))]
    if not any(fnmatchcase(rendered.user, pattern) for pattern in allowed):
        yield f"it runs as {rendered.user}; {upstream.file} knows that it works as {', '.join(allowed)}"
    for volume in rendered.service.volumes if rendered.service else ():
        owner = f"{volume.owner[0]}:{volume.owner[1]}"
        if not _may_write(rendered.user, owner):
            yield f"it runs as {rendered.user} and cannot write its volume {volume.path}, which is {owner}'s: topology/"
        theirs = str(upstream.writes[volume.path].get("owner") or "") if volume.path in upstream.writes else ""
        if theirs and not _may_write(rendered.user, theirs):
            yield (
                f"{volume.path} is {theirs}'s in the image, Docker gives the empty volume on it that owner, and "
                f"{rendered.user} cannot write it: mount the volume where the image has no folder: {upstream.file}"
            )


def _may_write(user: str, owner: str) -> bool:
    """Root has no capabilities here, so it cannot write files of other users."""
    (uid, _, gid), (owner_uid, _, owner_gid) = user.partition(":"), owner.partition(":")
    return uid == owner_uid or gid == owner_gid


def _memory(upstream: Upstream, rendered: Rendered) -> Iterator[str]:
    needs = int(upstream.memory.get("value"))
    if rendered.memory_mib < needs:
        yield (
            f"its limit is {rendered.memory_mib} MiB, and it needs {needs} MiB to start ({upstream.file}): it would be "
            "killed. Raise `memory_mib`."
        )


def _stop(upstream: Upstream, rendered: Rendered) -> Iterator[str]:
    seconds = upstream.stop.get("seconds") if upstream.stop else None
    if seconds is not None and rendered.stop_seconds < seconds:
        yield f"it is killed {rendered.stop_seconds} s after it is told to stop, and needs {seconds} s: {upstream.file}"


def _bites(asked: Asked) -> Iterator[str]:
    """A harmful default must be overridden, or the file must say why it may stay."""
    for fact in asked.upstream.bites:
        name = fact.name
        if fact.get("we") == "set" and not asked.values(name) and not asked.values(name + _suffix(asked, name)):
            default = f"its default {fact.get('default')!r} bites"
            yield f"{name} is not set, and {default}: {fact.get('bites')} ({asked.upstream.file})"


def _suffix(asked: Asked, name: str) -> str:
    fact = asked.upstream.environment.get(name)
    return str(fact.get("file", "")) if fact else ""


def _starts_with(words: Sequence[str], start: Sequence[str]) -> bool:
    return bool(start) and list(words[: len(start)]) == list(start)


def _below(folder: str, place: str) -> bool:
    return PurePosixPath(folder).is_relative_to(place)


def _match(facts: Mapping[str, Fact], name: str, star: str = ".*") -> Fact | None:
    """The fact of that name, or of the first pattern that matches it; `**` in a pattern is anything, `*` is `star`."""
    if name in facts:
        return facts[name]
    for pattern, fact in facts.items():
        words = [".*" if w == "**" else star if w == "*" else re.escape(w) for w in re.split(r"(\*\*|\*)", pattern)]
        if "*" in pattern and re.fullmatch("".join(words), name):
            return fact
    return None


def _lines(text: str) -> list[tuple[str, str]]:
    """`key value` and `key = value`, comments and braces left out."""
    found = []
    for line in text.splitlines():
        words = line.split("#")[0].strip().rstrip(";{").replace("=", " ", 1).split(None, 1)
        if words and words[0] not in "}{":
            found.append((words[0], words[1].strip() if len(words) > 1 else ""))
    return found


def _records(text: str) -> list[tuple[str, str]]:
    """The first field of each line and the second one."""
    lines = (line.split(",") for line in text.splitlines() if line.strip() and not line.startswith("#"))
    return [(fields[0].strip(), fields[1].strip() if len(fields) > 1 else "") for fields in lines]


def _leaves(value: Any, path: str) -> list[tuple[str, str]]:
    if isinstance(value, dict) and value:
        return [leaf for key, inner in value.items() for leaf in _leaves(inner, f"{path}.{key}" if path else str(key))]
    if isinstance(value, list) and value:
        return [leaf for inner in value for leaf in _leaves(inner, f"{path}.[]" if path else "[]")]
    return [(path, str(value).lower() if isinstance(value, bool) else str(value))]


_READERS: Mapping[str, Callable[[str], list[tuple[str, str]]]] = {
    "lines": _lines,
    "csv": _records,
    "yaml": lambda text: _leaves(yaml.safe_load(text), ""),
}

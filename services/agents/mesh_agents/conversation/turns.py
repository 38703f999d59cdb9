"""A conversation in OpenAI's messages, as models of the agents are told it.

They get it as plain words: calls of the caller's tools and their results, pictures, the beginning of an answer. Every
model takes those, whichever tools the request has, whoever spoke last, and whether it sees.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from mesh_agents.attached.marks import own_words, parts_of
from mesh_agents.tools.attachments import is_attachment

Role = Literal["user", "assistant", "tool"]
_NAMES: Final = {"image_url": "picture", "input_audio": "recording", "file": "file"}


@dataclass(frozen=True)
class Turn:
    """What somebody said. A tool's are its results, which others may have written."""

    role: Role
    text: str
    words: str = ""
    """Of a user: their own, without the files."""
    pictures: tuple[Mapping[str, Any], ...] = ()
    """The parts that hold them, for models that see."""


Unit = tuple[Turn, ...]
"""Turns that mean nothing apart: a call of tools and its results. Mostly one."""


@dataclass(frozen=True)
class Conversation:
    """What was said so far."""

    rules: str
    """Of the caller's application: the system's and the developer's messages."""
    units: tuple[Unit, ...]
    """All turns but `begun`, in order."""
    asked: int | None
    """Which of them is the request: the last in which the user used words; None: there is none."""
    begun: str
    """The beginning of the answer, where the last message is the assistant's."""

    @property
    def request(self) -> str:
        """The user's last words."""
        return "" if self.asked is None else self.units[self.asked][0].words

    @property
    def earlier(self) -> tuple[Unit, ...]:
        """What was said before the request."""
        return self.units if self.asked is None else self.units[: self.asked]

    @property
    def background(self) -> tuple[Unit, ...]:
        """What a prompt tells before `closing`: all before the request; and all, where something came behind it."""
        return self.earlier if self._is_last else self.units

    @property
    def closing(self) -> Turn:
        """The request with what is attached to it, for the end of a prompt."""
        if self.asked is None:
            return Turn("user", "")
        turn = self.units[self.asked][0]
        return turn if self._is_last else replace(turn, pictures=())

    @property
    def _is_last(self) -> bool:
        return self.asked == len(self.units) - 1


def conversation_of(messages: Sequence[Mapping[str, Any]]) -> Conversation:
    """Read `messages`; empty ones say nothing and are left out."""
    rules: list[str] = []
    units: list[list[Turn]] = []
    calls: dict[str, tuple[list[Turn], str]] = {}
    """Id of a call -> the turns that it belongs to, and the tool's name."""
    files = 0
    for message in messages:
        said, files = _said(message, files)
        match message.get("role"):
            case "system" | "developer":
                rules.append(said.text)
            case "user":
                units.append([said])
            case "tool" | "function":
                identity = str(message.get("tool_call_id") or message.get("name"))
                unit, name = calls.get(identity, ([], str(message.get("name") or "a tool")))
                if not unit:  # nobody called it
                    units.append(unit)
                unit.append(Turn("tool", f"Result of {name}: {said.text}"))
            case _:
                asked = list(_calls(message))
                told = [said.text, *(f"(called the tool {name} with {arguments})" for _, name, arguments in asked)]
                unit = [Turn("assistant", "\n".join(part for part in told if part.strip()))]
                units.append(unit)
                calls |= {identity: (unit, name) for identity, name, _ in asked}
    spoken = [unit for unit in units if unit[0].text.strip()]
    last = messages[-1]
    prefilled = spoken and last.get("role") == "assistant" and units[-1] is spoken[-1] and not any(_calls(last))
    begun = spoken.pop()[0].text if prefilled else ""
    worded = [number for number, unit in enumerate(spoken) if unit[0].words.strip()]
    return Conversation(
        rules="\n\n".join(part for part in rules if part.strip()),
        units=tuple(map(tuple, spoken)),
        asked=worded[-1] if worded else None,
        begun=begun,
    )


def _calls(message: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Id, name and arguments of what an assistant's message calls, also in the protocol's old form."""
    asked = message.get("tool_calls")
    for call in asked if isinstance(asked, list) else ():
        match call:
            case {"function": {"name": name, **rest}} | {"custom": {"name": name, **rest}}:
                yield str(call.get("id")), str(name), _worded(rest)
            case _:
                pass
    match message.get("function_call"):
        case {"name": name, **rest}:
            yield str(name), str(name), _worded(rest)
        case _:
            pass


def _worded(call: Mapping[Any, Any]) -> str:
    given = call.get("arguments", call.get("input", ""))
    return given if isinstance(given, str) else json.dumps(given)


def _said(message: Mapping[str, Any], files: int) -> tuple[Turn, int]:
    """A message as if a user had sent it, with its files as notes; and how many attachments there are by now."""
    told: list[str] = []
    parts = parts_of(message)
    for part in parts:
        text = part.get("text") or part.get("refusal")
        name = _NAMES.get(str(part.get("type")))
        if isinstance(text, str):
            told.append(text)
        elif is_attachment(part):
            files += 1
            told.append(f"(attached file {files}, a {name})")
        elif name:
            told.append(f"(a {name}, not attached)")
    pictures = tuple(part for part in parts if part.get("type") == "image_url")
    return Turn("user", "\n".join(told), own_words(message), pictures), files

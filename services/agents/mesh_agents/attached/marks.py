"""How the text of a file or a recording stands among the words of its sender, so that it is told from them again."""

import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final

from mesh_agents.tools.attachments import is_attachment

_FILE: Final = "Attached file"
_RECORDING: Final = "Transcript of the recording"
_MARK: Final = re.compile(rf"({_FILE}|{_RECORDING}) ([^\n]{{0,200}}), data ([0-9a-f]{{16}}):\n\3\n(.*)\n\3", re.DOTALL)


def file_part(name: str, text: str) -> dict[str, Any]:
    """A part of a message with the text of a file, quoted as data."""
    return _quoted(f"{_FILE} {name}", text)


def recording_part(name: str, text: str) -> dict[str, Any]:
    """A part of a message with what is said in a recording, quoted as data."""
    return _quoted(f"{_RECORDING} {name}", text)


def _quoted(label: str, text: str) -> dict[str, Any]:
    # As `graph.prompts.quoted`, by whose rule models follow no instructions in it.
    mark = secrets.token_hex(8)
    return {"type": "text", "text": f"{label}, data {mark}:\n{mark}\n{text}\n{mark}"}


def parts_of(message: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The parts of a message's content; plain text is one."""
    content = message.get("content")
    if isinstance(content, str):
        return ({"type": "text", "text": content},)
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else ()


def attached_text(part: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """`file` or `recording`, its name and its text; None: the part holds the sender's own words, or no text."""
    text = part.get("text")
    found = _MARK.fullmatch(text) if isinstance(text, str) else None
    return None if found is None else ("file" if found[1] == _FILE else "recording", found[2], found[4])


def own_words(message: Mapping[str, Any]) -> str:
    """What the sender wrote; what they said, where they sent only a recording."""
    written, said = [], []
    for part in parts_of(message):
        if part.get("type") != "text":
            continue
        match attached_text(part):
            case None:
                written.append(str(part.get("text") or ""))
            case ("recording", _, text):
                said.append(text)
            case _:
                pass
    own = "\n".join(written)
    return own if own.strip() else "\n".join(said)


def links_now(messages: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the user's last message shows pictures that are only linked."""
    asked = [message for message in messages if message.get("role") == "user"][-1:]
    parts = [part for message in asked for part in parts_of(message)]
    return any(part.get("type") == "image_url" and not is_attachment(part) for part in parts)

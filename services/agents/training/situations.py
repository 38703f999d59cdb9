"""The labelled conversations and requests with attachments, and their split.

`<folder>/<route>.txt` holds situations, separated by empty lines. A line is a message: `U:` of the user, `A:` of the
assistant, `S:` the system prompt; what is to be routed is the last. `U [picture]:`, `U [recording: what is said]:` and
`U [file name.pdf]:` carry attachments. The part of a situation follows from the hash of its first turn, so that
conversations that begin alike are in one part. What ends in `_train` is trained on; what ends in `_unseen` was written
after features and weights were fixed.
"""

import re
from typing import Any, Final

from mesh_agents.attached.marks import file_part, recording_part
from mesh_agents.routing.situation import Situation

from training.corpus import FOLDER, is_train

KINDS: Final = ("conversations", "attachments")
_LINE: Final = re.compile(r"([SUA])((?: \[[^\]]*\])*):(.*)")
_ROLES: Final = {"S": "system", "U": "user", "A": "assistant"}
_FILE: Final = re.compile(r"\[(picture|recording: |file )([^\]]*)\]")


def load(folder: str) -> list[tuple[str, list[dict[str, Any]], str]]:
    """First line, messages and route of each situation in `folder`."""
    found = []
    for path in sorted((FOLDER / folder).glob("*.txt")):
        for block in path.read_text("utf-8").strip().split("\n\n"):
            lines = block.splitlines()
            first = next(line for line in lines if line.startswith("U"))
            found.append((first, [_message(line) for line in lines], path.stem))
    return found


def train_part(kind: str) -> list[tuple[Situation, str]]:
    """What tuning sees of `kind`."""
    split = [entry for entry in load(kind) if is_train(entry[0])]
    return [(Situation.of(messages), route) for _, messages, route in [*split, *load(f"{kind}_train")]]


def test_part(kind: str) -> list[tuple[Situation, str]]:
    """What only the measurement sees."""
    return [(Situation.of(messages), route) for first, messages, route in load(kind) if not is_train(first)]


def unseen_part(kind: str) -> list[tuple[Situation, str]]:
    """What was written last."""
    return [(Situation.of(messages), route) for _, messages, route in load(f"{kind}_unseen")]


def _message(line: str) -> dict[str, Any]:
    found = _LINE.fullmatch(line)
    if found is None:
        raise ValueError(f"no message: {line!r}")
    role, files, text = found.groups()
    parts: list[dict[str, Any]] = [_part(kind, rest) for kind, rest in _FILE.findall(files)]
    text = text.strip().replace("\\n", "\n")
    if not parts:
        return {"role": _ROLES[role], "content": text}
    return {"role": _ROLES[role], "content": [{"type": "text", "text": text}, *parts]}


def _part(kind: str, rest: str) -> dict[str, Any]:
    if kind == "picture":
        return {"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}
    return recording_part("recording-1.wav", rest) if kind == "recording: " else file_part(rest, "")
